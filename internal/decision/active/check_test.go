package active

import (
	cmpint "cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
)

func TestScopeNumbers(t *testing.T) {
	all := decision.Scopes()
	if len(all) != scopeCount {
		t.Fatalf("%d scopes, the set knows %d", len(all), scopeCount)
	}
	for want, s := range map[int]decision.Scope{rankAddress: decision.Address, rankPrincipal: decision.Principal, rankAPIKey: decision.APIKey,
		rankCIDR: decision.CIDR, rankFingerprint: decision.Fingerprint, rankUserAgent: decision.UserAgent, rankTenant: decision.Tenant,
		rankRoute: decision.Route, rankASN: decision.ASN, rankCountry: decision.Country} {
		if s.Rank() != want || all[want] != s {
			t.Errorf("%s has the rank %d, want %d", s, s.Rank(), want)
		}
	}
}

// model is the set as one would write it without a thought for speed.
type model struct {
	held    map[string]*decision.Decision // by key
	tat     map[string]*bucket            // by id
	observe bool
}

func newModel() *model {
	return &model{held: map[string]*decision.Decision{}, tat: map[string]*bucket{}}
}

func (m *model) apply(now time.Time, ds ...*decision.Decision) {
	for _, d := range ds {
		k := string(d.Key())
		had := m.held[k]
		switch {
		case d.Applies(now):
			m.held[k] = d
		case d.Replaces(had, now):
			delete(m.held, k)
		}
	}
	m.expire(now)
}

func (m *model) expire(now time.Time) {
	ids := map[string]bool{}
	for k, d := range m.held {
		if !d.Applies(now) {
			delete(m.held, k)
			continue
		}
		if ids[d.ID] = true; m.tat[d.ID] == nil {
			m.tat[d.ID] = new(bucket)
		}
	}
	for id := range m.tat {
		if !ids[id] {
			delete(m.tat, id)
		}
	}
}

// check returns what Check may say: several verdicts when decisions of the same weight meet.
func (m *model) check(q *decision.Subject, now time.Time) []decision.Verdict {
	var best [ranks][]*decision.Decision
	for _, d := range m.held {
		if !d.Applies(now) || !d.Matches(q) || q.Principal != "" && forStrangers(d) {
			continue
		}
		r := rank(d)
		if d.Action == decision.Limit && len(best[r]) > 0 {
			had := best[r][0]
			if c := cmpint.Compare(d.Rate.Requests, had.Rate.Requests); c < 0 || c == 0 && d.ID < had.ID { // Per is the same for all here
				best[r][0] = d
			}
			continue
		}
		best[r] = append(best[r], d)
	}
	for r, ds := range best {
		var out []decision.Verdict
		for _, d := range ds {
			v := decision.Verdict{Decision: d, Observed: d.Action != decision.Log && (r >= int(observeBlock) || m.observe)}
			switch d.Action {
			case decision.Block:
				v.Status = 403
			case decision.Challenge:
				if v.Status = d.Status; v.Status == 429 {
					v.RetryAfter = seconds(d.Expires.Sub(now))
				}
			case decision.Limit:
				ok, wait := m.tat[d.ID].take(d.Rate, now.UnixNano())
				if ok {
					continue
				}
				v.Status, v.RetryAfter = 429, seconds(wait)
			}
			if v.Observed {
				v.Status, v.RetryAfter = 0, 0
			}
			out = append(out, v)
		}
		if len(out) > 0 {
			return out
		}
	}
	return []decision.Verdict{{}}
}

// world makes random decisions and requests that often meet.
type world struct {
	*rand.Rand
	ids int
}

func (w *world) pick(of ...string) string { return of[w.IntN(len(of))] }

func (w *world) addr() netip.Addr {
	if w.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{192, byte(w.IntN(2)), byte(w.IntN(3)), byte(w.IntN(4))})
	}
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 7: byte(w.IntN(2)), 8: byte(w.IntN(2) * 255), 15: byte(w.IntN(4))})
}

