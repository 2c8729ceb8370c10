package proof

import (
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// maxLeaks bounds the leaks that nobody was told of yet; further ones are only counted.
const maxLeaks = 10_000

// leakKey is one decision at one tap.
type leakKey struct{ decision, tap string }

// leak is what got through since it was told.
type leak struct {
	text  string // what the decision says
	count int64
	since time.Time
	event string // one of the requests
}

// Seen takes an event: it counts what decisions answered, and finds requests that got through although a decision forbids them.
func (t *Tracker) Seen(e *event.Event, now time.Time) {
	if e.Kind != event.Request {
		return
	}
	if e.Refused() {
		t.refused(e)
		return
	}
	if e.Enforced.Action != "" || e.Response.Code <= 0 || e.Response.Code >= 400 || t.refusing.Load() == 0 {
		return
	}
	at := e.Time
	if at.After(now) {
		at = now // the tap's clock is ahead
	}
	q := subject(e)
	d := t.govern(&q, at)
	if d == nil || d.Mode != decision.Enforce || d.State != decision.Active || !forbids(d, e) {
		return
	}
	t.leaked(d, e, at)
}

// subject is what the event shows of the request, as gateways see it. Only a principal that was proven counts.
func subject(e *event.Event) decision.Subject {
	q := decision.Subject{Address: e.Source.Address.Unmap().WithZone(""), Route: e.API.Route, Country: e.Source.Country, ASN: e.Source.ASN,
		UserAgent: e.Request.UserAgent, Fingerprint: e.TLS.Fingerprint}
	if e.Auth.Outcome == "success" {
		q.Principal, q.Tenant, q.APIKey = e.Principal.ID, e.Principal.Tenant, e.Principal.Type == "api_key"
	}
	return q
}

// forbids tells whether the decision lets no such request through. A challenge with 401 lets clients pass that have proven who they are, and a
// tap that knows nothing of authentication cannot tell.
func forbids(d *decision.Decision, e *event.Event) bool {
	switch d.Action {
	case decision.Block:
		return true
	case decision.Challenge:
		return d.Status != 401 || e.Auth.Outcome != "" && e.Auth.Outcome != "success"
	}
	return false
}

func (t *Tracker) refused(e *event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.decisions.byID[e.Enforced.By]
	if r == nil {
		t.m.refusals.WithLabelValues("unknown").Inc()
		return
	}
	t.m.refusals.WithLabelValues("known").Inc()
	r.refusals++
	if r.first.IsZero() || e.Time.Before(r.first) {
		r.first = e.Time
	}
}

// leaked notes a request that the decision forbids, unless the decision or the switch is too young. A decision that is not remembered says
// nothing: when it came into force is not known.
func (t *Tracker) leaked(d *decision.Decision, e *event.Event, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, grace := t.decisions.byID[d.ID], t.cfg.Grace.Std()
	if r == nil || !r.enforced || at.Sub(r.since) <= grace || !at.Before(r.expires) || t.observe || at.Sub(t.switched) <= grace {
		return
	}
	t.m.leaks.Inc()
	k := leakKey{d.ID, e.Tap}
	l := t.leaks[k]
	if l == nil {
		if len(t.leaks) == maxLeaks {
			t.m.forgotten.WithLabelValues("leak").Inc()
			return
		}
		l = &leak{text: string(d.Action) + " of " + d.Entity(), since: at, event: e.ID.String()}
		t.leaks[k] = l
	}
	l.count++
	if at.Before(l.since) {
		l.since = at
	}
}
