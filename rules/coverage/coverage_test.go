package coverage

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/rules"
)

func matrix() *Matrix {
	return Of([]*rules.Rule{
		{ID: "a", Tags: []string{"owasp.api2", "attack.t1110.004", "attack.t1110.004", "capec.600"}},
		{ID: "b", Tags: []string{"OWASP:API10:2023", "attack.T9999", "attack.credential-access"}},
		{ID: "c", Tags: []string{"own", "owasp.api11", "owasp.api0"}},
	})
}

func TestMatrix(t *testing.T) {
	m := matrix()
	if m.Covered() != 2 || m.Rules != 3 || len(m.OWASP) != 10 {
		t.Errorf("%+v", m)
	}
	want := []Technique{
		{ID: "T1110.004", Name: "Credential Stuffing", Tactics: []string{"credential-access"}, URL: "https://attack.mitre.org/techniques/T1110/004/", Rules: []string{"a"}},
		{ID: "T9999", URL: "https://attack.mitre.org/techniques/T9999/", Rules: []string{"b"}},
	}
	if diff := cmp.Diff(want, m.ATTACK); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c"}, m.Untagged); diff != "" {
		t.Error(diff)
	}
}

func TestNavigator(t *testing.T) {
	var b bytes.Buffer
	if err := matrix().WriteNavigator(&b); err != nil {
		t.Fatal(err)
	}
	var l struct {
		Domain     string
		Versions   map[string]string
		Techniques []struct {
			TechniqueID       string
			Score             int
			Comment           string
			ShowSubtechniques bool
		}
	}
	if err := json.Unmarshal(b.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	if l.Domain != "enterprise-attack" || l.Versions["layer"] != "4.5" || len(l.Techniques) != 3 || !l.Techniques[0].ShowSubtechniques ||
		l.Techniques[1].TechniqueID != "T1110.004" || l.Techniques[1].Score != 1 || l.Techniques[1].Comment != "a" {
		t.Errorf("%s", b.String())
	}
}
