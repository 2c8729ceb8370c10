package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAdmin(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_test_total", Help: "test"})
	reg.MustRegister(c)
	c.Inc()
	a, err := NewAdmin(AdminConfig{Listen: "127.0.0.1:0"}, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tr := &http.Transport{}
	get := func(path string) (int, string) {
		t.Helper()
		r, err := (&http.Client{Transport: tr}).Get("http://" + a.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "warder_test_total 1") {
		t.Errorf("metrics: %d %.200q", code, body)
	}
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("readyz without checks: %d", code)
	}
	a.Check("store", func(context.Context) error { return errors.New("not connected") })
	if code, body := get("/readyz"); code != 503 || body != "store: not connected\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	if code, _ := get("/debug/pprof/cmdline"); code != 200 {
		t.Errorf("pprof: %d", code)
	}
	tr.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	a, err := NewAdmin(AdminConfig{Listen: "127.0.0.1:0"}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewAdmin(AdminConfig{Listen: a.Addr()}, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("got %v, want an error that names admin.listen", err)
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	b, err := NewAdmin(AdminConfig{Listen: a.Addr()}, prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(LogConfig{Level: "warn", Format: "json"}, &b)
	log.Info("hidden")
	log.Warn("shown", "password", config.NewSecret("hunter2"))
	if s := b.String(); strings.Contains(s, "hidden") || strings.Contains(s, "hunter2") || !strings.Contains(s, "redacted") {
		t.Errorf("log: %s", s)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []config.Validator{
		&LogConfig{Level: "loud", Format: "text"}, &LogConfig{Level: "info", Format: "xml"}, &AdminConfig{Listen: "nowhere"},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
