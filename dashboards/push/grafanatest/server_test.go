package grafanatest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	gapi "github.com/grafana/grafana-api-golang-client"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client that does not look first meets what the real server answers: everything works once, and a plain second run fails.
func TestPlainSecondRun(t *testing.T) {
	for version, want := range map[string][]string{
		"9.3.0":  {"409", "412", "412", "500", "500", "404"},
		"10.4.2": {"409", "409", "412", "409", "500", "200"},
	} {
		s := New(t)
		s.Version = version
		c, err := gapi.New(s.URL, gapi.Config{APIKey: Token})
		if err != nil {
			t.Fatal(err)
		}
		first := plainRun(c)
		if diff := cmp.Diff([]string{"ok", "ok", "ok", "ok", "ok"}, first); diff != "" {
			t.Errorf("%s: the first run: %s", version, diff)
		}
		if r, err := c.AlertRule("r"); err != nil || r.For != "1m" || r.Provenance != "api" || r.ID == 0 {
			t.Errorf("%s: the rule that was made: %+v: %v", version, r, err)
		}
		second := append(plainRun(c), listed(t, s))
		if diff := cmp.Diff(want, second); diff != "" {
			t.Errorf("%s: the second run: %s", version, diff)
		}
	}
}

func plainRun(c *gapi.Client) []string {
	_, err1 := c.NewDataSource(&gapi.DataSource{UID: "warder", Name: "Warder", Type: "grafana-clickhouse-datasource", Access: "proxy"})
	_, err2 := c.NewFolder("Warder", "warder")
	_, err3 := c.NewDashboard(gapi.Dashboard{Model: map[string]any{"uid": "b", "title": "Board"}, FolderUID: "warder"})
	_, err4 := c.NewAlertRule(&gapi.AlertRule{UID: "r", Title: "Rule", FolderUID: "warder", RuleGroup: "g", For: "60s"})
	_, err5 := c.NewContactPoint(&gapi.ContactPoint{UID: "p", Name: "Warder", Type: "email", Settings: map[string]any{"addresses": "a@example.com"}})
	return []string{status(err1), status(err2), status(err3), status(err4), status(err5)}
}

// listed tells how the list of all rules is answered; the library has no call for it.
func listed(t *testing.T, s *Server) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+provisioning+"/alert-rules", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+Token)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

// status is the HTTP status in an error of the library's, which keeps it as text only.
func status(err error) string {
	var n int
	if err == nil {
		return "ok"
	}
	if _, scanErr := fmt.Sscanf(err.Error(), "status: %d", &n); scanErr != nil {
		return err.Error()
	}
	return fmt.Sprint(n)
}
