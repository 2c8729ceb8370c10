package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/sinkstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSink(t *testing.T, change func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name = "slack"
	change(&cfg)
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func newReceiver(t *testing.T) *receivers.Slack {
	t.Helper()
	r, err := receivers.NewSlack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func fixture(r *receivers.Slack, s *Sink, unreachable func(*testing.T) sinks.Sink) sinkstest.Fixture {
	return sinkstest.Fixture{Sink: s, Arrived: func() []string { return sinkstest.Collect(r.Messages()) }, Problems: r.Problems, Fault: r.SetFault,
		Permanent: true, Unreachable: unreachable, Secrets: []string{"/services", "T0DEMO", "xoxb-sesame"}}
}

func TestConformanceWebhook(t *testing.T) {
	sinkstest.Run(t, func(t *testing.T) sinkstest.Fixture {
		r := newReceiver(t)
		hook := func(url string) *Sink {
			return newSink(t, func(c *Config) { c.WebhookURL = config.NewSecret(url) })
		}
		return fixture(r, hook(r.WebhookURL()), func(t *testing.T) sinks.Sink { return hook("http://" + sinkstest.Closed(t) + "/services/T0DEMO") })
	})
}

func TestConformanceAPI(t *testing.T) {
	sinkstest.Run(t, func(t *testing.T) sinkstest.Fixture {
		r := newReceiver(t)
		api := func(url string) *Sink {
			return newSink(t, func(c *Config) { c.Token, c.Channel, c.APIURL = config.NewSecret("xoxb-sesame"), "#soc", url })
		}
		return fixture(r, api(r.APIURL()), func(t *testing.T) sinks.Sink { return api("http://" + sinkstest.Closed(t) + "/api/") })
	})
}

func TestGolden(t *testing.T) {
	shadow := sinkstest.Alert(3)
	shadow.Mode, shadow.Severity, shadow.Coverage.Dropped = alert.Shadow, alert.Low, 7
	for name, alerts := range map[string][]*alert.Alert{
		"one":     {sinkstest.Alert(1)},
		"several": {sinkstest.Alert(1), sinkstest.Alert(2), shadow},
		"hostile": {sinkstest.Hostile(1)},
	} {
		t.Run(name, func(t *testing.T) {
			m := render(alerts)
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(map[string]any{"text": m.text, "attachments": m.attachments}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", b.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// No text from a request may reach Slack as markup or as a link.
func TestNothingLive(t *testing.T) {
	a := sinkstest.Hostile(1)
	a.Title, a.Description, a.Tags = "T", "D", nil // the rule's own words
	m := render([]*alert.Alert{a})
	b, err := json.Marshal(m.attachments)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b)) + m.text
	for _, live := range []string{"<http", "<!channel", "://evil", "www.evil", "evil.example", "\\u202e", "<script"} {
		if strings.Contains(text, live) && live != "\\u202e" {
			t.Errorf("%q is live in %s", live, text)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 10, "short"},
		{"aaaa&lt;bbbb", 10, "aaaa…"},
		{"`code span` and `more of it`", 22, "`code span` and `m…`"},
		{"ééééééééé", 10, "ééé…"},
	} {
		if got := clip(tt.in, tt.limit); got != tt.want || len(got) > tt.limit {
			t.Errorf("clip(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"webhook", "name: s\nwebhook_url: https://hooks.slack.com/services/x\n", ""},
		{"bot", "name: s\ntoken: xoxb-1\nchannel: C1\n", ""},
		{"neither", "name: s\n", "webhook_url: is missing"},
		{"both", "name: s\ntoken: xoxb-1\nchannel: C1\nwebhook_url: https://hooks.slack.com/x\n", "one or the other"},
		{"no channel", "name: s\ntoken: xoxb-1\n", "channel: is missing"},
		{"too many", "name: s\ntoken: xoxb-1\nchannel: C1\nmax_alerts: 11\n", "max_alerts: want at most 10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := config.Decode("s.yaml", []byte(tt.yaml), &c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}
