package envoy

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/openloop"
)

func dec(id string, a decision.Action, scope decision.Scope, value string) *decision.Decision {
	d := &decision.Decision{Version: 1, ID: id, Action: a, Scope: scope, Value: value, Mode: decision.Enforce, State: decision.Active,
		Creator: "rule:r", Created: time.Now(), Expires: time.Now().Add(time.Hour), Reason: decision.Reason{Rule: "r"}}
	if a == decision.Limit {
		d.Rate = &decision.Rate{Requests: 1, Per: time.Hour, Burst: 2}
	}
	return d
}

func open(t testing.TB, ds ...*decision.Decision) *active.Set {
	t.Helper()
	set, err := active.Open(filepath.Join(t.TempDir(), "set"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	set.Apply(ds...)
	return set
}

// run serves on a free port until the test ends, and returns a connection to it.
func run(t testing.TB, set *active.Set, edit func(*Config)) *grpc.ClientConn {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	edit(&cfg)
	s, err := New(cfg, set, nil, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	conn, err := grpc.NewClient(s.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func question(peer string, headers map[string]string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://mesh/cart", Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: peer}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Headers: headers}},
		MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{jwtFilter: {Fields: map[string]*structpb.Value{
			"jwt": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"sub": structpb.NewStringValue("bob")}})}}}},
	}}
}

func TestCheck(t *testing.T) {
	mark := dec("o", decision.Block, decision.Address, "192.0.2.2")
	mark.Mode = decision.Observe
	ds := []*decision.Decision{dec("b", decision.Block, decision.Address, "192.0.2.1"), mark, dec("p", decision.Block, decision.Principal, "alice"),
		dec("j", decision.Block, decision.Principal, "bob"), dec("m", decision.Block, decision.Principal, "spiffe://mesh/cart")}
	type answer struct {
		Status     int
		ID, Action string
		Body       string
	}
	for _, tt := range []struct {
		name    string
		edit    func(*Config)
		peer    string
		headers map[string]string
		want    answer
	}{
		{name: "nobody decided on", peer: "192.0.2.9"},
		{name: "block", peer: "192.0.2.1", want: answer{403, "b", "block", `{"error":"blocked","decision":"b"}` + "\n"}},
		{name: "mark", peer: "192.0.2.2", want: answer{ID: "o", Action: "observe:block"}},
		{name: "header of an untrusted peer", peer: "198.51.100.1", headers: map[string]string{"x-forwarded-for": "192.0.2.1"}},
		{name: "header of a trusted peer", peer: "10.0.0.1", headers: map[string]string{"x-forwarded-for": "192.0.2.9,192.0.2.1"},
			want: answer{403, "b", "block", `{"error":"blocked","decision":"b"}` + "\n"}},
		{name: "principal's header", edit: func(c *Config) { c.Headers = claims.Headers{Principal: "X-User"} }, peer: "192.0.2.9",
			headers: map[string]string{"x-user": "alice"}, want: answer{403, "p", "block", `{"error":"blocked","decision":"p"}` + "\n"}},
		{name: "token", edit: func(c *Config) { c.JWTPayload = "jwt" }, peer: "192.0.2.9", want: answer{403, "j", "block", `{"error":"blocked","decision":"j"}` + "\n"}},
		{name: "certificate", edit: func(c *Config) { c.PeerPrincipal = true }, peer: "192.0.2.9", want: answer{403, "m", "block", `{"error":"blocked","decision":"m"}` + "\n"}},
		{name: "no address", peer: "pipe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := run(t, open(t, ds...), func(c *Config) {
				c.TrustedProxies = []string{"10.0.0.0/8"}
				if tt.edit != nil {
					tt.edit(c)
				}
			})
			res, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), question(tt.peer, tt.headers))
			if err != nil {
				t.Fatal(err)
			}
			meta := res.GetDynamicMetadata().GetFields()
			got := answer{int(res.GetDeniedResponse().GetStatus().GetCode()), meta["decision_id"].GetStringValue(), meta["action"].GetStringValue(), res.GetDeniedResponse().GetBody()}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if refused := res.GetStatus().GetCode() != 0; refused != (tt.want.Status != 0) {
				t.Errorf("gRPC status %d", res.GetStatus().GetCode())
			}
		})
	}
}

