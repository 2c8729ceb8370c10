package gatewaytest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Many is how many decisions the suite holds at once.
const Many = 2000

// Run runs the suite. open starts a fresh rig without decisions and cleans up after the test.
func Run(t *testing.T, open func(t *testing.T) *Rig) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"block", (*suite).block},
		{"limit", (*suite).limit},
		{"challenge", (*suite).challenge},
		{"idempotent", (*suite).idempotent},
		{"order", (*suite).order},
		{"expiry", (*suite).expiry},
		{"revoke", (*suite).revoke},
		{"restart", (*suite).restart},
		{"resync", (*suite).resync},
		{"many", (*suite).many},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&suite{t, open(t)}) })
	}
}

type suite struct {
	*testing.T
	*Rig
}

// New returns a decision in force for an hour, for tests of gateways. Limits are two requests a minute, challenges answer 429.
func New(action decision.Action, terms ...decision.Term) *decision.Decision {
	terms, err := decision.Canonical(terms...)
	if err != nil {
		panic(err) // the test is wrong
	}
	now := time.Now().Truncate(time.Second)
	d := &decision.Decision{Version: decision.Version, ID: decision.NewID("test", action, terms...), Action: action,
		Scope: terms[0].Scope, Value: terms[0].Value, And: terms[1:], Mode: decision.Enforce, Wanted: decision.Enforce, State: decision.Active,
		Creator: "rule:test", Reason: decision.Reason{Alert: "test", Rule: "test", Title: "a test"}, Created: now, Expires: now.Add(time.Hour)}
	if len(d.And) == 0 {
		d.And = nil
	}
	switch action {
	case decision.Limit:
		d.Rate = &decision.Rate{Requests: 2, Per: time.Minute, Burst: 2}
	case decision.Challenge:
		d.Status = 429
	}
	return d
}

var bystander = Request{Address: netip.MustParseAddr("198.51.100.1"), Principal: "bob", UserAgent: "good/1.0"}

// entities are what blocks are tried on: the terms, a client that meets them and one that just does not.
func entities() []entity {
	from := func(a string) Request { return Request{Address: netip.MustParseAddr(a)} }
	return []entity{
		{"address", term(decision.Address, "203.0.113.9"), from("203.0.113.9"), from("203.0.113.10")},
		{"address v6", term(decision.Address, "2001:db8::9"), from("2001:db8::9"), from("2001:db8::a")},
		{"cidr", term(decision.CIDR, "203.0.113.64/26"), from("203.0.113.127"), from("203.0.113.128")},
		{"cidr v6", term(decision.CIDR, "2001:db8:1::/48"), from("2001:db8:1:ffff::1"), from("2001:db8:2::1")},
		{"principal", term(decision.Principal, "mallory"), Request{Address: bystander.Address, Principal: "mallory"}, bystander},
		{"strange principal", term(decision.Principal, `mal "lo;ry\ 'x' #1 $y`),
			Request{Address: bystander.Address, Principal: `mal "lo;ry\ 'x' #1 $y`}, Request{Address: bystander.Address, Principal: "mal"}},
		{"user agent", term(decision.UserAgent, `evil/1.0 (x; "y")`), Request{Address: bystander.Address, UserAgent: `evil/1.0 (x; "y")`}, bystander},
		{"combination", []decision.Term{{Scope: decision.Address, Value: "203.0.113.20"}, {Scope: decision.UserAgent, Value: "evil/2.0"}},
			Request{Address: netip.MustParseAddr("203.0.113.20"), UserAgent: "evil/2.0"}, from("203.0.113.20")},
	}
}

type entity struct {
	name    string
	terms   []decision.Term
	guilty  Request
	another Request
}

func term(s decision.Scope, v string) []decision.Term { return []decision.Term{{Scope: s, Value: v}} }

