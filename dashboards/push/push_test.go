package push

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/dashboards/push/grafanatest"
	"github.com/warder/warder/internal/closedport"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// someBoards are two small dashboards.
func someBoards(t testing.TB) []Board {
	t.Helper()
	var out []Board
	for _, text := range []string{
		`{"id":7,"version":1,"uid":"warder-overview","title":"Security overview","schemaVersion":37,"refresh":"","tags":["warder"],
			"panels":[{"id":1,"title":"Requests","type":"stat"},{"id":2,"title":"Alerts","type":"table"}]}`,
		`{"uid":"warder-pipeline","title":"Pipeline health","panels":[]}`,
	} {
		b, err := ReadBoard([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func everything(t testing.TB) Want {
	return Want{Folder: "Warder", Boards: someBoards(t),
		DataSource: &DataSource{Host: "clickhouse", Port: 9440, Protocol: "native", TLS: true, CA: "-----BEGIN CERTIFICATE-----", Database: "warder",
			User: "grafana", Password: config.NewSecret("s3cret")},
		Contacts: Contacts{Emails: []string{"soc@example.com", "duty@example.com"}, Webhook: config.NewSecret("https://hooks.example.com/in?key=k3y"),
			Slack: config.NewSecret("https://slack.example.com/services/T0/B0/x")}}
}

func client(t testing.TB, url, token string) *Client {
	t.Helper()
	cfg := DefaultConfig()
	cfg.URL, cfg.Token, cfg.Wait = url, config.NewSecret(token), time.Millisecond
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// push plans, applies, and returns the plan's lines.
func push(t testing.TB, c *Client, want Want) []string {
	t.Helper()
	p, err := c.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), p, func(*Change) {}); err != nil {
		t.Fatal(err)
	}
	return lines(p)
}

func lines(p *Plan) []string {
	var out []string
	for _, c := range p.Changes {
		line := fmt.Sprintf("%s %s %s", c.Action, c.Kind, c.Name)
		for _, d := range c.Fields {
			line += fmt.Sprintf("; %s: %s → %s", d.Path, d.Old, d.New)
		}
		out = append(out, line)
	}
	return out
}

// The second run finds everything as it wants it, and writes nothing.
func TestTwice(t *testing.T) {
	for _, version := range []string{"9.3.0", "10.4.2", "12.1.0+security-01", ""} {
		t.Run(version, func(t *testing.T) {
			s := grafanatest.New(t)
			s.Version = version
			c := client(t, s.URL, grafanatest.Token)
			first := push(t, c, everything(t))
			for _, line := range first {
				if !strings.HasPrefix(line, "create ") {
					t.Errorf("in an empty Grafana: %s", line)
				}
			}
			if n := len(s.Writes()); n != len(first) {
				t.Errorf("%d writing requests for %d objects", n, len(first))
			}
			p, err := c.Plan(t.Context(), everything(t))
			if err != nil {
				t.Fatal(err)
			}
			if p.Differs() {
				t.Errorf("the second run would change something:\n%s", strings.Join(lines(p), "\n"))
			}
			if err := c.Apply(t.Context(), p, func(ch *Change) { t.Errorf("%s was written", ch.Name) }); err != nil {
				t.Fatal(err)
			}
			if w := s.Writes(); len(w) > 0 {
				t.Errorf("the second run wrote: %v", w)
			}
			if err := c.Check(t.Context()); err != nil {
				t.Errorf("the data source: %v", err)
			}
			secrets := s.Source(DataSourceUID)["secrets"]
			if diff := cmp.Diff(map[string]any{"password": "s3cret", "tlsCACert": "-----BEGIN CERTIFICATE-----"}, secrets); diff != "" {
				t.Errorf("secrets: %s", diff)
			}
		})
	}
}

// Only what differs is written, and the difference is told.
func TestOnlyWhatDiffers(t *testing.T) {
	s := grafanatest.New(t)
	c := client(t, s.URL, grafanatest.Token)
	push(t, c, everything(t))
	s.ChangeBoard("warder-overview", "panels", []any{map[string]any{"id": 1, "title": "Requests\x1b[2J", "type": "stat"}})
	s.ChangeBoard("warder-pipeline", "timezone", "utc") // a field that is not ours
	s.ChangeRule("warder-lag", "for", "1h")
	s.PutRule("warder-old", "Of an earlier version", FolderUID, ruleGroup, "api")
	s.PutRule("theirs", "Of somebody else", FolderUID, ruleGroup, "")
	s.ChangeRule("warder-sink", "ruleGroup", "elsewhere")
	want := everything(t)
	want.Folder = "Security"
	want.DataSource.Host, want.DataSource.Password = "clickhouse-2", config.NewSecret("another")
	want.Contacts.Emails = []string{"soc@example.com"}
	want.Contacts.Webhook = config.NewSecret("https://hooks.example.com/in?key=n3w")
	s.Requests()
	got := slices.DeleteFunc(push(t, c, want), func(l string) bool { return strings.HasPrefix(l, "keep ") })
	diff := cmp.Diff([]string{
		`update folder Security; title: "Warder" → "Security"`,
		`update data source Warder; host: "clickhouse" → "clickhouse-2"`,
		`update dashboard Security overview; panels[0].title: "Requests\u001b[2J" → "Requests"; panels[1]:  → {"id":2,"title":"Alerts","type":"table"}`,
		`update alert rule Alerts do not reach people; ruleGroup: "elsewhere" → "Warder"`,
		`update alert rule A consumer falls behind; for: "1h0m0s" → "5m0s"`,
		`remove alert rule Of an earlier version`,
		`update contact point Warder (email); settings.addresses: "soc@example.com;duty@example.com" → "soc@example.com"`,
		`update contact point Warder (webhook); settings.url: (not shown) → (not shown)`,
	}, got)
	if diff != "" {
		t.Errorf("-want +got: %s", diff)
	}
	if n := len(s.Writes()); n != len(got) {
		t.Errorf("%d writing requests for %d changes", n, len(got))
	}
	if b, _ := s.Board("warder-pipeline"); b["timezone"] != "utc" {
		t.Error("a field that is not ours is gone")
	}
	if got := s.Rules(FolderUID, ruleGroup); !slices.Contains(got, "theirs") || slices.Contains(got, "warder-old") || !slices.Contains(got, "warder-sink") {
		t.Errorf("rules in the group: %v", got)
	}
	// A password that Grafana has is sent again when asked to.
	if s.Source(DataSourceUID)["secrets"].(map[string]any)["password"] != "s3cret" {
		t.Error("the password was sent without being asked to")
	}
	want.Resend = true
	push(t, c, want)
	if s.Source(DataSourceUID)["secrets"].(map[string]any)["password"] != "another" {
		t.Error("the password was not sent")
	}
}

// A Grafana that stores another form of a dashboard than it was given does not make every run write; a person's change still does.
func TestRewritten(t *testing.T) {
	for _, version := range []string{"9.3.0", "12.1.1"} {
		s := grafanatest.New(t)
		s.Version, s.Rewrite = version, true
		c := client(t, s.URL, grafanatest.Token)
		push(t, c, everything(t))
		s.Requests()
		push(t, c, everything(t))
		if w := s.Writes(); len(w) > 0 {
			t.Errorf("%s: the second run wrote %v", version, w)
		}
		s.ChangeBoard("warder-overview", "title", "Mine")
		push(t, c, everything(t))
		if w := s.Writes(); len(w) != 1 {
			t.Errorf("%s: after a change by hand: %v", version, w)
		}
		want := everything(t)
		want.Boards[0].Model["refresh"] = "1m"
		push(t, c, want)
		if w := s.Writes(); len(w) != 1 {
			t.Errorf("%s: after a change of the board: %v", version, w)
		}
	}
}

// That a contact point is of no use is told until a notification policy leads there.
func TestNotes(t *testing.T) {
	s := grafanatest.New(t)
	c := client(t, s.URL, grafanatest.Token)
	for _, want := range []int{1, 0} {
		p, err := c.Plan(t.Context(), everything(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Notes) != want {
			t.Errorf("notes: %q", p.Notes)
		}
		s.Route("Warder")
	}
}

// Without --clickhouse and contacts, what is there stays.
func TestLeftAlone(t *testing.T) {
	s := grafanatest.New(t)
	s.PutSource(DataSourceUID, "Warder", PluginID, true, map[string]any{"host": "db", "port": 9000})
	c := client(t, s.URL, grafanatest.Token)
	push(t, c, Want{Folder: "Warder", Boards: someBoards(t)})
	for _, w := range s.Writes() {
		if strings.Contains(w, "datasources") || strings.Contains(w, "contact") || strings.Contains(w, "templates") {
			t.Errorf("wrote %s", w)
		}
	}
}

// What an overloaded Grafana refuses is sent again, a few times; what may have been carried out is not.
func TestRetries(t *testing.T) {
	s := grafanatest.New(t)
	c := client(t, s.URL, grafanatest.Token)
	s.Fail("GET /api/health", http.StatusBadGateway, 3)
	s.Fail("POST /api/folders", http.StatusServiceUnavailable, 3)
	push(t, c, everything(t))

	want := everything(t)
	want.Boards[0].Model["description"] = "new"
	s.Fail("POST /api/dashboards", http.StatusInternalServerError, 1)
	s.Requests()
	p, err := c.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Apply(t.Context(), p, func(*Change) {}); !has(err, http.StatusInternalServerError) {
		t.Errorf("got %v", err)
	}
	if w := s.Writes(); len(w) != 1 {
		t.Errorf("wrote %v", w)
	}
}

// A dashboard that somebody saves between the look and the write is not overwritten.
func TestSavedInBetween(t *testing.T) {
	s := grafanatest.New(t)
	c := client(t, s.URL, grafanatest.Token)
	push(t, c, everything(t))
	s.ChangeBoard("warder-overview", "title", "Mine")
	p, err := c.Plan(t.Context(), everything(t))
	if err != nil {
		t.Fatal(err)
	}
	s.ChangeBoard("warder-overview", "title", "Mine, too")
	err = c.Apply(t.Context(), p, func(*Change) {})
	if err == nil || !strings.Contains(err.Error(), "it was saved just now") {
		t.Errorf("got %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	s := grafanatest.New(t)
	cfg := DefaultConfig()
	cfg.URL, cfg.Token, cfg.Wait = s.URL, config.NewSecret(grafanatest.Token), time.Hour
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Fail("GET /api/health", http.StatusServiceUnavailable, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Plan(ctx, everything(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// errorCase is something that is wrong. set prepares the server, and may return the address to use instead of its own.
type errorCase struct {
	name  string
	set   func(t *testing.T, s *grafanatest.Server, w *Want) string
	token string
}

func errorCases() []errorCase {
	answering := func(h http.HandlerFunc) func(*testing.T, *grafanatest.Server, *Want) string {
		return func(t *testing.T, _ *grafanatest.Server, _ *Want) string {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s.URL
		}
	}
	with := func(set func(*grafanatest.Server, *Want)) func(*testing.T, *grafanatest.Server, *Want) string {
		return func(_ *testing.T, s *grafanatest.Server, w *Want) string { set(s, w); return "" }
	}
	provisionedRule := func(s *grafanatest.Server, _ *Want) {
		s.PutFolder(FolderUID, "Warder")
		s.PutRule("warder-lag", "A consumer falls behind", FolderUID, ruleGroup, "file")
	}
	return []errorCase{
		{"wrong token", with(func(*grafanatest.Server, *Want) {}), "glsa_wrong"},
		{"token may not read folders", with(func(s *grafanatest.Server, _ *Want) { s.Denied = "folders:read" }), ""},
		{"token may not make folders", with(func(s *grafanatest.Server, _ *Want) { s.Denied = "folders:create" }), ""},
		{"token may not make data sources", with(func(s *grafanatest.Server, _ *Want) { s.Denied = "datasources:create" }), ""},
		{"token may not make dashboards", with(func(s *grafanatest.Server, _ *Want) { s.Denied = "dashboards:create" }), ""},
		{"token may not make rules", with(func(s *grafanatest.Server, _ *Want) { s.Denied = "alert.provisioning:write" }), ""},
		{"older Grafana", with(func(s *grafanatest.Server, _ *Want) { s.Version = "9.2.15" }), ""},
		{"much older Grafana", with(func(s *grafanatest.Server, _ *Want) { s.Version = "8.5.27" }), ""},
		{"no plugin", with(func(s *grafanatest.Server, _ *Want) { s.Plugins = nil }), ""},
		{"old plugin", with(func(s *grafanatest.Server, _ *Want) { s.Plugins[PluginID] = "3.3.0" }), ""},
		{"no address of ClickHouse", with(func(_ *grafanatest.Server, w *Want) { w.DataSource = nil }), ""},
		{"folder of others", with(func(s *grafanatest.Server, _ *Want) { s.PutFolder("abc", "Warder") }), ""},
		{"data source of others", with(func(s *grafanatest.Server, _ *Want) { s.PutSource("abc", "Warder", PluginID, false, nil) }), ""},
		{"data source of another type", with(func(s *grafanatest.Server, _ *Want) { s.PutSource(DataSourceUID, "Logs", "loki", false, nil) }), ""},
		{"provisioned data source", with(func(s *grafanatest.Server, _ *Want) {
			s.PutSource(DataSourceUID, "Warder", PluginID, true, map[string]any{"host": "db"})
		}), ""},
		{"dashboard in another folder", with(func(s *grafanatest.Server, _ *Want) {
			s.PutFolder("team", "Team \x1b[31mA")
			s.PutBoard("warder-overview", "Overview", "team", false)
		}), ""},
		{"provisioned dashboard", with(func(s *grafanatest.Server, _ *Want) {
			s.PutFolder(FolderUID, "Warder")
			s.PutBoard("warder-overview", "Overview", FolderUID, true)
		}), ""},
		{"title in use", with(func(s *grafanatest.Server, _ *Want) {
			s.PutFolder(FolderUID, "Warder")
			s.PutBoard("other", "Security overview", FolderUID, false)
		}), ""},
		{"provisioned rule", with(provisionedRule), ""},
		{"not a Grafana", answering(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html><body>Welcome to nginx</body></html>"))
		}), ""},
		{"another API", answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"green"}`))
		}), ""},
		{"nothing there", answering(http.NotFound), ""},
		{"login page", answering(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.com/login?token=abc", http.StatusFound)
		}), ""},
		{"endless answer", answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 64 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<20))); err != nil {
					return
				}
			}
		}), ""},
		{"hostile message", answering(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"message":"\u001b[2J\u202eno %s %s"}`, r.Header.Get("Authorization"), strings.Repeat("x", 1<<16))
		}), ""},
		{"broken for good", with(func(s *grafanatest.Server, _ *Want) { s.Fail("GET /api/folders", http.StatusInternalServerError, 99) }), ""},
		{"untrusted certificate", func(t *testing.T, _ *grafanatest.Server, _ *Want) string { return grafanatest.NewTLS(t).URL }, ""},
		{"no TLS there", func(_ *testing.T, s *grafanatest.Server, _ *Want) string {
			return "https" + strings.TrimPrefix(s.URL, "http")
		}, ""},
		{"unreachable", func(t *testing.T, _ *grafanatest.Server, _ *Want) string {
			address, _ := closedport.Reserve(t)
			return "http://" + address
		}, ""},
	}
}

// Each thing that can be wrong has a message that says what to do.
func TestErrors(t *testing.T) {
	var b strings.Builder
	for _, tc := range errorCases() {
		s := grafanatest.New(t)
		w := everything(t)
		url := tc.set(t, s, &w)
		if url == "" {
			url = s.URL
		}
		token := tc.token
		if token == "" {
			token = grafanatest.Token
		}
		c := client(t, url, token)
		p, err := c.Plan(t.Context(), w)
		if err == nil {
			err = c.Apply(t.Context(), p, func(*Change) {})
		}
		if err == nil {
			t.Errorf("%s: no error", tc.name)
			continue
		}
		said := strings.ReplaceAll(err.Error(), strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://"), "HOST")
		if strings.Contains(said, grafanatest.Token) || strings.ContainsAny(said, "\x1b\n") || len(said) > 600 {
			t.Errorf("%s: not fit to print: %q", tc.name, said)
		}
		fmt.Fprintf(&b, "%s:\n    %s\n", tc.name, said)
	}
	golden(t, "errors.txt", b.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites it): %s", file, diff)
	}
}