func (w *world) value(s decision.Scope) string {
	switch s {
	case decision.Address:
		return w.addr().String()
	case decision.CIDR:
		a := w.addr()
		return netip.PrefixFrom(a, w.IntN(a.BitLen()+1)).Masked().String()
	case decision.Country:
		return w.pick("DE", "FR")
	case decision.ASN:
		return w.pick("64496", "64497", "4294967295")
	}
	return w.pick("a", "b", "c") // the same texts in all scopes: they must not be mixed up
}

func (w *world) subject() *decision.Subject {
	maybe := func(s decision.Scope) string {
		if w.IntN(4) == 0 {
			return ""
		}
		return w.value(s)
	}
	q := &decision.Subject{Principal: maybe(decision.Principal), APIKey: w.IntN(2) == 0, Tenant: maybe(decision.Tenant), Route: maybe(decision.Route),
		Country: maybe(decision.Country), UserAgent: maybe(decision.UserAgent), Fingerprint: maybe(decision.Fingerprint)}
	if w.IntN(8) > 0 {
		q.Address = w.addr()
	}
	if n, err := strconv.ParseUint(maybe(decision.ASN), 10, 32); err == nil {
		q.ASN = uint32(n)
	}
	return q
}

func (w *world) decision(now time.Time) *decision.Decision {
	w.ids++
	terms := []decision.Term{}
	n := 1 + max(0, w.IntN(6)-3)
	for i, s := range w.Perm(scopeCount) {
		if i < n {
			scope := decision.Scopes()[s]
			terms = append(terms, decision.Term{Scope: scope, Value: w.value(scope)})
		}
	}
	terms, err := decision.Canonical(terms...)
	if err != nil {
		panic(err)
	}
	d := dec(fmt.Sprint(w.ids), terms[0].Scope, terms[0].Value)
	if len(terms) > 1 {
		d.And = terms[1:]
	}
	d.Created, d.Expires = now.Add(-time.Hour), now.Add(time.Duration(w.IntN(20000))*time.Millisecond)
	d.Mode = []decision.Mode{decision.Enforce, decision.Observe}[w.IntN(2)]
	d.State = []decision.State{decision.Active, decision.Active, decision.Active, decision.Active, decision.Expired, decision.Revoked, decision.Proposed}[w.IntN(7)]
	switch w.IntN(6) {
	case 0:
		d.Action = decision.Block
	case 1, 2:
		d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: 1 + w.IntN(4), Per: time.Minute, Burst: 1 + w.IntN(2)}
	case 3, 4:
		d.Action, d.Status = decision.Challenge, []int{401, 429}[w.IntN(2)]
	default:
		d.Action = decision.Log
	}
	return d
}

