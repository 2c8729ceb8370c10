package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// decoded is a board's JSON as Grafana sees it.
func decoded(t testing.TB, b Board) map[string]any {
	t.Helper()
	data, err := Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err = json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// each runs a test for each board.
func each(t *testing.T, f func(t *testing.T, b Board)) {
	for _, b := range Boards() {
		t.Run(b.UID, func(t *testing.T) { f(t, b) })
	}
}

func TestCommitted(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	got, want := folder(t, "grafana"), folder(t, dir)
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("grafana/%s is not what the boards say: run `go generate ./dashboards` and commit what it writes", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("grafana/%s is no board's: run `go generate ./dashboards`", name)
	}
}

func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = data
	}
	return out
}

func TestWriteRemovesOldBoards(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone.json", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	got := folder(t, dir)
	if _, ok := got["gone.json"]; ok {
		t.Error("the file of a board that is no more is still there")
	}
	if _, ok := got["README.md"]; !ok {
		t.Error("a file that is no board's was removed")
	}
}

// schema is Grafana's own view of what a dashboard may hold, see testdata/schema.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("testdata/schema/dashboard.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchema(t *testing.T) {
	s := schema(t)
	each(t, func(t *testing.T, b Board) {
		if err := s.Validate(decoded(t, b)); err != nil {
			t.Errorf("Grafana would not know what to do with it: %v", err)
		}
	})
}

// The schema must be one that finds mistakes, as Grafana itself takes everything.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	panelOf := func(d map[string]any, kind string) map[string]any {
		for _, p := range d["panels"].([]any) {
			if p := p.(map[string]any); p["type"] == kind {
				return p
			}
		}
		t.Fatalf("no panel of type %s", kind)
		return nil
	}
	tests := []struct {
		name  string
		spoil func(d map[string]any)
	}{
		{"a panel type that is not there", func(d map[string]any) { panelOf(d, "stat")["type"] = "number" }},
		{"an option of another panel", func(d map[string]any) { panelOf(d, "stat")["options"].(map[string]any)["showHeader"] = true }},
		{"an option's value that is not there", func(d map[string]any) { panelOf(d, "stat")["options"].(map[string]any)["graphMode"] = "lines" }},
		{"a misspelt field", func(d map[string]any) { panelOf(d, "timeseries")["descripton"] = "" }},
		{"a grid position of text", func(d map[string]any) { panelOf(d, "stat")["gridPos"].(map[string]any)["w"] = "4" }},
		{"thresholds without steps", func(d map[string]any) {
			delete(panelOf(d, "stat")["fieldConfig"].(map[string]any)["defaults"].(map[string]any)["thresholds"].(map[string]any), "steps")
		}},
		{"no schema version", func(d map[string]any) { delete(d, "schemaVersion") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decoded(t, overview())
			tt.spoil(d)
			if s.Validate(d) == nil {
				t.Error("the schema lets it pass")
			}
		})
	}
}

func TestBoards(t *testing.T) {
	uids, titles := map[string]bool{}, map[string]bool{"Warder": true} // a folder of that name holds them
	for _, b := range Boards() {
		if !strings.HasPrefix(b.UID, "warder-") || len(b.UID) > 40 {
			t.Errorf("uid %q: want warder- before it, and 40 bytes at most", b.UID)
		}
		if uids[b.UID] || titles[b.Title] {
			t.Errorf("%s: uid or title %q is taken", b.UID, b.Title)
		}
		uids[b.UID], titles[b.Title] = true, true
	}
	for _, b := range Boards() {
		for _, uid := range b.Links {
			if !uids[uid] || uid == b.UID {
				t.Errorf("%s links to %q, want another board", b.UID, uid)
			}
		}
		if len(b.Links) == 0 {
			t.Errorf("%s leads nowhere", b.UID)
		}
	}
}

// Cells lead to boards that exist, by variables that they have, from columns that are there.
func TestCellLinks(t *testing.T) {
	boards := map[string]Board{}
	for _, b := range Boards() {
		boards[b.UID] = b
	}
	each(t, func(t *testing.T, b Board) {
		panels(b, func(p Panel) {
			for _, l := range p.Links {
				target, ok := boards[l.Board]
				names := []string{}
				for _, v := range target.Variables {
					names = append(names, v.Name)
				}
				switch {
				case !ok:
					t.Errorf("%s: link to board %q, which is not there", p.Title, l.Board)
				case l.Variable != "" && !slices.Contains(names, l.Variable):
					t.Errorf("%s: link sets variable %q of %s, which has %q", p.Title, l.Variable, l.Board, names)
				case !slices.Contains(p.Columns, l.Column), l.From != "" && !slices.Contains(p.Columns, l.From):
					t.Errorf("%s: link of column %q from %q, columns are %q", p.Title, l.Column, l.From, p.Columns)
				case l.Title == "":
					t.Errorf("%s: the link of %q has no title", p.Title, l.Column)
				}
				for name := range l.Set {
					if !slices.Contains(names, name) {
						t.Errorf("%s: link sets variable %q of %s, which has %q", p.Title, name, l.Board, names)
					}
				}
			}
		})
	})
}

