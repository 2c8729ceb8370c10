package sarif_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/sarif"
)

func TestWrite(t *testing.T) {
	findings := []rules.Finding{
		{Level: rules.LevelError, File: "my rules/a.yaml", Line: 3, Column: 9, Rule: "a", Check: "load", Msg: "my rules/a.yaml:3:9: wrong\n    excerpt"},
		{Level: rules.LevelWarning, File: "/srv/b.yaml", Line: 1, Rule: "b", Check: "missing-tests", Msg: "has no test"},
	}
	var b bytes.Buffer
	if err := sarif.Write(&b, "v1", findings); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	run := got.(map[string]any)["runs"].([]any)[0].(map[string]any)
	var lines []string
	for _, r := range run["results"].([]any) {
		r := r.(map[string]any)
		place := r["locations"].([]any)[0].(map[string]any)["physicalLocation"].(map[string]any)
		lines = append(lines, r["ruleId"].(string)+" "+r["level"].(string)+" "+place["artifactLocation"].(map[string]any)["uri"].(string)+": "+
			r["message"].(map[string]any)["text"].(string))
	}
	want := []string{"load error my%20rules/a.yaml: my rules/a.yaml:3:9: wrong", "missing-tests warning file:///srv/b.yaml: rule b: has no test"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := sarif.Write(&b, "v1", nil); err != nil || !bytes.Contains(b.Bytes(), []byte(`"results": []`)) {
		t.Errorf("without findings: %v\n%s", err, b.String())
	}
}