func TestCheckIsTheNaiveScan(t *testing.T) {
	for seed := range uint64(60) {
		w := &world{Rand: rand.New(rand.NewPCG(seed, 7))}
		now := start
		s, err := openAt(file(t), nil, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		// The keeper is stopped, so that nothing else reads the clock.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		m := newModel()
		mirror := map[string]*decision.Decision{}
		s.Follow(func(cs []Change) { follow(t, mirror, cs) })
		scale := 1 + int(seed)%20
		for range 300 {
			step(w, s, m, &now, scale)
			m.expire(now)
			for range 4 {
				compare(t, s, m, w.subject(), now)
			}
		}
		s.sweep(now)
		compareFollower(t, s, m, mirror)
		s.Sync()
		for l, n := range s.prefixes.count {
			if n != 0 || s.prefixes.levels.Load() != 0 {
				t.Errorf("seed %d: %d nodes of the level %d left behind", seed, n, l)
			}
		}
		for _, scope := range decision.Scopes() {
			if s.Uses(scope) || s.anchored[scope.Rank()].Load() != 0 {
				t.Errorf("seed %d: an empty set uses %s", seed, scope)
			}
		}
		if len(mirror) != 0 || s.Len() != 0 {
			t.Errorf("seed %d: %d followed and %d held after an empty Sync", seed, len(mirror), s.Len())
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// step changes the set and the model in the same way.
func step(w *world, s *Set, m *model, now *time.Time, scale int) {
	several := func(n int) (ds []*decision.Decision) {
		for range n {
			ds = append(ds, w.decision(*now))
		}
		return ds
	}
	switch w.IntN(12) {
	case 0:
		*now = now.Add(time.Duration(w.IntN(5000)) * time.Millisecond)
	case 1:
		s.sweep(*now)
	case 2:
		m.observe = !m.observe
		s.Throw(map[bool]decision.Mode{true: decision.Observe, false: decision.Enforce}[m.observe])
	case 3:
		for _, d := range m.held { // end one that is in force
			end := *d
			end.State = decision.Revoked
			s.Apply(&end)
			m.apply(*now, &end)
			break
		}
	case 4:
		if w.IntN(10) == 0 {
			ds := several(5 * scale)
			named := map[string]*decision.Decision{}
			for _, d := range ds {
				k := string(d.Key())
				if had := m.held[k]; had != nil {
					named[k] = had
				}
			}
			m.held = named
			m.apply(*now, ds...)
			s.Sync(ds...)
		}
	default:
		ds := several(1 + w.IntN(scale))
		s.Apply(ds...)
		m.apply(*now, ds...)
	}
}

func compare(t *testing.T, s *Set, m *model, q *decision.Subject, now time.Time) {
	t.Helper()
	want := m.check(q, now)
	got := s.Check(q, now)
	for _, v := range want {
		if v == got {
			return
		}
	}
	t.Errorf("%+v: got %+v (%+v), want one of %+v (%+v)", *q, got, got.Decision, want, want[0].Decision)
}

// follow keeps the mirror as a follower would, and checks that each change begins where the last one ended.
func follow(t *testing.T, mirror map[string]*decision.Decision, cs []Change) {
	for _, c := range cs {
		switch {
		case c.Old == nil && c.New == nil:
			t.Error("a change of nothing")
			continue
		case c.Old != nil:
			k := string(c.Old.Key())
			if diff := cmp.Diff(mirror[k], c.Old); diff != "" {
				t.Errorf("a change begins elsewhere (-had +old):\n%s", diff)
			}
			delete(mirror, k)
		case mirror[string(c.New.Key())] != nil:
			t.Error("new what was there")
		}
		if c.New != nil {
			mirror[string(c.New.Key())] = c.New
		}
	}
}

func compareFollower(t *testing.T, s *Set, m *model, mirror map[string]*decision.Decision) {
	want := map[string]*decision.Decision{}
	for k, d := range m.held {
		if m.observe && d.Mode == decision.Enforce {
			d = observed(d)
		}
		want[k] = d
	}
	if diff := cmp.Diff(want, mirror); diff != "" || s.Len() != len(want) {
		t.Errorf("%d held; followed (-want +got):\n%s", s.Len(), diff)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	s := open(t, file(t))
	w := &world{Rand: rand.New(rand.NewPCG(3, 4))}
	for range 500 {
		d := w.decision(start)
		d.Expires, d.State = start.Add(time.Hour), decision.Active
		s.Apply(d)
	}
	for range 200 {
		q := w.subject()
		if n := testing.AllocsPerRun(5, func() { s.Check(q, start) }); n != 0 {
			t.Fatalf("%+v: %v allocations", q, n)
		}
	}
}

func TestLimitDoesNotHideAMark(t *testing.T) {
	s := open(t, file(t))
	s.Apply(dec("lim", decision.Address, "192.0.2.1", limit(1)),
		dec("log", decision.CIDR, "192.0.2.0/24", func(d *decision.Decision) { d.Action = decision.Log }))
	q := &decision.Subject{Address: netip.MustParseAddr("192.0.2.1")}
	for i, want := range []string{"log", "limit", "limit"} {
		if v := s.Check(q, start); v.Mark() != want || v.Refused() != (want == "limit") {
			t.Errorf("request %d: %+v", i, v)
		}
	}
	s.Throw(decision.Observe)
	if v := s.Check(q, start); v.Mark() != "observe:limit" || v.Refused() || !v.Observed || v.RetryAfter != 0 {
		t.Errorf("while the switch observes: %+v", v)
	}
}

func TestChallengeAsksStrangers(t *testing.T) {
	challenge := func(status int) func(*decision.Decision) {
		return func(d *decision.Decision) { d.Action, d.Status = decision.Challenge, status }
	}
	about := func(scope decision.Scope) func(*decision.Decision) {
		return func(d *decision.Decision) { d.And = []decision.Term{{Scope: scope, Value: "t"}} }
	}
	addr := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		name  string
		with  []func(*decision.Decision)
		q     decision.Subject
		want  int
		retry int
	}{
		{"stranger", []func(*decision.Decision){challenge(401)}, decision.Subject{Address: addr}, 401, 0},
		{"proven", []func(*decision.Decision){challenge(401)}, decision.Subject{Address: addr, Principal: "alice"}, 0, 0},
		{"429 asks everybody", []func(*decision.Decision){challenge(429)}, decision.Subject{Address: addr, Principal: "alice"}, 429, 3600},
		{"about a tenant", []func(*decision.Decision){challenge(401), about(decision.Tenant)},
			decision.Subject{Address: addr, Principal: "alice", Tenant: "t"}, 401, 0},
		{"about a route", []func(*decision.Decision){challenge(401), about(decision.Route)},
			decision.Subject{Address: addr, Principal: "alice", Route: "t"}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, file(t))
			s.Apply(dec("c", decision.Address, addr.String(), tt.with...))
			if v := s.Check(&tt.q, start); v.Status != tt.want || v.RetryAfter != tt.retry {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestFollowersLearnOfExpiry(t *testing.T) {
	path := file(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		at := func(after time.Duration) func(*decision.Decision) {
			return func(d *decision.Decision) { d.Created, d.Expires = now.Add(-time.Hour), now.Add(after) }
		}
		var mu sync.Mutex
		mirror := map[string]*decision.Decision{}
		stop := s.Follow(func(cs []Change) {
			mu.Lock()
			defer mu.Unlock()
			follow(t, mirror, cs)
		})
		followed := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(mirror)
		}
		s.Apply(dec("a", decision.Address, "192.0.2.1", at(10*time.Second)), dec("b", decision.CIDR, "192.0.2.0/24", at(20*time.Second)),
			dec("c", decision.Country, "DE", at(30*time.Second)))
		s.Apply(dec("b2", decision.CIDR, "192.0.2.0/24", at(40*time.Second))) // renewed
		for _, tt := range []struct {
			at   time.Duration
			want int
		}{{9900 * time.Millisecond, 3}, {11100 * time.Millisecond, 2}, {21100 * time.Millisecond, 2}, {31100 * time.Millisecond, 1}, {41100 * time.Millisecond, 0}} {
			time.Sleep(tt.at - time.Since(now)) // the bubble's clock
			synctest.Wait()
			if n := followed(); n != tt.want || s.Len() != tt.want {
				t.Errorf("after %s: %d followed, %d held, want %d", tt.at, n, s.Len(), tt.want)
			}
		}
		stop()
		s.Apply(dec("d", decision.Country, "DE", at(time.Hour)))
		if followed() != 0 {
			t.Error("told after stop")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSwitchSurvivesARestart(t *testing.T) {
	path := file(t)
	s := open(t, path)
	s.Apply(dec("a", decision.Address, "192.0.2.1"))
	s.Throw(decision.Observe)
	s.Mark(41)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	v := again.Check(&decision.Subject{Address: netip.MustParseAddr("192.0.2.1")}, start)
	if !again.Observing() || v.Mark() != "observe:block" || v.Refused() {
		t.Errorf("after the restart: observing %v, %+v", again.Observing(), v)
	}
	if again.Position() != -1 || s.Position() != 41 {
		t.Errorf("positions %d and %d", again.Position(), s.Position())
	}
	again.Follow(func(cs []Change) {
		if len(cs) != 1 || cs[0].New.Mode != decision.Observe {
			t.Errorf("followed %+v", cs)
		}
	})
}

func TestEndingsStaySmall(t *testing.T) {
	s := open(t, file(t))
	for i := range 10_000 {
		s.Apply(dec(fmt.Sprint(i), decision.Address, "192.0.2.1"))
	}
	if len(s.endings) > 2000 {
		t.Errorf("%d endings for one decision", len(s.endings))
	}
}
