package main

import (
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/warder/warder/dashboards/push"
	"github.com/warder/warder/dashboards/push/grafanatest"
)

// serveGrafana is the script command "grafana [noplugin|VERSION]": it serves Grafana's API in $WARDER_GRAFANA_URL, whose token is in
// $WARDER_GRAFANA_TOKEN and the file grafana.token. "grafana meddle" changes a dashboard of it, "grafana unwritten" fails if it was
// written to since the last of these, "grafana written" if it was not.
func serveGrafana(servers map[string]*grafanatest.Server) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		what := ""
		if len(args) > 0 {
			what = args[0]
		}
		s := servers[ts.Getenv("WARDER_GRAFANA_URL")]
		switch what {
		case "meddle":
			s.ChangeBoard("warder-overview", "title", "Meddled with \x1b[2J")
			s.Writes()
			return
		case "unwritten", "written":
			if w := s.Writes(); len(w) > 0 != (what == "written") {
				ts.Fatalf("written: %v", w)
			}
			return
		}
		s = grafanatest.Unstarted()
		if what == "noplugin" {
			s.Plugins = nil
		} else if what != "" {
			s.Version = what
		}
		s.Server = httptest.NewServer(s.Handler())
		ts.Defer(s.Close)
		servers[s.URL] = s
		ts.Setenv("WARDER_GRAFANA_URL", s.URL)
		ts.Setenv("WARDER_GRAFANA_TOKEN", grafanatest.Token)
		ts.Check(os.WriteFile(ts.MkAbs("grafana.token"), []byte(grafanatest.Token+"\n"), 0o600))
	}
}

// Each rule that docs/grafana-push.md lists is one that is pushed, and the other way round.
func TestGrafanaRulesDocumented(t *testing.T) {
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(warder-[a-z-]+)` \\|").FindAllStringSubmatch(read(t, "../../docs/grafana-push.md"), -1) {
		got = append(got, m[1])
	}
	var want []string
	for _, r := range push.Rules() {
		want = append(want, r.UID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pushed and documented: %s", diff)
	}
}