// supported returns the decisions of the action that the gateway can express. It must be able to express something of a block.
func (s *suite) supported(a decision.Action) (es []entity, ds []*decision.Decision) {
	s.Helper()
	for _, e := range entities() {
		d := New(a, e.terms...)
		if err := s.Supports(d); err != nil {
			if err.Error() == "" {
				s.Errorf("%s of %s is refused without a reason", a, e.name)
			}
			continue
		}
		es, ds = append(es, e), append(ds, d)
	}
	if len(ds) == 0 && a == decision.Block {
		s.Fatal("the gateway supports no block")
	}
	return es, ds
}

func (s *suite) sync(want ...*decision.Decision) {
	s.Helper()
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b *decision.Decision) int { return cmp.Compare(string(a.Key()), string(b.Key())) })
	if err := s.Sync(s.Context(), want...); err != nil {
		s.Fatalf("sync of %d decisions: %v", len(want), err)
	}
}

func (s *suite) ask(q Request) Answer {
	s.Helper()
	q.Path = cmp.Or(q.Path, "/")
	a, err := s.Ask(s.Context(), q)
	if err != nil {
		s.Fatalf("ask as %+v: %v", q, err)
	}
	return a
}

func (s *suite) wants(what string, q Request, status int) Answer {
	s.Helper()
	a := s.ask(q)
	if a.Status != status {
		s.Errorf("%s: status %d, want %d", what, a.Status, status)
	}
	return a
}

func (s *suite) refused() int { return cmp.Or(s.Refused, 403) }

func (s *suite) guilty(es []entity) {
	s.Helper()
	for _, e := range es {
		s.wants(e.name, e.guilty, s.refused())
		s.wants(e.name+", another client", e.another, 200)
	}
	s.wants("bystander", bystander, 200)
}

func (s *suite) innocent(es []entity) {
	s.Helper()
	for _, e := range es {
		s.wants(e.name+", without a decision", e.guilty, 200)
	}
}

func (s *suite) block() {
	es, ds := s.supported(decision.Block)
	s.innocent(es)
	for i, e := range es {
		s.sync(ds[i])
		s.guilty([]entity{e})
	}
	s.sync(ds...)
	s.guilty(es)
}

// A limited client gets some requests through, then 429 with a time to come back; a block about it goes before the limit.
func (s *suite) limit() {
	es, ds := s.supported(decision.Limit)
	s.sync(ds...)
	for i, e := range es {
		passed, a := 0, Answer{Status: 200}
		for ; a.Status == 200 && passed < 20; passed++ {
			a = s.ask(e.guilty)
		}
		passed--
		if a.Status != 429 || passed < 1 || passed > 2*ds[i].Rate.Burst {
			s.Errorf("%s: %d requests passed, then %d; want %d, then 429", e.name, passed, a.Status, ds[i].Rate.Burst)
		}
		s.retryAfter(e.name, a, time.Minute)
		s.wants(e.name+", another client", e.another, 200)
		if b := New(decision.Block, e.terms...); s.Supports(b) == nil {
			s.sync(append(ds, b)...)
			s.wants(e.name+", blocked and limited", e.guilty, s.refused())
			s.sync(ds...)
		}
	}
}

func (s *suite) retryAfter(what string, a Answer, most time.Duration) {
	s.Helper()
	if n, err := strconv.Atoi(a.RetryAfter); err != nil || n < 1 || n > int(most/time.Second) {
		s.Errorf("%s: Retry-After %q, want 1 to %d seconds", what, a.RetryAfter, int(most/time.Second))
	}
}

func (s *suite) challenge() {
	es, ds := s.supported(decision.Challenge)
	s.sync(ds...)
	for _, e := range es {
		a := s.wants(e.name, e.guilty, 429)
		s.retryAfter(e.name, a, time.Hour)
		s.wants(e.name+", another client", e.another, 200)
	}
	for i, d := range ds { // decisions are immutable
		other := *d
		other.Status = 401
		ds[i] = &other
	}
	s.sync(ds...)
	for _, e := range es {
		s.wants(e.name, e.guilty, 401)
	}
}

