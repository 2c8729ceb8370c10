package envoy

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/refusal"
)

// maxHits bounds how many tokens one question takes.
const maxHits = 1000

// ShouldRateLimit implements envoy.service.ratelimit.v3.RateLimitService. All descriptors of a question are taken together: they
// describe one request, which one decision governs. Every refusal is OVER_LIMIT, blocks and challenges too.
func (s *Server) ShouldRateLimit(_ context.Context, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	q := described(r)
	s.geo.Place(&q)
	v := s.take(&q, hits(r))
	s.count(serviceLimit, v)
	code := rlsv3.RateLimitResponse_OK
	out := &rlsv3.RateLimitResponse{DynamicMetadata: metadata(v)}
	var reset *durationpb.Duration
	if v.Refused() {
		code = rlsv3.RateLimitResponse_OVER_LIMIT
		out.ResponseHeadersToAdd = headers(v)
		out.RawBody = refusal.Body(v)
		if v.Status == http.StatusTooManyRequests {
			reset = durationpb.New(time.Duration(max(1, v.RetryAfter)) * time.Second)
		}
	}
	out.OverallCode = code
	for range r.GetDescriptors() {
		out.Statuses = append(out.Statuses, &rlsv3.RateLimitResponse_DescriptorStatus{Code: code, DurationUntilReset: reset})
	}
	return out, nil
}

// take asks for each hit, and stops at the first that is refused.
func (s *Server) take(q *decision.Subject, n int) (v decision.Verdict) {
	for range n {
		if v = s.set.Check(q, time.Now()); v.Refused() {
			break
		}
	}
	return v
}

// hits is what the question costs: its hits_addend, or the highest one of its descriptors; 1 at least, [maxHits] at most.
func hits(r *rlsv3.RateLimitRequest) int {
	n := uint64(r.GetHitsAddend())
	for _, d := range r.GetDescriptors() {
		if !d.GetIsNegativeHits() {
			n = max(n, d.GetHitsAddend().GetValue())
		}
	}
	return int(min(max(n, 1), maxHits))
}

// described makes a subject of the descriptors' entries. Keys are the scopes of decisions, or the names that Envoy's own actions and
// examples use; others say nothing to us. The first value of a key counts.
func described(r *rlsv3.RateLimitRequest) (q decision.Subject) {
	text := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	for _, d := range r.GetDescriptors() {
		for _, e := range d.GetEntries() {
			switch v := e.GetValue(); e.GetKey() {
			case "remote_address", string(decision.Address):
				if a, err := netip.ParseAddr(v); err == nil && !q.Address.IsValid() {
					q.Address = a.Unmap().WithZone("")
				}
			case string(decision.APIKey), "api_key":
				q.APIKey = q.APIKey || q.Principal == "" && v != ""
				text(&q.Principal, v)
			case string(decision.Principal), "principal":
				text(&q.Principal, v)
			case string(decision.Tenant), "tenant":
				text(&q.Tenant, v)
			case string(decision.Route), "route":
				text(&q.Route, v)
			case string(decision.Country), "country":
				text(&q.Country, v)
			case string(decision.ASN), "asn":
				if n, err := strconv.ParseUint(v, 10, 32); err == nil && q.ASN == 0 {
					q.ASN = uint32(n)
				}
			case string(decision.UserAgent), "user_agent":
				text(&q.UserAgent, v)
			case string(decision.Fingerprint), "fingerprint":
				text(&q.Fingerprint, v)
			}
		}
	}
	return q
}
