//go:build integration

package haproxy

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

// TestReal runs the conformance suite against the HAProxy of this machine with the configuration that the documentation shows.
func TestReal(t *testing.T) { gatewaytest.Run(t, real) }

func real(t *testing.T) *gatewaytest.Rig {
	dir := t.TempDir()
	listen := startReal(t, dir)
	cfg := DefaultConfig()
	cfg.Address, cfg.Maps = "unix://"+filepath.Join(dir, "admin.sock"), dir
	cfg.Scopes = []decision.Scope{decision.Principal, decision.UserAgent}
	return rig(t, cfg, func(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listen+q.Path, nil)
		if err != nil {
			return gatewaytest.Answer{}, err
		}
		req.Header.Set("X-Test-Address", q.Address.String())
		req.Header.Set("X-Test-Principal", q.Principal)
		req.Header.Set("User-Agent", q.UserAgent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return gatewaytest.Answer{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 && resp.Header.Get("X-Warder-Decision") == "" {
			t.Errorf("%d without the decision's id", resp.StatusCode)
		}
		return gatewaytest.Answer{Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After")}, nil
	})
}

// startReal starts HAProxy in front of a service that answers 200, until the test ends.
func startReal(t *testing.T, dir string) (listen string) {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(service.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("@SOCKET@", filepath.Join(dir, "admin.sock"), "@MAPS@", dir, "@LISTEN@", listen,
		"@SERVICE@", service.Listener.Addr().String(), "@LOG@", "stdout").Replace(string(text))
	for _, f := range files() {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (the package haproxy of your distribution has it)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			_, err = os.Stat(filepath.Join(dir, "admin.sock")) // HAProxy renames it into place after it has begun to listen
		}
		if err == nil {
			_ = conn.Close()
			return listen
		}
		if time.Now().After(deadline) {
			t.Fatal("HAProxy does not listen")
		}
	}
}
