package push

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/warder/warder/dashboards"
)

// BoardsPath is where Grafana's machine has the dashboards' files, unless it is told otherwise.
const BoardsPath = "/var/lib/grafana/dashboards"

// Environment variables that exported files refer to, so that no secret is written. Grafana reads them from its own environment.
const (
	PasswordEnv = "WARDER_CLICKHOUSE_PASSWORD"
	WebhookEnv  = "WARDER_GRAFANA_WEBHOOK"
	SlackEnv    = "WARDER_GRAFANA_SLACK"
)

// The forms of Grafana's file provisioning. Its texts are templates over the environment, $NAME; queries and message templates are none.
type (
	providersFile struct {
		APIVersion int        `yaml:"apiVersion"`
		Providers  []provider `yaml:"providers"`
	}
	provider struct {
		Name      string         `yaml:"name"`
		Folder    string         `yaml:"folder"`
		FolderUID string         `yaml:"folderUid"`
		Type      string         `yaml:"type"`
		Options   map[string]any `yaml:"options"`
	}
	sourcesFile struct {
		APIVersion int          `yaml:"apiVersion"`
		Sources    []sourceFile `yaml:"datasources"`
	}
	sourceFile struct {
		Name    string         `yaml:"name"`
		UID     string         `yaml:"uid"`
		Type    string         `yaml:"type"`
		Access  string         `yaml:"access"`
		JSON    map[string]any `yaml:"jsonData"`
		Secrets map[string]any `yaml:"secureJsonData"`
	}
	rulesFile struct {
		APIVersion int         `yaml:"apiVersion"`
		Groups     []groupFile `yaml:"groups"`
	}
	groupFile struct {
		OrgID    int        `yaml:"orgId"`
		Name     string     `yaml:"name"`
		Folder   string     `yaml:"folder"`
		Interval string     `yaml:"interval"`
		Rules    []ruleFile `yaml:"rules"`
	}
	ruleFile struct {
		UID         string            `yaml:"uid"`
		Title       string            `yaml:"title"`
		Condition   string            `yaml:"condition"`
		For         string            `yaml:"for"`
		NoData      string            `yaml:"noDataState"`
		Failed      string            `yaml:"execErrState"`
		Annotations map[string]string `yaml:"annotations"`
		Labels      map[string]string `yaml:"labels"`
		Data        []queryFile       `yaml:"data"`
	}
	queryFile struct {
		RefID         string         `yaml:"refId"`
		QueryType     string         `yaml:"queryType,omitempty"`
		Range         map[string]int `yaml:"relativeTimeRange"`
		DatasourceUID string         `yaml:"datasourceUid"`
		Model         any            `yaml:"model"`
	}
	contactsFile struct {
		APIVersion int            `yaml:"apiVersion"`
		Points     []pointFile    `yaml:"contactPoints"`
		Templates  []templateFile `yaml:"templates"`
	}
	pointFile struct {
		OrgID     int            `yaml:"orgId"`
		Name      string         `yaml:"name"`
		Receivers []receiverFile `yaml:"receivers"`
	}
	receiverFile struct {
		UID      string         `yaml:"uid"`
		Type     string         `yaml:"type"`
		Settings map[string]any `yaml:"settings"`
	}
	templateFile struct {
		OrgID    int    `yaml:"orgId"`
		Name     string `yaml:"name"`
		Template string `yaml:"template"`
	}
)

