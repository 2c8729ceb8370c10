package envoy

import (
	"context"
	"errors"
	"testing"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// warder starts Warder's side, which believes the test's header about the principal.
func warder(t testing.TB, listen string) *realtest.Warder {
	return realtest.NewWarder(t, listen, func(set *active.Set, listen string) (realtest.Server, error) {
		cfg := DefaultConfig()
		cfg.Listen, cfg.Headers.Principal, cfg.TrustedProxies = listen, realtest.HeaderPrincipal, []string{"127.0.0.1"}
		return New(cfg, set, nil, nil, nil)
	})
}

// asked is a rig that asks Warder over gRPC, without Envoy.
func asked(t *testing.T, ask func(context.Context, *grpc.ClientConn, gatewaytest.Request) (gatewaytest.Answer, error)) *gatewaytest.Rig {
	at := realtest.Addresses(t, 1)[0]
	w := warder(t, at)
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true))) // Warder restarts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return w.Rig(func(ctx context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) { return ask(ctx, conn, q) })
}

func TestAuthorizationConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		return asked(t, func(ctx context.Context, conn *grpc.ClientConn, q gatewaytest.Request) (gatewaytest.Answer, error) {
			headers := map[string]string{"user-agent": q.UserAgent, "x-test-principal": q.Principal}
			res, err := authv3.NewAuthorizationClient(conn).Check(ctx, question(q.Address.String(), headers))
			denied := res.GetDeniedResponse()
			if err != nil || denied == nil {
				return gatewaytest.Answer{Status: 200}, err
			}
			out := gatewaytest.Answer{Status: int(denied.GetStatus().GetCode())}
			for _, h := range denied.GetHeaders() {
				if h.GetHeader().GetKey() == "Retry-After" {
					out.RetryAfter = h.GetHeader().GetValue()
				}
			}
			return out, nil
		})
	})
}

func TestRateLimitConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		r := asked(t, func(ctx context.Context, conn *grpc.ClientConn, q gatewaytest.Request) (gatewaytest.Answer, error) {
			d := describe("remote_address", q.Address.String(), "user_agent", q.UserAgent, "principal", q.Principal)
			res, err := rlsv3.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, &rlsv3.RateLimitRequest{Domain: "warder", Descriptors: []*commonv3.RateLimitDescriptor{d}})
			if err != nil || res.GetOverallCode() == rlsv3.RateLimitResponse_OK {
				return gatewaytest.Answer{Status: 200}, err
			}
			out := gatewaytest.Answer{Status: 429}
			for _, h := range res.GetResponseHeadersToAdd() {
				if h.GetKey() == "Retry-After" {
					out.RetryAfter = h.GetValue()
				}
			}
			return out, nil
		})
		return limiting(r)
	})
}

// limiting is what a rig can when all refusals are 429.
func limiting(r *gatewaytest.Rig) *gatewaytest.Rig {
	r.Refused = 429
	r.Supports = func(d *decision.Decision) error {
		if d.Action == decision.Challenge {
			return errors.New("the rate limit filter answers 429 to whatever is refused")
		}
		return nil
	}
	return r
}
