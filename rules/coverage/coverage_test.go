package coverage

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
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

// TestPacksTechniquesHaveNames checks that the table knows every technique that the shipped rules carry.
func TestPacksTechniquesHaveNames(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range Of(set.Rules()).ATTACK {
		if x.Name == "" || len(x.Tactics) == 0 {
			t.Errorf("%s, of rules %v, has no name: add it to the table in attack.go", x.ID, x.Rules)
		}
	}
	for _, r := range set.Rules() {
		for _, tag := range r.Tags {
			list, _, _ := strings.Cut(tag, ".")
			name, _ := Named(tag)
			if !slices.Contains([]string{"capec", "cwe", "cve"}, list) && ATTACK(tag) == "" && OWASP(tag) == 0 && name == "" {
				t.Errorf("rule %s: the tag %s names nothing that the pages know: see named.go", r.ID, tag)
			}
		}
	}
}

func TestNamed(t *testing.T) {
	for tag, want := range map[string]string{
		"owasp.a10":   "OWASP A10:2021 Server-Side Request Forgery https://owasp.org/Top10/A10_2021-Server-Side_Request_Forgery_%28SSRF%29/",
		"owasp.a03":   "OWASP A03:2021 Injection https://owasp.org/Top10/A03_2021-Injection/",
		"owasp.LLM01": "OWASP LLM01:2025 Prompt Injection https://genai.owasp.org/llm-top-10/",
		"atlas.t0051": "MITRE ATLAS AML.T0051 LLM Prompt Injection https://atlas.mitre.org/techniques/AML.T0051",
	} {
		if name, url := Named(tag); name+" "+url != want {
			t.Errorf("%s: %s %s, want %s", tag, name, url, want)
		}
	}
	for _, tag := range []string{"owasp.a11", "owasp.", "owasp", "atlas.t9999", "own"} {
		if name, _ := Named(tag); name != "" {
			t.Errorf("%s: %s", tag, name)
		}
	}
}
