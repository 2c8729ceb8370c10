package webhook

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/sinkstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func log() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newSink(t *testing.T, url string, change func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.URL, cfg.Secret = "hook", config.NewSecret(url), config.NewSecret(secret)
	cfg.Headers = map[string]config.Secret{"Authorization": config.NewSecret("Bearer sesame-token")}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, log(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func TestConformance(t *testing.T) {
	sinkstest.Run(t, func(t *testing.T) sinkstest.Fixture {
		r, err := receivers.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return sinkstest.Fixture{
			Sink:     newSink(t, r.URL()+"?key=s3cr3t-key", nil),
			Arrived:  func() []string { return sinkstest.Collect(r.Messages()) },
			Problems: r.Problems, Fault: r.SetFault, Permanent: true,
			Unreachable: func(t *testing.T) sinks.Sink {
				return newSink(t, "http://"+sinkstest.Closed(t)+"/hooks/s3cr3t-key", nil)
			},
			Secrets: []string{"/hooks", "s3cr3t-key", "sesame", secret},
		}
	})
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status int
		header string
		retry  bool
		after  time.Duration
		want   string
	}{
		{status: 200}, {status: 202}, {status: 204},
		{status: 302, want: "redirects are not followed"},
		{status: 400, want: "400 Bad Request"},
		{status: 401, want: "401 Unauthorized"}, {status: 404, want: "404"}, {status: 410, want: "410"},
		{status: 408, retry: true, want: "408"}, {status: 425, retry: true, want: "425"},
		{status: 429, header: "7", retry: true, after: 7 * time.Second, want: "429"},
		{status: 503, header: "99999999", retry: true, after: 15 * time.Minute, want: "503"},
		{status: 500, header: "soon", retry: true, want: "500"},
		{status: 400, header: "7", want: "400"},
	} {
		t.Run(http.StatusText(tt.status)+tt.header, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
				if tt.status != 204 {
					_, _ = io.WriteString(w, strings.Repeat("no\n\x1b ", 10_000))
				}
			}))
			defer srv.Close()
			retry, err := newSink(t, srv.URL, nil).Send(t.Context(), []*alert.Alert{sinkstest.Alert(1)})
			if retry != tt.retry || (err != nil) != (tt.want != "") {
				t.Fatalf("retry %v, error %v", retry, err)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 500 {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			var ra *sinks.RetryAfterError
			if after := time.Duration(0); errors.As(err, &ra) != (tt.after > 0) || ra != nil && ra.After != tt.after {
				t.Errorf("retry after %v, want %v", after, tt.after)
			}
		})
	}
}

func TestBody(t *testing.T) {
	r, err := receivers.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := newSink(t, r.URL(), nil)
	one := sinkstest.Alert(1)
	two := []*alert.Alert{sinkstest.Alert(2), sinkstest.Alert(3)}
	for _, alerts := range [][]*alert.Alert{{one}, two, {two[1], two[0]}} {
		if _, err := s.Send(t.Context(), alerts); err != nil {
			t.Fatal(err)
		}
	}
	m := r.Messages()
	if got := http.Header(m[0].Header).Get("webhook-id"); got != one.ID {
		t.Errorf("webhook-id of one alert is %q, want its id %q", got, one.ID)
	}
	if a, b := http.Header(m[1].Header).Get("webhook-id"), http.Header(m[2].Header).Get("webhook-id"); a != b || a == "" {
		t.Errorf("the same alerts have the webhook-ids %q and %q", a, b)
	}
	var body Body
	if err := json.Unmarshal(m[1].Body, &body); err != nil || body.Type != BodyType || len(body.Alerts) != 2 {
		t.Errorf("body %.200s: %v", m[1].Body, err)
	}
	if p := r.Problems(); len(p) > 0 {
		t.Error(p)
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"good", "name: hook\nurl: https://example.com/x\n", ""},
		{"common keys", "name: hook\nurl: https://example.com/x\nmin_severity: high\nmatch: {tags: [owasp.*]}\ngroup_wait: 2s\nshadow: true\nheaders: {X-Token: abc}\n", ""},
		{"no name", "url: https://example.com/x\n", "name: "},
		{"no url", "name: hook\n", "url: is not a URL"},
		{"unknown key", "name: hook\nurl: https://example.com/\nmin_severty: high\n", `min_severty`},
		{"events", "name: hook\nurl: https://example.com/\nevents: true\n", "events: a webhook takes alerts only"},
		{"short secret", "name: hook\nurl: https://example.com/\nsecret: abc\n", "secret: has 3 bytes"},
		{"reserved header", "name: hook\nurl: https://example.com/\nheaders: {webhook-id: x}\n", "headers: Webhook-Id"},
		{"bad header", "name: hook\nurl: https://example.com/\nheaders: {\"a b\": x}\n", "is not a header's name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := config.Decode("w.yaml", []byte(tt.yaml), &c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if err == nil && c.MaxAlerts != 50 {
				t.Errorf("the defaults are gone: %+v", c)
			}
		})
	}
}