func panels(b Board, f func(p Panel)) {
	for _, r := range b.Rows {
		for _, p := range r.Panels {
			f(p)
		}
	}
}

// Each panel with a query asks Warder's data source, in the form of the plugin's version 4.
func TestTargets(t *testing.T) {
	each(t, func(t *testing.T, b Board) {
		for _, p := range decoded(t, b)["panels"].([]any) {
			p := p.(map[string]any)
			if p["type"] == "row" || p["type"] == "text" {
				continue
			}
			target := p["targets"].([]any)[0].(map[string]any)
			delete(target, "rawSql")
			want := map[string]any{
				"refId": "A", "editorType": "sql", "pluginVersion": PluginVersion, "queryType": "table", "format": 1.0,
				"datasource": map[string]any{"type": DataSourceType, "uid": "warder"},
			}
			if target["format"] == 0.0 {
				want["format"], want["queryType"] = 0.0, "timeseries"
			}
			if diff := cmp.Diff(want, target); diff != "" {
				t.Errorf("%v: target (-want +got):\n%s", p["title"], diff)
			}
			if diff := cmp.Diff(want["datasource"], p["datasource"]); diff != "" {
				t.Errorf("%v: data source (-want +got):\n%s", p["title"], diff)
			}
		}
	})
}

// What is provisioned is what panels ask, and what is there: the data source, the plugin's version, the folder with the boards.
func TestProvisioned(t *testing.T) {
	for file, wants := range map[string][]string{
		"provisioning/datasources/clickhouse.yaml": {"uid: " + DataSource + "\n", "type: " + DataSourceType + "\n"},
		"provisioning/dashboards/warder.yaml":      {"path: /var/lib/grafana/dashboards\n"},
		"../docker-compose.yml": {
			"GF_INSTALL_PLUGINS: " + DataSourceType + " " + PluginVersion + "\n",
			`"./dashboards/provisioning:/etc/grafana/provisioning:ro", "./dashboards/grafana:/var/lib/grafana/dashboards:ro"`,
		},
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s does not say %q", file, want)
			}
		}
	}
}

// Panels lie beside and below each other, within the grid.
func TestArrange(t *testing.T) {
	each(t, func(t *testing.T, b Board) {
		taken := map[[2]int]string{}
		for _, p := range decoded(t, b)["panels"].([]any) {
			p := p.(map[string]any)
			g := p["gridPos"].(map[string]any)
			x, y, w, h := int(g["x"].(float64)), int(g["y"].(float64)), int(g["w"].(float64)), int(g["h"].(float64))
			if w < 1 || h < 1 || x < 0 || x+w > columns {
				t.Errorf("%v: is at %v, outside the grid", p["title"], g)
			}
			for i := x; i < x+w; i++ {
				for j := y; j < y+h; j++ {
					if other := taken[[2]int{i, j}]; other != "" {
						t.Fatalf("%v lies over %v", p["title"], other)
					}
					taken[[2]int{i, j}] = p["title"].(string)
				}
			}
		}
	})
}

func TestLinkURL(t *testing.T) {
	tests := []struct {
		link Link
		want string
	}{
		{Link{Column: "rule", Board: "warder-rules", Variable: "rule"}, "/d/warder-rules?${__url_time_range}&var-rule=${__value.raw:percentencode}"},
		{Link{Column: "title", Board: "b", Variable: "v", From: "_id"}, "/d/b?${__url_time_range}&var-v=${__data.fields._id:percentencode}"},
		{Link{Column: "address", Board: "b", Variable: "v", Set: map[string]string{"z": "1", "kind": "address"}},
			"/d/b?${__url_time_range}&var-kind=address&var-z=1&var-v=${__value.raw:percentencode}"},
		{Link{Column: "x", Board: "b"}, "/d/b?${__url_time_range}"},
	}
	for _, tt := range tests {
		if got := linkURL(tt.link); got != tt.want {
			t.Errorf("got %s\nwant %s", got, tt.want)
		}
	}
}
