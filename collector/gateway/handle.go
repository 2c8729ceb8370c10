package gateway

import (
	"context"
	"net/http"
	"strconv"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/refusal"
	"github.com/warder/warder/internal/event"
)

// handle answers one request.
func (g *Gateway) handle(w http.ResponseWriter, r *http.Request) {
	g.inflight.Add(1)
	defer g.inflight.Done()
	g.met.inflight.Inc()
	defer g.met.inflight.Dec()
	if c := connOf(r.Context()); c != nil {
		c.handling()
	}
	x := g.begin(w, r)
	defer x.end(r.Context())
	if !x.res.http2 && r.Body != nil && r.Body != http.NoBody {
		// Before it answers, net/http reads what the handler left of the body, and would wait for it without end.
		_ = http.NewResponseController(w).SetReadDeadline(x.start.Add(g.cfg.Timeouts.ReadBody.Std()))
	}
	g.answer(x, r)
}

func (g *Gateway) answer(x *exchange, r *http.Request) {
	rt := g.routes.find(r.Host, x.clean)
	if rt != nil {
		x.ev.API.Name = rt.name
	}
	if v := g.judge(x, r); v.Decision != nil {
		x.ev.Enforced = event.Enforced{By: v.Decision.ID, Action: v.Mark()}
		g.met.enforced.WithLabelValues(x.ev.Enforced.Action).Inc()
		if v.Refused() {
			refusal.Write(&x.res, v)
			return
		}
	}
	switch {
	case headerLines(r.Header) > g.cfg.MaxHeaders:
		plain(&x.res, http.StatusRequestHeaderFieldsTooLarge)
	case r.Method == http.MethodConnect:
		plain(&x.res, http.StatusMethodNotAllowed)
	case rt == nil:
		plain(&x.res, http.StatusNotFound)
	case g.cfg.MaxBody > 0 && r.ContentLength > int64(g.cfg.MaxBody):
		plain(&x.res, http.StatusRequestEntityTooLarge)
	default:
		g.forward(x, r, rt)
	}
}

func (g *Gateway) forward(x *exchange, r *http.Request, rt *route) {
	x.forwarded = true
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	if r.Body != nil && r.Body != http.NoBody {
		rc := r.Body
		if g.cfg.MaxBody > 0 {
			rc = http.MaxBytesReader(x.res.ResponseWriter, rc, int64(g.cfg.MaxBody))
		}
		r.Body = &body{ReadCloser: rc, x: x, limit: g.cfg.Timeouts.ReadBody.Std()}
	}
	rt.forward.ServeHTTP(&x.res, r)
}

// judge asks the decisions. The address goes first: who is blocked by it costs nothing more, no signature check above all. That look
// takes no token of a limit, so that a request costs one at most.
func (g *Gateway) judge(x *exchange, r *http.Request) decision.Verdict {
	q := &decision.Subject{Address: x.ev.Source.Address, UserAgent: x.ev.Request.UserAgent, Fingerprint: x.ev.TLS.Fingerprint}
	d := g.set.Lookup(q.Address, "", x.start)
	if d != nil && d.Action == decision.Block && d.Mode == decision.Enforce && !g.set.Observing() {
		return decision.Verdict{Decision: d, Status: http.StatusForbidden}
	}
	id := g.who.identify(r)
	x.ev.Principal, x.ev.Auth = id.principal, id.auth
	if id.proven {
		q.Principal, q.Tenant, q.APIKey = id.principal.ID, id.principal.Tenant, id.principal.Type == typeAPIKey
	}
	if g.facts.Route != nil {
		q.Route = g.facts.Route(x.ev)
	}
	if g.facts.Place != nil {
		q.Country, q.ASN = g.facts.Place(q.Address)
	}
	return g.set.Check(q, x.start)
}

// plain answers with the status in words.
func plain(w http.ResponseWriter, code int) {
	write(w, code, "text/plain; charset=utf-8", []byte(http.StatusText(code)+"\n"))
}

func write(w http.ResponseWriter, code int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may be gone; its event is out
}

func headerLines(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}
