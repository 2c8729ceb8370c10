package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/sinks/webhook"
)

// rig is a running Warder with an upstream behind its gateway and a webhook receiver, for tests that break one part and look
// whether the rest goes on.
type rig struct {
	*testing.T
	app    *app.App
	cfg    app.Config
	server store.Config // where the events really are, also when cfg says otherwise
	hook   *receivers.Webhook
	log    *logbook
	client *http.Client
	url    string
	ended  chan error // Run's result
	cancel context.CancelFunc
	once   sync.Once

	mu       sync.Mutex
	sent     int
	answered map[string]int // request id → status
}

// patience bounds every wait; it is reached only when something is wrong.
const patience = 30 * time.Second

// attackRule finds every request below /attack.
const attackRule = `
id: attack
title: An attack
severity: high
filter: request.path.startsWith("/attack")
group_by: [source.address]
mode: enforce
respond:
  - block: {scope: source.address, ttl: 15m}
tests:
  - {name: none, events: [], expect: []}
`

// settings returns a configuration with everything on free ports of loopback, events in a database of the shared engine, and
// blocking on.
func settings(t *testing.T, upstream, hook string) app.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := app.DefaultConfig()
	cfg.DataDir = filepath.Join(dir, "data")
	cfg.Admin.Listen, cfg.API.Listen, cfg.Gateway.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Gateway.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.Gateway.Routes = []gateway.Route{{Upstream: gateway.Upstreams{upstream}}}
	cfg.Rules = app.Rules{Paths: []string{file(t, dir, "attack.yaml", attackRule)}}
	cfg.Collector.Drain = config.Duration(500 * time.Millisecond)
	cfg.Enforcer.Enforce = true
	cfg.Store = storetest.Config(t)
	cfg.Sinks.Backoff.Min, cfg.Sinks.Backoff.Max = config.Duration(50*time.Millisecond), config.Duration(500*time.Millisecond)
	w := webhook.DefaultConfig()
	w.Name, w.URL = "hook", config.NewSecret(hook)
	cfg.Sinks.Webhook = []webhook.Config{w}
	return cfg
}

// newRig starts Warder with every role; change breaks its configuration, and may be nil.
func newRig(t *testing.T, change func(*app.Config)) *rig {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			fmt.Fprintln(w, "hello")
		}
	}))
	t.Cleanup(upstream.Close)
	hook, err := receivers.NewWebhook("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hook.Close() })
	cfg := settings(t, upstream.URL, hook.URL())
	server := cfg.Store
	if change != nil {
		change(&cfg)
	}
	log := newLogbook(t)
	a, err := app.New(t.Context(), cfg, app.Roles(), log.logger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{T: t, app: a, cfg: cfg, server: server, hook: hook, log: log, ended: make(chan error, 1), cancel: cancel, answered: map[string]int{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}}
	go func() { r.ended <- a.Run(ctx) }()
	t.Cleanup(r.close)
	select {
	case <-a.Gateway().Ready():
	case err := <-r.ended:
		t.Fatalf("ended before the gateway listened: %v", err)
	}
	r.url = "http://" + a.Gateway().Addr().String()
	return r
}

// close stops Warder in order. A test calls it before what Warder stands on goes away; otherwise it comes at the test's end.
func (r *rig) close() {
	r.once.Do(func() {
		r.client.CloseIdleConnections()
		r.cancel()
		if err := <-r.ended; err != nil {
			r.Errorf("run: %v", err)
		}
		if err := r.app.Close(); err != nil {
			r.Errorf("close: %v", err)
		}
	})
}

// get sends a request as the address and returns the status.
func (r *rig) get(address, path string) int {
	r.Helper()
	r.mu.Lock()
	r.sent++
	id := fmt.Sprintf("request-%d", r.sent)
	r.mu.Unlock()
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		r.Error(err)
		return 0
	}
	req.Header.Set("X-Forwarded-For", address)
	req.Header.Set("X-Request-Id", id)
	resp, err := r.client.Do(req)
	if err != nil {
		r.Errorf("GET %s: %v", path, err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		r.Errorf("GET %s: %v", path, err)
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered[id] = resp.StatusCode
	return resp.StatusCode
}

// serves says that requests are proxied.
func (r *rig) serves(n int) {
	r.Helper()
	for range n {
		if code := r.get("198.51.100.1", "/"); code != http.StatusOK {
			r.Errorf("a customer's request was answered with %d", code)
		}
	}
}

// attack sends an attack from the address, which nobody refuses yet.
func (r *rig) attack(address string) {
	r.Helper()
	if code := r.get(address, "/attack"); code != http.StatusOK {
		r.Errorf("the attack of %s was answered with %d", address, code)
	}
}

// blocked waits until the address is refused.
func (r *rig) blocked(address string) {
	r.Helper()
	r.wait("a block of "+address, func() bool { return r.get(address, "/") == http.StatusForbidden })
}

// alerted waits until the webhook has the alert about the address, and says that it has it once.
func (r *rig) alerted(address string) {
	r.Helper()
	r.wait("an alert about "+address+" at the webhook", func() bool { return alerts(r.hook.Messages(), address) > 0 })
	if n := alerts(r.hook.Messages(), address); n != 1 || r.hook.Repeats() > 0 {
		r.Errorf("the webhook got %d alerts about %s, and %d repeats", n, address, r.hook.Repeats())
	}
}

func alerts(ms []receivers.Message, text string) (n int) {
	for _, m := range ms {
		if strings.Contains(string(m.Body), `"`+text+`"`) {
			n++
		}
	}
	return n
}

// closes says that the loop closes: a customer is served, an attack leads to a block and an alert.
func (r *rig) closes(address string) {
	r.Helper()
	r.serves(3)
	r.attack(address)
	r.blocked(address)
	r.alerted(address)
}

// stored waits until every request that was answered so far is in the store, and says that each is there once.
func (r *rig) stored() {
	r.Helper()
	conn := r.conn()
	var have map[string]uint64
	r.wait("every event in the store", func() bool {
		have = requestIDs(r.T, conn)
		r.mu.Lock()
		defer r.mu.Unlock()
		for id := range r.answered {
			if have[id] == 0 {
				return false
			}
		}
		return true
	})
	for id, n := range have {
		if n != 1 {
			r.Errorf("request %s is in the store %d times", id, n)
		}
	}
}

// conn is a plain connection to where the events are.
func (r *rig) conn() clickhouse.Conn { return storetest.Conn(r, r.server) }

// wait polls until ok.
func (r *rig) wait(what string, ok func() bool) {
	r.Helper()
	wait(r.T, what, ok)
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain for %s", patience, what)
		case <-tick.C:
		}
	}
}

// file writes a file and returns its path.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
