package active

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open returns a set whose clock stands at start.
func open(t testing.TB, path string) *Set {
	t.Helper()
	s, err := openAt(path, nil, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "decisions") }

// make a decision; the options change it.
func dec(id string, scope decision.Scope, value string, opts ...func(*decision.Decision)) *decision.Decision {
	d := &decision.Decision{
		Version: decision.Version, ID: id, Action: decision.Block, Scope: scope, Value: value, Mode: decision.Enforce,
		State: decision.Active, Creator: "rule:test", Created: start.Add(-time.Minute), Expires: start.Add(time.Hour),
	}
	for _, o := range opts {
		o(d)
	}
	return d
}

func observe(d *decision.Decision) { d.Mode = decision.Observe }
func revoked(d *decision.Decision) { d.State = decision.Revoked }
func limit(requests int) func(*decision.Decision) {
	return func(d *decision.Decision) {
		d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: requests, Per: time.Minute, Burst: requests}
	}
}
func until(t time.Time) func(*decision.Decision) { return func(d *decision.Decision) { d.Expires = t } }

func lookup(s *Set, addr, principal string, now time.Time) string {
	a, _ := netip.ParseAddr(addr)
	if d := s.Lookup(a, principal, now); d != nil {
		return d.ID
	}
	return ""
}

