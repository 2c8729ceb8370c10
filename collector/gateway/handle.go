package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/warder/warder/internal/decision"
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
	// The address first: who is blocked by address costs nothing more, no signature check above all.
	d := g.set.Lookup(x.ev.Source.Address, "", x.start)
	if d == nil || d.Mode != decision.Enforce || d.Action != decision.Block {
		id := g.who.identify(r)
		x.ev.Principal, x.ev.Auth = id.principal, id.auth
		if id.proven {
			d = g.set.Lookup(x.ev.Source.Address, id.principal.ID, x.start)
		}
	}
	if d != nil && g.enforce(x, d) {
		return
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

// enforce acts on the decision and reports whether it answered the request.
func (g *Gateway) enforce(x *exchange, d *decision.Decision) bool {
	code, problem, wait := http.StatusForbidden, "blocked", time.Duration(0)
	if d.Action == decision.Limit {
		ok, after := g.set.Allow(d, x.start)
		if ok {
			return false
		}
		code, problem, wait = http.StatusTooManyRequests, "limited", after
	}
	x.ev.Enforced = event.Enforced{By: d.ID, Action: string(d.Action)}
	if d.Mode != decision.Enforce {
		x.ev.Enforced.Action = "observe:" + string(d.Action)
		g.met.enforced.WithLabelValues(x.ev.Enforced.Action).Inc()
		return false
	}
	g.met.enforced.WithLabelValues(x.ev.Enforced.Action).Inc()
	refuse(&x.res, code, problem, d.ID, wait)
	return true
}

// refuse answers for Warder itself. It names the decision, so that whoever was refused can ask about it, and nothing else.
func refuse(w http.ResponseWriter, code int, problem, id string, wait time.Duration) {
	body, err := json.Marshal(struct {
		Error    string `json:"error"`
		Decision string `json:"decision"`
	}{problem, id})
	if err != nil { // two strings: it cannot fail
		body = []byte("{}")
	}
	h := w.Header()
	if code == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10))
	}
	write(w, code, "application/json", append(body, '\n'))
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
