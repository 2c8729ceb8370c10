package gatewaytest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is the simplest gateway there can be: it does what decision.Matches says.
type memory struct {
	mu   sync.Mutex
	held []*decision.Decision
	used map[string]int
}

func (m *memory) ask(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := decision.Subject{Address: q.Address, Principal: q.Principal, UserAgent: q.UserAgent}
	out := gatewaytest.Answer{Status: 200}
	for _, d := range m.held {
		if !d.Applies(time.Now()) || !d.Matches(&s) {
			continue
		}
		switch d.Action {
		case decision.Block:
			return gatewaytest.Answer{Status: 403}, nil
		case decision.Challenge:
			out = gatewaytest.Answer{Status: d.Status, RetryAfter: "60"}
		case decision.Limit:
			if m.used[d.ID]++; m.used[d.ID] > d.Rate.Burst {
				out = gatewaytest.Answer{Status: 429, RetryAfter: "30"}
			}
		}
	}
	return out, nil
}

func TestRun(t *testing.T) {
	gatewaytest.Run(t, func(*testing.T) *gatewaytest.Rig {
		m := &memory{used: map[string]int{}}
		sync := func(_ context.Context, want ...*decision.Decision) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.held = want
			return nil
		}
		return &gatewaytest.Rig{
			Sync: sync, Ask: m.ask, Expires: true,
			Restart:  func(context.Context) error { return nil },
			Supports: func(*decision.Decision) error { return nil },
			Tamper: func(ctx context.Context) error {
				return sync(ctx, gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: gatewaytest.Foreign.String()}))
			},
			Size: func(context.Context) (int, error) { return len(m.held), nil },
		}
	})
}