func TestLookup(t *testing.T) {
	addr, pfx, who := decision.Address, decision.CIDR, decision.Principal
	tests := []struct {
		name            string
		set             []*decision.Decision
		addr, principal string
		want            string
	}{
		{name: "empty set", addr: "192.0.2.1"},
		{name: "address", set: []*decision.Decision{dec("a", addr, "192.0.2.1")}, addr: "192.0.2.1", want: "a"},
		{name: "other address", set: []*decision.Decision{dec("a", addr, "192.0.2.1")}, addr: "192.0.2.2"},
		{name: "mapped address asks", set: []*decision.Decision{dec("a", addr, "192.0.2.1")}, addr: "::ffff:192.0.2.1", want: "a"},
		{name: "mapped address decided", set: []*decision.Decision{dec("a", addr, "::ffff:192.0.2.1")}, addr: "192.0.2.1", want: "a"},
		{name: "IPv6 spelling", set: []*decision.Decision{dec("a", addr, "2001:DB8:0::1")}, addr: "2001:db8::1", want: "a"},
		{name: "zone", set: []*decision.Decision{dec("a", addr, "fe80::1")}, addr: "fe80::1%eth0", want: "a"},
		{name: "prefix", set: []*decision.Decision{dec("a", pfx, "198.51.100.0/24")}, addr: "198.51.100.77", want: "a"},
		{name: "prefix with host bits", set: []*decision.Decision{dec("a", pfx, "198.51.100.9/24")}, addr: "198.51.100.77", want: "a"},
		{name: "mapped prefix", set: []*decision.Decision{dec("a", pfx, "::ffff:198.51.100.0/120")}, addr: "198.51.100.77", want: "a"},
		{name: "IPv6 default route is not IPv4", set: []*decision.Decision{dec("a", pfx, "::/0")}, addr: "198.51.100.77"},
		{name: "principal", set: []*decision.Decision{dec("a", who, "alice")}, addr: "192.0.2.1", principal: "alice", want: "a"},
		{name: "principal without address", set: []*decision.Decision{dec("a", who, "alice")}, principal: "alice", want: "a"},
		{name: "no principal", set: []*decision.Decision{dec("a", who, "alice")}, addr: "192.0.2.1"},
		{name: "enforced goes before observed", set: []*decision.Decision{dec("seen", addr, "192.0.2.1", observe),
			dec("lim", pfx, "192.0.2.0/24", limit(9))}, addr: "192.0.2.1", want: "lim"},
		{name: "block goes before limit", set: []*decision.Decision{dec("lim", addr, "192.0.2.1", limit(9)),
			dec("blk", addr, "192.0.2.1")}, addr: "192.0.2.1", want: "blk"},
		{name: "wide block goes before narrow limit", set: []*decision.Decision{dec("lim", pfx, "192.0.2.0/30", limit(9)),
			dec("blk", pfx, "192.0.0.0/16")}, addr: "192.0.2.1", want: "blk"},
		{name: "wide block goes before narrow observation", set: []*decision.Decision{dec("seen", pfx, "192.0.2.0/30", observe),
			dec("blk", pfx, "192.0.0.0/16")}, addr: "192.0.2.1", want: "blk"},
		{name: "lowest limit", set: []*decision.Decision{dec("wide", addr, "192.0.2.1", limit(90)), dec("tight", who, "alice", limit(3))},
			addr: "192.0.2.1", principal: "alice", want: "tight"},
		{name: "expired narrow prefix uncovers the wide one", set: []*decision.Decision{dec("wide", pfx, "192.0.0.0/16"),
			dec("narrow", pfx, "192.0.2.0/24", until(start.Add(time.Second)))}, addr: "192.0.2.1", want: "wide"},
		{name: "expired", set: []*decision.Decision{dec("a", addr, "192.0.2.1", until(start.Add(time.Second)))}, addr: "192.0.2.1"},
		{name: "revoked", set: []*decision.Decision{dec("a", addr, "192.0.2.1"), dec("a", addr, "192.0.2.1", revoked)}, addr: "192.0.2.1"},
		{name: "newest wins", set: []*decision.Decision{dec("a", addr, "192.0.2.1"), dec("b", addr, "192.0.2.1")}, addr: "192.0.2.1", want: "b"},
		{name: "prefix goes over to observe", set: []*decision.Decision{dec("a", pfx, "192.0.2.0/24"),
			dec("b", pfx, "192.0.2.0/24", observe)}, addr: "192.0.2.1", want: "b"},
		{name: "proposed does nothing", set: []*decision.Decision{dec("a", addr, "192.0.2.1", func(d *decision.Decision) {
			d.State = decision.Proposed
		})}, addr: "192.0.2.1"},
		{name: "invalid is ignored", set: []*decision.Decision{dec("a", addr, "nonsense"), dec("b", addr, "192.0.2.1", until(time.Time{}))},
			addr: "192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, file(t))
			now := start.Add(2 * time.Second)
			s.Apply(tt.set...)
			if got := lookup(s, tt.addr, tt.principal, now); got != tt.want {
				t.Errorf("applied at once: got %q, want %q", got, tt.want)
			}
			one := open(t, file(t))
			for _, d := range tt.set {
				one.Apply(d)
			}
			if got := lookup(one, tt.addr, tt.principal, now); got != tt.want {
				t.Errorf("applied one by one: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSyncRemovesWhatIsNotNamed(t *testing.T) {
	s := open(t, file(t))
	s.Apply(dec("a", decision.Address, "192.0.2.1"), dec("b", decision.CIDR, "198.51.100.0/24"), dec("c", decision.Principal, "carol"),
		dec("l", decision.Address, "192.0.2.1", limit(2)))
	s.Sync(dec("a2", decision.Address, "192.0.2.1"), dec("d", decision.Principal, "dave"))
	var got []string
	for d := range s.All() {
		got = append(got, d.ID)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a2", "d"}, got); diff != "" || s.Len() != 2 {
		t.Errorf("len %d: %s", s.Len(), diff)
	}
	if n := len(s.buckets.edit(s.buckets.index("l"))); n != 0 {
		t.Errorf("%d buckets left behind", n)
	}
}

// The enforcer may end a block that ran out just after another instance blocked the entity anew.
func TestExpiryOfAnotherDecision(t *testing.T) {
	expired := func(d *decision.Decision) { d.State = decision.Expired }
	for _, tt := range []struct {
		scope decision.Scope
		value string
		who   string
	}{{decision.Address, "192.0.2.1", ""}, {decision.CIDR, "192.0.2.0/24", ""}, {decision.Principal, "bob", "bob"}} {
		for _, kind := range []func(*decision.Decision){func(*decision.Decision) {}, limit(3)} {
			s := open(t, file(t))
			s.Apply(dec("new", tt.scope, tt.value, kind))
			s.Apply(dec("old", tt.scope, tt.value, kind, expired), dec("old", tt.scope, tt.value, kind, expired))
			if got := lookup(s, "192.0.2.1", tt.who, start); got != "new" || s.Len() != 1 {
				t.Errorf("%s: %q in force of %d after the end of an earlier decision", tt.scope, got, s.Len())
			}
			if d := s.Lookup(netip.MustParseAddr("192.0.2.1"), tt.who, start); d != nil && d.Action == decision.Limit {
				for range 3 {
					s.Allow(d, start)
				}
				if ok, _ := s.Allow(d, start); ok {
					t.Errorf("%s: the limit has no bucket any more", tt.scope)
				}
			}
			s.Apply(dec("new", tt.scope, tt.value, kind, expired))
			if s.Len() != 0 {
				t.Errorf("%s: %d in force after its own end", tt.scope, s.Len())
			}
		}
	}
}

func TestSweepKeepsWhatWasRenewed(t *testing.T) {
	s := open(t, file(t))
	s.Apply(dec("old", decision.Address, "192.0.2.1", until(start.Add(time.Second))),
		dec("old", decision.CIDR, "198.51.100.0/24", until(start.Add(time.Second))),
		dec("lim", decision.Principal, "bob", limit(1), until(start.Add(time.Second))))
	s.Apply(dec("new", decision.Address, "192.0.2.1"))
	s.sweep(start.Add(time.Minute))
	if s.Len() != 1 || lookup(s, "192.0.2.1", "", start) != "new" {
		t.Errorf("len %d after the sweep, want only the renewed one", s.Len())
	}
	if len(s.buckets.edit(s.buckets.index("lim"))) != 0 {
		t.Error("the bucket of the expired limit is still there")
	}
}

func TestAllowIsARate(t *testing.T) {
	s := open(t, file(t))
	d := dec("l", decision.Address, "192.0.2.1", func(d *decision.Decision) {
		d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: 10, Per: time.Second, Burst: 3}
	})
	s.Apply(d)
	now := start
	take := func(wantOK bool, wantWait time.Duration) {
		t.Helper()
		if ok, wait := s.Allow(d, now); ok != wantOK || wait != wantWait {
			t.Errorf("at +%s: got %v, %s, want %v, %s", now.Sub(start), ok, wait, wantOK, wantWait)
		}
	}
	take(true, 0)
	take(true, 0)
	take(true, 0)
	take(false, 100*time.Millisecond)
	now = now.Add(40 * time.Millisecond)
	take(false, 60*time.Millisecond)
	now = now.Add(60 * time.Millisecond)
	take(true, 0)
	take(false, 100*time.Millisecond)
	s.Apply(dec("l", decision.Address, "192.0.2.1", limit(10), until(start.Add(2*time.Hour)))) // renewed: the bucket stays
	take(false, 100*time.Millisecond)
	now = now.Add(-time.Hour) // the clock is set back
	take(true, 0)
	now = now.Add(time.Hour * 24)
	for range 3 {
		take(true, 0)
	}
	take(false, 100*time.Millisecond)
	s.Apply(dec("l", decision.Address, "192.0.2.1", limit(10), revoked))
	take(true, 0)
}

func TestAllowExtremes(t *testing.T) {
	for _, r := range []decision.Rate{
		{Requests: 1, Per: 1 << 62, Burst: 1 << 40}, {Requests: 1 << 40, Per: 1, Burst: 1}, {Requests: 1, Per: 1 << 62, Burst: 1},
	} {
		var b bucket
		if ok, _ := b.take(&r, start.UnixNano()); !ok {
			t.Errorf("%+v: the first request is refused", r)
		}
		if _, wait := b.take(&r, start.UnixNano()); wait < 0 {
			t.Errorf("%+v: negative wait %s", r, wait)
		}
	}
}

func TestRestartKeepsDecisions(t *testing.T) {
	path := file(t)
	now := time.Now()
	live := func(d *decision.Decision) { d.Created, d.Expires = now.Add(-time.Hour), now.Add(time.Hour) }
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(dec("a", decision.Address, "192.0.2.1", live), dec("b", decision.CIDR, "2001:db8::/32", live),
		dec("c", decision.Principal, "carol", live, limit(3)), dec("gone", decision.Address, "192.0.2.9", live),
		dec("gone", decision.Address, "192.0.2.9", live, revoked))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if lookup(s, "192.0.2.1", "", now) != "a" || lookup(s, "2001:db8::5", "", now) != "b" || lookup(s, "", "carol", now) != "c" || s.Len() != 3 {
		t.Errorf("%d decisions after the restart", s.Len())
	}
	if lookup(s, "192.0.2.1", "", now.Add(2*time.Hour)) != "" {
		t.Error("a decision outlived its expiry through the restart")
	}
}

func TestSnapshotFollowsByItself(t *testing.T) {
	path := file(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		live := func(d *decision.Decision) { d.Created, d.Expires = now.Add(-time.Hour), now.Add(time.Hour) }
		s.Apply(dec("a", decision.Address, "192.0.2.1", live))
		time.Sleep(2 * saveDelay) // the bubble's clock
		synctest.Wait()
		k, err := load(path, now)
		if err != nil || len(k.decisions) != 1 {
			t.Errorf("snapshot has %d decisions, error %v", len(k.decisions), err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s.Len() != 0 {
			t.Error("the expired decision was not swept")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCorruptSnapshotIsSetAside(t *testing.T) {
	good := func() string {
		path := file(t)
		s := open(t, path)
		s.Apply(dec("a", decision.Address, "192.0.2.1", until(time.Now().Add(time.Hour))))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}()
	for name, text := range map[string]string{
		"empty": "", "garbage": "garbage", "no end": magic, "cut off": good[:len(good)-30], "changed": strings.Replace(good, "192.0.2.1", "192.0.2.2", 1),
		"doubled": good + good, "long line": magic + strings.Repeat("x", 1<<20) + "\n", "not a decision": magic + "e\x02{}\x0000000000",
		"bad switch": magic + "x\x0000000000", "no number": magic + "e" + strings.Repeat("\xff", 20), "another version": "warder-active-decisions 1\n{}\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var logged strings.Builder
			s, err := Open(path, slog.New(slog.NewTextHandler(&logged, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.Len() != 0 {
				t.Errorf("%d decisions from a corrupt file", s.Len())
			}
			aside, err := os.ReadFile(path + ".corrupt")
			if err != nil || string(aside) != text {
				t.Errorf("the file was not set aside as it was: %v", err)
			}
			if !strings.Contains(logged.String(), "set aside") {
				t.Errorf("log: %s", logged.String())
			}
		})
	}
}

func TestOpenUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, nil); err == nil { // a folder in the file's place
		t.Error("want an error")
	}
}

func TestReadersDoNotAllocate(t *testing.T) {
	s := open(t, file(t))
	lim := dec("l", decision.Principal, "alice", limit(1000))
	s.Apply(dec("a", decision.CIDR, "192.0.0.0/16", observe), lim)
	addr := netip.MustParseAddr("::ffff:192.0.2.1")
	if n := testing.AllocsPerRun(100, func() {
		s.Allow(s.Lookup(addr, "alice", start), start)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What stays is found at every moment, while its neighbours in the same shards come and go.
func TestReadersBesideAWriter(t *testing.T) {
	s := open(t, file(t))
	stays := []*decision.Decision{dec("a", decision.Address, "192.0.2.1"), dec("b", decision.CIDR, "198.51.100.0/24"),
		dec("c", decision.CIDR, "2001:db8::/45"), dec("d", decision.Principal, "mallory")}
	s.Apply(stays...)
	subjects := []decision.Subject{{Address: netip.MustParseAddr("192.0.2.1")}, {Address: netip.MustParseAddr("198.51.100.7")},
		{Address: netip.MustParseAddr("2001:db8:1::1")}, {Principal: "mallory"}}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; !stop.Load(); i++ {
				want := stays[i%len(stays)]
				if v := s.Check(&subjects[i%len(stays)], start); v.Decision == nil || v.Decision.ID != want.ID {
					t.Errorf("%s was not found", want.Entity())
					return
				}
			}
		})
	}
	others := make([]*decision.Decision, 3*shardCount) // so that the shards of those that stay change too
	for i := range others {
		others[i] = nth(i)
	}
	for range 2 {
		s.Apply(others...)
		s.Sync(stays...)
	}
	stop.Store(true)
	readers.Wait()
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(magic))
	record := appendDecision(nil, dec("a", decision.Address, "192.0.2.1", limit(3)))
	head := append([]byte(magic+"o"), byte(len(record)))
	f.Add(append(append(head, record...), 0, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := read(strings.NewReader(string(b)), start)
		if err != nil && !errors.Is(err, errCorrupt) {
			t.Error(err)
		}
		for _, d := range k.decisions {
			again, err := decode(string(appendDecision(nil, d)))
			if err != nil || again.ID != d.ID {
				t.Error(err)
			}
		}
	})
}
