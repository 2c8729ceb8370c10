package webhook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// receiver is a gateway as docs/gateways/webhook.md asks for: it verifies signatures, applies changes, lets entries expire.
type receiver struct {
	mu     sync.Mutex
	t      *testing.T
	held   map[string]*decision.Decision
	named  map[string]bool // by the pages of the full set so far
	used   map[string]int
	bodies []Body
	fail   int // this many requests are answered 503
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, _ := io.ReadAll(req.Body)
	wh, _ := standardwebhooks.NewWebhook(secret)
	var b Body
	switch {
	case wh.Verify(text, req.Header) != nil:
		w.WriteHeader(401)
		return
	case r.fail > 0:
		r.fail--
		w.WriteHeader(503)
		return
	case json.Unmarshal(text, &b) != nil, b.Type != "warder.decisions", len(b.Set) > PageSize, len(b.End) > PageSize:
		w.WriteHeader(400)
		return
	}
	r.bodies = append(r.bodies, b)
	if b.Page == 1 {
		r.named = map[string]bool{}
	}
	for _, d := range b.Set {
		r.held[string(d.Key())] = d
		r.named[string(d.Key())] = true
	}
	for _, k := range b.End {
		delete(r.held, k)
	}
	for k := range r.held {
		if b.Full != "" && b.Last && !r.named[k] {
			delete(r.held, k)
		}
	}
	w.WriteHeader(204)
}

func (r *receiver) ask(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := decision.Subject{Address: q.Address, Principal: q.Principal, UserAgent: q.UserAgent}
	out := gatewaytest.Answer{Status: 200}
	for _, d := range r.held {
		if !d.Applies(time.Now()) || !d.Matches(&s) {
			continue
		}
		switch d.Action {
		case decision.Block:
			return gatewaytest.Answer{Status: 403}, nil
		case decision.Challenge:
			out = gatewaytest.Answer{Status: d.Status, RetryAfter: "60"}
		case decision.Limit:
			if r.used[d.ID]++; r.used[d.ID] > d.Rate.Burst {
				out = gatewaytest.Answer{Status: 429, RetryAfter: "30"}
			}
		}
	}
	return out, nil
}

func open(t *testing.T, key string) (*receiver, func() *Gateway) {
	t.Helper()
	r := &receiver{t: t, held: map[string]*decision.Decision{}, used: map[string]int{}}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	cfg := DefaultConfig()
	cfg.URL, cfg.Secret = config.NewSecret(srv.URL+"/T0KEN"), config.NewSecret(key)
	return r, func() *Gateway {
		g, err := New(cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g
	}
}

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		r, start := open(t, secret)
		g := start()
		return &gatewaytest.Rig{
			Sync: func(ctx context.Context, want ...*decision.Decision) error {
				_, err := g.Sync(ctx, want, false)
				return err
			},
			Ask: r.ask, Supports: g.Supports, Expires: true,
			Restart: func(context.Context) error { g = start(); return nil },
			Tamper: func(context.Context) error {
				d := gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: gatewaytest.Foreign.String()})
				r.mu.Lock()
				defer r.mu.Unlock()
				r.held = map[string]*decision.Decision{string(d.Key()): d}
				return nil
			},
			Size: func(context.Context) (int, error) { return len(r.held), nil },
		}
	})
}

// After a failure halfway, and once a forger has tried, the receiver gets the full set.
func TestFailures(t *testing.T) {
	r, start := open(t, secret)
	g := start()
	want := []*decision.Decision{gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: "203.0.113.1"})}
	for range 2 {
		if _, err := g.Sync(t.Context(), want, false); err != nil || len(r.bodies) != 1 {
			t.Errorf("%d requests, error %v: what is known is not told again", len(r.bodies), err)
		}
	}
	r.fail = 1
	if _, err := g.Sync(t.Context(), nil, false); err == nil || !strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "T0KEN") {
		t.Errorf("error %v", err)
	}
	if _, err := g.Sync(t.Context(), nil, false); err != nil || len(r.held) != 0 || r.bodies[len(r.bodies)-1].Full == "" {
		t.Errorf("%d held, error %v", len(r.held), err)
	}
	_, start = open(t, "whsec_"+strings.Repeat("QUFB", 10))
	if _, err := start().Sync(t.Context(), want, true); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("error %v", err)
	}
}

func TestConfig(t *testing.T) {
	c := Config{}
	err := c.Validate()
	for _, k := range []string{"name", "url", "secret", "resync"} {
		if err == nil || !strings.Contains(err.Error(), k+": ") {
			t.Errorf("%v does not name %s", err, k)
		}
	}
}
