//go:build integration

package haproxy

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision"
)

// start starts the HAProxy of this machine with the configuration that the documentation shows. edit is further pairs of its texts.
func start(t *testing.T, edit ...string) *realtest.Gateway {
	t.Helper()
	dir, at := t.TempDir(), realtest.Addresses(t, 1)
	for _, f := range files() {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "admin.sock")
	file := realtest.Configure(t, "testdata/haproxy.cfg", dir, append(edit, "@SOCKET@", socket, "@MAPS@", dir, "@LISTEN@", at[0],
		"@SERVICE@", realtest.Service(t), "@LOG@", "stdout")...)
	realtest.Start(t, dir, at, "haproxy", "-db", "-f", file)
	realtest.Eventually(t, "the runtime API is there", func() bool { // it comes after the listeners
		_, err := os.Stat(socket)
		return err == nil
	})
	cfg := DefaultConfig()
	cfg.Address, cfg.Maps = "unix://"+socket, dir
	cfg.Scopes = []decision.Scope{decision.Principal, decision.UserAgent}
	c := realtest.NewClient(t, at[0])
	return &realtest.Gateway{Rig: rig(t, cfg, c.Ask), Client: c, Log: realtest.Log{Path: filepath.Join(dir, "output"), Marks: realtest.Marks}}
}

func TestIntegrationConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig { return start(t).Rig })
}

// Nothing of Warder runs while HAProxy answers here: it fails open as it is.
func TestIntegrationAccept(t *testing.T) { realtest.Accept(t, start(t)) }

// Here Warder is no more than its health check, and a hanging one is as bad as none.
func TestIntegrationFailClosed(t *testing.T) {
	for _, how := range []string{"gone", "hanging"} {
		t.Run(how, func(t *testing.T) {
			hang := make(chan struct{})
			var hanging atomic.Bool
			health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hanging.Load() {
					<-hang
				}
				if r.URL.Path != "/healthz" {
					w.WriteHeader(http.StatusNotFound)
				}
			}))
			defer health.Close()
			defer close(hang)
			g := start(t, "#closed ", "", "@WARDER@", health.Listener.Addr().String())
			becomes := func(what string, status int) {
				t.Helper()
				realtest.Eventually(t, what, func() bool {
					a, err := g.Rig.Ask(t.Context(), gatewaytest.Request{Address: netip.MustParseAddr("198.51.100.1"), Path: "/"})
					return err == nil && a.Status == status
				})
			}
			becomes("requests pass while Warder is up", 200)
			if hanging.Store(how == "hanging"); how == "gone" {
				health.Close()
			}
			becomes("requests are refused while Warder is "+how, 503)
		})
	}
}