func (s *suite) size() int {
	s.Helper()
	if s.Size == nil {
		return 0
	}
	n, err := s.Size(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *suite) idempotent() {
	es, ds := s.supported(decision.Block)
	s.sync(ds...)
	n := s.size()
	for range 3 {
		s.sync(ds...)
		s.guilty(es)
	}
	if got := s.size(); got != n {
		s.Errorf("%d entries after the same sync again, %d before", got, n)
	}
}

// However the decisions came to be, the state is that of the last sync.
func (s *suite) order() {
	es, ds := s.supported(decision.Block)
	for i := range ds {
		s.sync(ds[len(ds)-1-i:]...)
	}
	s.guilty(es)
	s.sync(ds[1:]...)
	s.sync(ds...)
	s.guilty(es)
}

func (s *suite) expiry() {
	es, ds := s.supported(decision.Block)
	for _, d := range ds {
		d.Expires = time.Now().Add(2 * time.Second)
		d.Created = d.Expires.Add(-time.Minute)
	}
	longer := New(decision.Block, decision.Term{Scope: decision.Address, Value: "203.0.113.200"})
	s.sync(append(ds, longer)...)
	s.guilty(es)
	deadline := time.Now().Add(5 * time.Second)
	for _, e := range es {
		for s.ask(e.guilty).Status != 200 {
			if time.Now().After(deadline) {
				s.Fatalf("%s: a decision outlives its expiry", e.name)
			}
			if !s.Expires && time.Now().After(ds[0].Expires) {
				s.sync(longer)
			}
			pause(s.Context())
		}
	}
	s.wants("a decision that lasts longer", Request{Address: netip.MustParseAddr("203.0.113.200")}, s.refused())
}

// pause is one step of polling with a deadline.
func pause(ctx context.Context) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
}

func (s *suite) revoke() {
	es, ds := s.supported(decision.Block)
	s.sync(ds...)
	for i, e := range es {
		s.sync(ds[i+1:]...)
		s.wants(e.name+", revoked", e.guilty, 200)
		s.guilty(es[i+1:])
	}
	s.sync()
	s.innocent(es)
}

func (s *suite) restart() {
	es, ds := s.supported(decision.Block)
	s.sync(ds...)
	if err := s.Restart(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.guilty(es)
	s.sync(ds...)
	s.guilty(es)
	if err := s.Restart(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.sync(ds[1:]...) // one ended meanwhile
	s.wants(es[0].name+", ended while Warder was away", es[0].guilty, 200)
	s.guilty(es[1:])
}

func (s *suite) resync() {
	if s.Tamper == nil {
		return
	}
	es, ds := s.supported(decision.Block)
	s.sync(ds...)
	if err := s.Tamper(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.wants("foreign entry", Request{Address: Foreign}, s.refused())
	if err := s.Restart(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.sync(ds...)
	s.guilty(es)
	s.wants("foreign entry after a resync", Request{Address: Foreign}, 200)
}

func (s *suite) many() {
	var ds []*decision.Decision
	at := func(i int) string { return fmt.Sprintf("203.0.%d.%d", 120+i/250, i%250+1) }
	for i := range Many {
		ds = append(ds, New(decision.Block, decision.Term{Scope: decision.Address, Value: at(i)}))
	}
	s.sync(ds...)
	probe := []int{0, 1, Many / 2, Many - 1}
	for _, i := range probe {
		s.wants(at(i), Request{Address: netip.MustParseAddr(at(i))}, s.refused())
	}
	s.wants("bystander", bystander, 200)
	slices.SortFunc(ds, func(a, b *decision.Decision) int { return cmp.Compare(a.ID, b.ID) })
	rest := ds[Many/2:]
	s.sync(rest...)
	for _, i := range probe {
		a := Request{Address: netip.MustParseAddr(at(i))}
		want := 200
		if slices.ContainsFunc(rest, func(d *decision.Decision) bool { return d.Value == at(i) }) {
			want = s.refused()
		}
		s.wants(at(i), a, want)
	}
	s.sync()
	s.wants(at(0), Request{Address: netip.MustParseAddr(at(0))}, 200)
}