func describe(entries ...string) *commonv3.RateLimitDescriptor {
	d := new(commonv3.RateLimitDescriptor)
	for i := 0; i < len(entries); i += 2 {
		d.Entries = append(d.Entries, &commonv3.RateLimitDescriptor_Entry{Key: entries[i], Value: entries[i+1]})
	}
	return d
}

func TestRateLimit(t *testing.T) {
	over, ok := rlsv3.RateLimitResponse_OVER_LIMIT, rlsv3.RateLimitResponse_OK
	for _, tt := range []struct {
		name   string
		before int // questions before
		r      *rlsv3.RateLimitRequest
		want   rlsv3.RateLimitResponse_Code
		retry  string
	}{
		{name: "nobody decided on", r: &rlsv3.RateLimitRequest{Descriptors: []*commonv3.RateLimitDescriptor{describe("remote_address", "192.0.2.9")}}, want: ok},
		{name: "block", r: &rlsv3.RateLimitRequest{Descriptors: []*commonv3.RateLimitDescriptor{describe("source.address", "192.0.2.1")}}, want: over},
		{name: "second of two", before: 1, r: &rlsv3.RateLimitRequest{Descriptors: []*commonv3.RateLimitDescriptor{describe("principal", "alice")}}, want: ok},
		{name: "third of two", before: 2, r: &rlsv3.RateLimitRequest{Descriptors: []*commonv3.RateLimitDescriptor{describe("principal", "alice")}}, want: over, retry: "3600"},
		{name: "two descriptors are charged once", before: 1, want: ok, r: &rlsv3.RateLimitRequest{Descriptors: []*commonv3.RateLimitDescriptor{
			describe("generic_key", "x", "principal", "alice"), describe("principal.id", "alice")}}},
		{name: "hits", r: &rlsv3.RateLimitRequest{HitsAddend: 3, Descriptors: []*commonv3.RateLimitDescriptor{describe("principal", "alice")}}, want: over, retry: "3600"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := run(t, open(t, dec("b", decision.Block, decision.Address, "192.0.2.1"), dec("l", decision.Limit, decision.Principal, "alice")), func(*Config) {})
			c := rlsv3.NewRateLimitServiceClient(conn)
			var res *rlsv3.RateLimitResponse
			for range tt.before + 1 {
				var err error
				if res, err = c.ShouldRateLimit(t.Context(), tt.r); err != nil {
					t.Fatal(err)
				}
			}
			retry := ""
			for _, h := range res.GetResponseHeadersToAdd() {
				if h.GetKey() == "Retry-After" {
					retry = h.GetValue()
				}
			}
			if res.GetOverallCode() != tt.want || retry != tt.retry || len(res.GetStatuses()) != len(tt.r.GetDescriptors()) {
				t.Errorf("%v", res)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	res, err := healthv1.NewHealthClient(run(t, open(t), func(*Config) {})).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || res.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Error(res, err)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{TrustedProxies: []string{"x"}, Headers: claims.Headers{Route: "a b"}}.Validate()
	for _, want := range []string{"listen:", "trusted_proxies[0]:", "headers.route:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
}

// BenchmarkExtAuthz asks 5,000 times a second over gRPC, with 100,000 decisions in force.
func BenchmarkExtAuthz(b *testing.B) {
	const workers, rate = 32, 5000
	ds := make([]*decision.Decision, 100_000)
	for i := range ds {
		ds[i] = dec(fmt.Sprint(i), decision.Block, decision.Address, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
	}
	c := authv3.NewAuthorizationClient(run(b, open(b, ds...), func(*Config) {}))
	r := question("192.0.2.9", map[string]string{"user-agent": "bench"})
	ask := func(int) {
		if _, err := c.Check(b.Context(), r); err != nil {
			b.Error(err)
		}
	}
	openloop.Run(500, rate, workers, ask)
	runtime.GC() // the set is built; do not measure its garbage
	n := max(b.N, rate)
	b.ResetTimer()
	took := openloop.Run(n, rate, workers, ask)
	b.ReportMetric(openloop.Quantile(took, 0.5), "p50-ms")
	b.ReportMetric(openloop.Quantile(took, 0.99), "p99-ms")
}
