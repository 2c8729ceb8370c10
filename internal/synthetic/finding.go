package synthetic

import (
	"fmt"
	"strconv"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
)

// maxFindings bounds the findings that wait for [Traffic.Findings]; maxEvidence the events that one names.
const (
	maxFindings = 20_000
	maxEvidence = 20
)

// Finding is an alert and the life of the decision that came of it, as far as it goes; changes may lie after the traffic's end.
type Finding struct {
	Alert   *alert.Alert
	Changes []store.Change // none when the alert had no consequence
}

// Findings returns what was found since the last call. Of more than 20,000 the oldest are lost.
func (t *Traffic) Findings() []Finding {
	out := t.findings
	t.findings = nil
	return out
}

func (t *Traffic) found(f Finding) {
	if len(t.findings) == maxFindings {
		t.findings = t.findings[1:]
	}
	t.findings = append(t.findings, f)
}

// judge counts the event against its source, and alerts when it is one too many.
func (t *Traffic) judge(e *event.Event, r *Rule, s *source, after int) {
	if e.Time.Before(s.quiet) {
		return
	}
	if len(s.seen) == 0 {
		s.first = e.Time
	}
	if len(s.seen) == maxEvidence {
		s.seen = append(s.seen[:0], s.seen[1:]...)
	}
	s.seen = append(s.seen, e.ID)
	s.offences++
	if s.offences%after != 0 {
		return
	}
	a := newAlert(e, r, s.first, s.seen, after)
	s.seen, s.quiet = s.seen[:0], e.Time.Add(15*time.Minute)
	f := Finding{Alert: a}
	if r.Action != "" && r.Mode == alert.Enforce {
		f.Changes = t.decide(e, a, r, s, s.offences/after)
	}
	t.found(f)
}

// newAlert is what the detector would say.
func newAlert(e *event.Event, r *Rule, first time.Time, seen []event.ID, count int) *alert.Alert {
	a := &alert.Alert{Version: alert.Version, Rule: r.ID, RuleVersion: r.version(), Title: r.Title, Severity: r.Severity, Tags: r.Tags, Time: e.Time,
		Window: alert.Window{Start: first, End: e.Time}, Group: group(e, r), Values: map[string]float64{"requests": float64(count)},
		EventCount: int64(count), Mode: r.Mode}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	for _, id := range seen {
		a.Events = append(a.Events, id.String())
	}
	a.Sample = &alert.Sample{Event: e.ID.String(), Method: e.Request.Method, Host: e.Request.Host, Path: e.Request.Path, Query: e.Request.Query,
		Code: e.Response.Code, UserAgent: e.Request.UserAgent, Address: e.Source.Address.String(), Principal: e.Principal.ID,
		PrincipalType: e.Principal.Type, Fingerprint: e.TLS.Fingerprint}
	if r.Action != "" {
		a.Respond = []alert.Response{{Action: string(r.Action), Scope: string(r.Scope), TTL: r.TTL}}
		if r.Action == decision.Limit {
			a.Respond[0].Requests, a.Respond[0].Per, a.Respond[0].Burst = 6, time.Minute, 3
		}
	}
	return a
}

// group names the entity.
func group(e *event.Event, r *Rule) map[string]string {
	out := make(map[string]string, len(r.GroupBy))
	for _, f := range r.GroupBy {
		out[f] = field(e, f)
	}
	return out
}

func field(e *event.Event, name string) string {
	switch name {
	case "source.address":
		return e.Source.Address.String()
	case "principal.id":
		return e.Principal.ID
	case "api.route":
		return e.API.Route
	case "request.host":
		return e.Request.Host
	case "request.path":
		return e.Request.Path
	}
	return e.Tap // event.tap
}

// lives lists what becomes of decisions, with how many in a hundred.
func lives() []ending {
	return []ending{
		{66, func(l *life) { l.activate(""); l.expire() }},
		{10, func(l *life) { l.activate(decision.Observe); l.expire() }},
		{8, func(l *life) { l.hold(); l.approve(); l.expire() }},
		{5, func(l *life) { l.hold(); l.revoke("person:ines", "a partner's batch job, they were told") }},
		{3, func(l *life) { l.hold(); l.expire() }},
		{4, func(l *life) { l.activate(""); l.revoke("person:jonas", "false positive") }},
		{2, func(l *life) { l.activate(""); l.rollback() }},
		{2, func(l *life) { l.activate(""); l.extend("person:ines"); l.expire() }},
	}
}

// ending is a way for a decision to go.
type ending struct {
	weight int
	life   func(l *life)
}

// life makes the changes of one decision.
type life struct {
	t       *Traffic
	d       decision.Decision
	now     time.Time
	changes []store.Change
	from    time.Time // when it came into force
	until   time.Time
}