// literal escapes a text for the file provisioning.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// RulesYAML returns the alert rules as Grafana's file provisioning reads them.
func RulesYAML(folder string) ([]byte, error) {
	g := groupFile{OrgID: 1, Name: ruleGroup, Folder: literal(folder), Interval: fmt.Sprintf("%ds", interval)}
	for _, r := range alertRules() {
		p := r.provisioned()
		f := ruleFile{p.UID, p.Title, p.Condition, p.For, string(p.NoDataState), string(p.ExecErrState), p.Annotations, p.Labels, nil}
		for _, q := range p.Data {
			f.Data = append(f.Data, queryFile{q.RefID, q.QueryType, map[string]int{"from": int(q.RelativeTimeRange.From), "to": 0}, q.DatasourceUID, q.Model})
		}
		g.Rules = append(g.Rules, f)
	}
	return encode("Warder's alert rules, for Grafana's file provisioning; `warder dashboards export` writes this.", rulesFile{1, []groupFile{g}})
}

// ProviderYAML returns the file that makes Grafana read the dashboards' files from a folder of its machine.
func ProviderYAML(folder, path string) ([]byte, error) {
	return encode("Warder's dashboards, for Grafana's file provisioning; `warder dashboards export` writes this.",
		providersFile{1, []provider{{name, literal(folder), FolderUID, "file", map[string]any{"path": literal(path)}}}})
}

func sourceYAML(d *DataSource) ([]byte, error) {
	settings := d.settings()
	for _, k := range []string{"host", "username", "defaultDatabase"} {
		settings[k] = literal(settings[k].(string))
	}
	secrets := map[string]any{"password": "$" + PasswordEnv}
	if d.CA != "" {
		secrets["tlsCACert"] = literal(d.CA)
	}
	return encode("Grafana's connection to Warder's ClickHouse, for its file provisioning. The password is from Grafana's environment.",
		sourcesFile{1, []sourceFile{{name, DataSourceUID, PluginID, "proxy", settings, secrets}}})
}

func contactsYAML(c Contacts) ([]byte, error) {
	p := pointFile{OrgID: 1, Name: name}
	for _, i := range c.integrations() {
		switch i.Type {
		case "webhook":
			i.Settings["url"] = "$" + WebhookEnv
		case "slack":
			i.Settings["url"] = "$" + SlackEnv
		case "email":
			i.Settings["addresses"] = literal(i.Settings["addresses"].(string))
		}
		p.Receivers = append(p.Receivers, receiverFile{i.UID, i.Type, i.Settings})
	}
	return encode("Where Warder's alert rules tell people. Addresses that may carry a key are from Grafana's environment.",
		contactsFile{1, []pointFile{p}, []templateFile{{1, templateName, messageTemplate}}})
}

func encode(comment string, v any) ([]byte, error) {
	text, err := yaml.MarshalWithOptions(v, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
	return append([]byte("# "+comment+"\n"), text...), err
}

// Export writes what Want says as files that Grafana reads at its start: the dashboards' JSON in dashboards, and provisioning. path is where
// Grafana's machine will have the folder dashboards. It returns the files, relative to dir; secrets are in none.
func Export(dir, path string, boards []dashboards.Board, want Want) ([]string, error) {
	if err := want.Validate(); err != nil {
		return nil, err
	}
	files := map[string]func() ([]byte, error){
		"provisioning/dashboards/warder.yaml": func() ([]byte, error) { return ProviderYAML(want.Folder, path) },
		"provisioning/alerting/rules.yaml":    func() ([]byte, error) { return RulesYAML(want.Folder) },
	}
	for _, b := range boards {
		files["dashboards/"+dashboards.File(b)] = func() ([]byte, error) { return dashboards.Encode(b) }
	}
	if want.DataSource != nil {
		files["provisioning/datasources/clickhouse.yaml"] = func() ([]byte, error) { return sourceYAML(want.DataSource) }
	}
	if want.Contacts.any() {
		files["provisioning/alerting/contacts.yaml"] = func() ([]byte, error) { return contactsYAML(want.Contacts) }
	}
	var errs []error
	for _, f := range keys(files) {
		errs = append(errs, write(filepath.Join(dir, filepath.FromSlash(f)), files[f]))
	}
	return keys(files), errors.Join(errs...)
}

func write(file string, content func() ([]byte, error)) error {
	text, err := content()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
