//go:build integration

package nginx

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision"
)

// start starts the NGINX of this machine with the configuration that the documentation shows. byPID reloads it with SIGHUP.
func start(t *testing.T, byPID bool) (*realtest.Gateway, Config) {
	t.Helper()
	dir, at := t.TempDir(), realtest.Addresses(t, 1)
	cfg := DefaultConfig()
	cfg.File, cfg.MinInterval, cfg.Principal = filepath.Join(dir, "blocked.conf"), 0, "$http_x_test_principal"
	file := realtest.Configure(t, "testdata/nginx.conf", dir, DefaultConfig().File, cfg.File, "127.0.0.1:18084", at[0],
		"127.0.0.1:18099", realtest.Service(t))
	args := []string{"nginx", "-e", "stderr", "-p", dir, "-c", file}
	cfg.Test, cfg.Reload = append(slices.Clone(args), "-t"), append(slices.Clone(args), "-s", "reload")
	if text, err := render(nil, cfg.Principal); err != nil || replace(cfg.File, text) != nil {
		t.Fatal(err)
	}
	realtest.Start(t, dir, at, args[0], args[1:]...)
	if byPID {
		cfg.PIDFile = filepath.Join(dir, "nginx.pid")
	}
	c := realtest.NewClient(t, at[0])
	old, reloaded := settled(t, dir, nil), time.Time{}
	done := func(g *Gateway) {
		if g.reloaded == reloaded {
			return
		}
		old, reloaded = settled(t, dir, old), g.reloaded
	}
	return &realtest.Gateway{Rig: rig(t, cfg, done, c.Ask), Client: c,
		Log: realtest.Log{Path: filepath.Join(dir, "access.log"), Marks: realtest.Marks}}, cfg
}

// settled waits until there are workers, none of them an old one, and for a while the same: the master forks one after the other.
func settled(t testing.TB, dir string, old []string) []string {
	t.Helper()
	var now []string
	since := time.Now()
	realtest.Eventually(t, "new workers are in the place of the old ones", func() bool {
		seen := workers(t, dir)
		if !slices.Equal(seen, now) {
			now, since = seen, time.Now()
		}
		return len(now) > 0 && time.Since(since) > 200*time.Millisecond &&
			!slices.ContainsFunc(now, func(pid string) bool { return slices.Contains(old, pid) })
	})
	return now
}

// workers returns the ids of the master's children.
func workers(t testing.TB, dir string) []string {
	t.Helper()
	pid := strings.TrimSpace(read(t, filepath.Join(dir, "nginx.pid")))
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// The conformance suite with a real NGINX.
func TestIntegrationNGINXInclude(t *testing.T) {
	for _, byPID := range []bool{false, true} {
		t.Run(map[bool]string{false: "nginx -s reload", true: "SIGHUP"}[byPID], func(t *testing.T) {
			gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
				g, _ := start(t, byPID)
				return g.Rig
			})
		})
	}
}

// The answer and the access log name the decision.
func TestIntegrationRefusal(t *testing.T) {
	g, _ := start(t, false)
	q := gatewaytest.Request{Address: gatewaytest.Foreign, UserAgent: "bad/1", Path: "/"}
	d := block(decision.UserAgent, q.UserAgent)
	if err := g.Sync(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	r, err := g.Client.Post(t.Context(), q, "hello")
	if err != nil || r.Status != 403 || r.Decision != d.ID || !strings.Contains(r.Body, `"error":"blocked","decision":"`+d.ID) {
		t.Errorf("%+v %v", r, err)
	}
	realtest.Eventually(t, "the access log names the decision", func() bool {
		return strings.Contains(read(t, g.Log.Path), `"warder_decision":"`+d.ID+`","warder_action":"block"`)
	})
	q.Path, q.UserAgent = "/403", "good/1" // the service's own
	if r, err := g.Client.Post(t.Context(), q, "hello"); err != nil || r.Status != 403 || r.Body != "hello" || r.Decision != "" {
		t.Errorf("%+v %v", r, err)
	}
}

// NGINX takes every value, the longest too, and compares it byte by byte.
func TestIntegrationHostileValues(t *testing.T) {
	g, _ := start(t, false)
	values := []string{`"; } #`, `\z" x;`, "$remote_addr", "{}", "~.*", "a'b", "EVIL/1.0", "naïve ☃", strings.Repeat(`"`, decision.MaxValue)}
	for _, v := range values {
		if err := g.Sync(t.Context(), block(decision.UserAgent, v)); err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		for _, agent := range append(slices.Clone(values), "evil/1.0") {
			want := 200
			if agent == v {
				want = 403
			}
			if a, err := g.Ask(t.Context(), gatewaytest.Request{Address: gatewaytest.Foreign, UserAgent: agent, Path: "/"}); err != nil || a.Status != want {
				t.Errorf("%q while %q is blocked: %+v %v, want %d", agent, v, a, err, want)
			}
		}
	}
}

// A broken configuration is found before NGINX is told to read it.
func TestIntegrationBroken(t *testing.T) {
	_, cfg := start(t, false)
	old := read(t, cfg.File)
	main := cfg.Test[slices.Index(cfg.Test, "-c")+1]
	if err := os.WriteFile(main, []byte(read(t, main)+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, cfg).Sync(t.Context(), []*decision.Decision{block(decision.UserAgent, "x")}, false)
	if err == nil || !strings.Contains(err.Error(), "unexpected \"}\"") || read(t, cfg.File) != old {
		t.Errorf("%v; the file: %s", err, read(t, cfg.File))
	}
}
