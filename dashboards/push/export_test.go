package push

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/dashboards"
)

// The committed files are what the definitions make; -update writes them anew.
func TestCommittedProvisioning(t *testing.T) {
	rules, err := RulesYAML("Warder")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../provisioning/alerting/rules.yaml", string(rules))
	provider, err := ProviderYAML("Warder", BoardsPath)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../provisioning/dashboards/warder.yaml", string(provider))
}

// Exported files are complete, readable, and without secrets.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	want := everything(t)
	want.DataSource.User = "gra$fana"
	files, err := Export(dir, "/srv/boards", dashboards.Boards()[:1], want)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff([]string{"dashboards/warder-overview.json", "provisioning/alerting/contacts.yaml", "provisioning/alerting/rules.yaml",
		"provisioning/dashboards/warder.yaml", "provisioning/datasources/clickhouse.yaml"}, files)
	if diff != "" {
		t.Errorf("files: %s", diff)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"s3cret", "k3y", "/services/"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds a secret", f)
			}
		}
		if strings.HasSuffix(f, ".yaml") && !strings.HasSuffix(f, "rules.yaml") {
			b.WriteString("== " + f + "\n" + string(text))
		}
	}
	golden(t, "export.txt", b.String())
}

// Reading the rules' file back gives the rules: no query is cut or changed by the YAML around it.
func TestRulesYAML(t *testing.T) {
	text, err := RulesYAML("Warder")
	if err != nil {
		t.Fatal(err)
	}
	var file rulesFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	rules := alertRules()
	if n := len(file.Groups[0].Rules); n != len(rules) {
		t.Fatalf("%d rules", n)
	}
	for i, r := range file.Groups[0].Rules {
		want := rules[i].provisioned()
		if got := r.Data[0].Model.(map[string]any)["rawSql"]; got != rules[i].Query {
			t.Errorf("%s: %v", r.UID, got)
		}
		for j, q := range r.Data {
			if diff := differences(want.Data[j].Model, q.Model); len(diff) > 0 {
				t.Errorf("%s %s: %v", r.UID, q.RefID, diff)
			}
		}
		if diff := cmp.Diff(want.Annotations, r.Annotations); diff != "" {
			t.Error(diff)
		}
	}
}