// decide makes the decision about the source and what becomes of it, and notes when it is in force.
func (t *Traffic) decide(e *event.Event, a *alert.Alert, r *Rule, s *source, offence int) []store.Change {
	term := decision.Term{Scope: r.Scope, Value: field(e, string(r.Scope))}
	created := e.Time.Add(lasting(t.rnd, 6*time.Millisecond, 0.6))
	ttl := min(r.TTL<<(2*min(offence-1, 4)), 24*time.Hour)
	l := &life{t: t, now: created, d: decision.Decision{Version: decision.Version, ID: decision.NewID(a.ID, r.Action, term), Action: r.Action,
		Scope: term.Scope, Value: term.Value, Mode: decision.Enforce, Creator: "rule:" + r.ID, Created: created, Expires: created.Add(ttl),
		Reason:  decision.Reason{Alert: a.ID, Rule: r.ID, RuleVersion: a.RuleVersion, Title: r.Title, Event: e.ID.String(), EventTime: e.Time},
		Offence: offence, Share: t.rnd.Float64() * 0.0004}}
	if r.Action == decision.Limit {
		l.d.Rate = &decision.Rate{Requests: 6, Per: time.Minute, Burst: 3}
	}
	l.live()
	if !l.from.IsZero() {
		mark := string(l.d.Action)
		if l.d.Mode == decision.Observe {
			mark = "observe:" + mark
		}
		s.enforced, s.from, s.until = event.Enforced{By: l.d.ID, Action: mark}, l.from.Add(8*time.Millisecond), l.until
	}
	return l.changes
}

func (l *life) live() {
	n := l.t.rnd.IntN(100)
	for _, x := range lives() {
		if n -= x.weight; n < 0 {
			x.life(l)
			return
		}
	}
}

// change writes the decision down as it is now.
func (l *life) change() {
	d := l.d
	l.changes = append(l.changes, store.Change{Decision: &d, Updated: l.now.Truncate(time.Millisecond)})
}

func (l *life) activate(mode decision.Mode) {
	l.d.State = decision.Active
	if mode == decision.Observe {
		l.d.Mode, l.d.Wanted = decision.Observe, decision.Enforce
	}
	l.from, l.until = l.now, l.d.Expires
	l.change()
}

func (l *life) hold() {
	guards := [...][2]string{{"max_share", "it touches " + strconv.Itoa(2+l.t.rnd.IntN(9)) + " % of the last ten minutes' good requests"},
		{"shared_address", "more than one principal works from this address"}, {"too_many_blocks", "more than 100 new blocks in a minute"},
		{"approval", "the rule wants an approval"}, {"never_block", "the address is on the list of those that are never blocked"}}
	g := guards[pick(l.t.rnd, 4, 4, 2, 2, 1)]
	l.d.State, l.d.Guardrail, l.d.Note = decision.Proposed, g[0], "held back: "+g[1]
	l.d.Share = 0.02 + l.t.rnd.Float64()*0.1
	l.change()
}

// later moves on by some minutes, but not past the end.
func (l *life) later() {
	l.now = l.now.Add(time.Duration(float64(l.d.Expires.Sub(l.now)) * (0.1 + 0.6*l.t.rnd.Float64())))
}

func (l *life) approve() {
	l.later()
	l.d.Approver = [...]string{"person:ines", "person:jonas", "person:mara"}[l.t.rnd.IntN(3)]
	l.activate("")
}

func (l *life) extend(by string) {
	l.later()
	l.d.Approver, l.d.Expires = by, l.d.Expires.Add(l.d.Expires.Sub(l.d.Created))
	l.until = l.d.Expires
	l.change()
}

func (l *life) expire() {
	l.now = l.d.Expires.Add(time.Duration(l.t.rnd.IntN(900)) * time.Millisecond)
	l.d.State = decision.Expired
	l.change()
}

func (l *life) revoke(by, note string) {
	l.later()
	l.d.State, l.d.Approver, l.d.Note = decision.Revoked, by, note
	l.until = l.now
	l.change()
}

func (l *life) rollback() {
	l.later()
	l.d.State, l.d.Guardrail, l.d.Note = decision.Revoked, "rollback", fmt.Sprintf("the share of refused requests rose to %d %%", 6+l.t.rnd.IntN(9))
	l.until = l.now
	l.change()
}

// noise is what rules find in traffic that is no attack: oddities, mostly of little weight.
type noise struct {
	rules []*Rule
	which alias
	every time.Duration // on average
	next  time.Time
}

func newNoise(t *Traffic) noise {
	n := noise{rules: Rules()}
	weights := make([]float64, len(n.rules))
	for i, r := range n.rules {
		weights[i] = []float64{8, 6, 3, 1, 0.15}[r.Severity.Rank()]
		if r.Action == decision.Block {
			weights[i] /= 4 // people who are blocked complain, and the rule is made better
		}
	}
	n.which = newAlias(weights)
	span := t.cfg.End.Sub(t.cfg.Start)
	n.every = span / time.Duration(min(max(int(span.Hours()*6), 120), 5000, max(t.cfg.Count/50, 1)))
	n.next = t.cfg.Start.Add(n.every / 2)
	return n
}

// notice lets a rule take the event for something, now and then.
func (t *Traffic) notice(e *event.Event) {
	n := &t.noise
	if e.Time.Before(n.next) {
		return
	}
	r := n.rules[n.which.draw(t.rnd)]
	for _, f := range r.GroupBy {
		if field(e, f) == "" {
			return // an event without that; the next one
		}
	}
	n.next = e.Time.Add(time.Duration(t.rnd.ExpFloat64() * float64(n.every)))
	s := &source{}
	t.judge(e, r, s, 1)
}
