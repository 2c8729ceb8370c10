package envoy

import (
	"context"
	"net/netip"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/refusal"
)

// jwtFilter is the name under which Envoy's filter jwt_authn leaves the payload of a verified token.
const jwtFilter = "envoy.filters.http.jwt_authn"

// Check implements envoy.service.auth.v3.Authorization. Refusals and marks carry the decision as dynamic metadata, for the access log.
func (s *Server) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	q := s.subject(r.GetAttributes())
	v := s.set.Check(&q, time.Now())
	s.count(serviceAuth, v)
	out := &authv3.CheckResponse{Status: &statusv1.Status{}, DynamicMetadata: metadata(v)}
	if !v.Refused() {
		return out, nil
	}
	out.Status.Code = int32(codes.PermissionDenied)
	out.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(v.Status)},
		Headers: options(headers(v)),
		Body:    string(refusal.Body(v)),
	}}
	return out, nil
}

// subject is what Envoy says of the request. The route template and, without a header that has it, the TLS fingerprint are unknown to it.
func (s *Server) subject(a *authv3.AttributeContext) decision.Subject {
	http := a.GetRequest().GetHttp()
	get := func(name string) string { return header(http, name) }
	var q decision.Subject
	if peer, err := netip.ParseAddr(a.GetSource().GetAddress().GetSocketAddress().GetAddress()); err == nil {
		q.Address = s.trusted.Vouched(peer.Unmap().WithZone(""), lines(get("x-forwarded-for"))...)
	}
	q.UserAgent = get("user-agent")
	if s.cfg.PeerPrincipal {
		q.Principal = a.GetSource().GetPrincipal()
	}
	if p := s.cfg.JWTPayload; p != "" {
		claims := a.GetMetadataContext().GetFilterMetadata()[jwtFilter].GetFields()[p].GetStructValue()
		if sub := claims.GetFields()["sub"].GetStringValue(); sub != "" {
			q.Principal = sub
		}
	}
	s.cfg.Headers.Read(&q, get)
	s.geo.Place(&q)
	return q
}

// header returns a header's value: Envoy has all headers in one of two forms, with names in lower case.
func header(h *authv3.AttributeContext_HttpRequest, name string) string {
	name = strings.ToLower(name)
	if v, ok := h.GetHeaders()[name]; ok {
		return v
	}
	var all []string
	for _, v := range h.GetHeaderMap().GetHeaders() { // with encode_raw_headers
		if v.GetKey() == name {
			all = append(all, v.GetValue()+string(v.GetRawValue()))
		}
	}
	return strings.Join(all, ",")
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// metadata is what the access log can say of the verdict, nil when there is nothing to say.
func metadata(v decision.Verdict) *structpb.Struct {
	if v.Decision == nil {
		return nil
	}
	text := structpb.NewStringValue
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"decision_id": text(v.Decision.ID), "rule_id": text(v.Decision.Reason.Rule), "action": text(v.Mark())}}
}

// headers are those of the answer to a refused request.
func headers(v decision.Verdict) []*corev3.HeaderValue {
	var out []*corev3.HeaderValue
	set := func(name, value string) { out = append(out, &corev3.HeaderValue{Key: name, Value: value}) }
	set("Content-Type", "application/json")
	set("Cache-Control", "no-store")
	set("X-Content-Type-Options", "nosniff")
	set(refusal.HeaderDecision, v.Decision.ID)
	set(refusal.HeaderAction, v.Mark())
	refusal.Headers(set, v)
	return out
}

func options(hs []*corev3.HeaderValue) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, len(hs))
	for i, h := range hs {
		out[i] = &corev3.HeaderValueOption{Header: h, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
	}
	return out
}
