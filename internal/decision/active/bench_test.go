package active

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
)

const million = 1_000_000

// full returns a set of a million: a third addresses (both families), a third prefixes of many lengths (both families), a third
// principals.
func full(b *testing.B) *Set {
	b.Helper()
	s := open(b, file(b))
	ds := make([]*decision.Decision, million)
	for i := range ds {
		ds[i] = nth(i)
	}
	s.apply(ds) // without waking the keeper, which would write beside the benchmark
	return s
}

// nth makes the i-th of a million.
func nth(i int) *decision.Decision {
	id := fmt.Sprintf("%032x", i)
	switch i % 6 {
	case 0:
		return dec(id, decision.Address, v4(i).String())
	case 1:
		return dec(id, decision.Address, v6(i).String())
	case 2:
		return dec(id, decision.CIDR, pfx4(i).String())
	case 3:
		return dec(id, decision.CIDR, pfx6(i).String())
	}
	return dec(id, decision.Principal, user(i))
}

// pfx4 has lengths from 17 to 32 below 128.0.0.0/1, pfx6 from 29 to 64 and some of 128.
func pfx4(i int) netip.Prefix {
	a := v4(i).As4()
	a[0] |= 0x80
	return netip.PrefixFrom(netip.AddrFrom4(a), 17+i/6%16).Masked()
}

func pfx6(i int) netip.Prefix {
	n := 29 + i/6%37
	if n == 65 {
		n = 128
	}
	return netip.PrefixFrom(v6(i), n).Masked()
}

func nobody(int) string { return "" }

func user(i int) string { return fmt.Sprintf("user-%d@example.com", i) }

// miss4 has none of the prefixes' addresses; miss6 shares their first bytes.
func miss4(i int) netip.Addr {
	a := v4(i + million).As4()
	a[0] &= 0x7f
	return netip.AddrFrom4(a)
}

func miss6(i int) netip.Addr {
	a := v6(i + million).As16()
	a[3] |= 0x07
	a[0] = 0x24
	return netip.AddrFrom16(a)
}

func one(d *decision.Decision) []*decision.Decision { return []*decision.Decision{d} }

func v4(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761)))
}

func v6(i int) netip.Addr {
	a := [16]byte{0x20}
	binary.BigEndian.PutUint64(a[1:], uint64(i)*11400714819323198485)
	binary.BigEndian.PutUint32(a[12:], uint32(i)*2654435761)
	return netip.AddrFrom16(a)
}

func BenchmarkMillion(b *testing.B) {
	s := full(b)
	b.Logf("%d decisions", s.Len())
	runtime.GC() // the set is built; do not measure its garbage
	r := rand.New(rand.NewPCG(1, 2))
	for _, bm := range []struct {
		name      string
		addr      func(k int) netip.Addr
		principal func(k int) string
	}{
		{"AddressHit", func(k int) netip.Addr { return v4(k) }, nobody},
		{"Address6Hit", func(k int) netip.Addr { return v6(k + 1) }, nobody},
		{"PrefixHit", func(k int) netip.Addr { return pfx4(k + 2).Addr() }, nobody},
		{"Prefix6Hit", func(k int) netip.Addr { return pfx6(k + 3).Addr() }, nobody},
		{"PrincipalHit", miss4, func(k int) string { return user(k + 4) }},
		{"Principal6Hit", miss6, func(k int) string { return user(k + 5) }},
		{"Miss", miss4, func(k int) string { return user(k) }},
		{"Miss6", miss6, func(k int) string { return user(k) }},
		{"MissNoPrincipal", miss4, nobody},
		{"Miss6NoPrincipal", miss6, nobody},
	} {
		// A few thousand different requests: a gateway's active clients, spread over the whole set.
		const n = 1 << 13
		addrs, names := make([]netip.Addr, n), make([]string, n)
		for i := range addrs {
			k := r.IntN(million/6-1) * 6
			addrs[i], names[i] = bm.addr(k), bm.principal(k)
		}
		b.Run("Check/"+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			// The fastest round says what the look-up costs, the mean also what else the machine does.
			round, best := time.Now(), time.Duration(math.MaxInt64)
			for i := 0; b.Loop(); i++ {
				q := decision.Subject{Address: addrs[i%n], Principal: names[i%n]}
				s.Check(&q, start)
				if i%n == n-1 {
					best, round = min(best, time.Since(round)), time.Now()
				}
			}
			b.ReportMetric(float64(best.Nanoseconds())/n, "best-ns/op")
		})
	}
	b.Run("ApplyAddress", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.apply(one(dec("renewed", decision.Address, v4(i%million/6*6).String())))
		}
	})
	b.Run("ApplyPrefix", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			k := i%million/6*6 + 2
			s.apply(one(dec("renewed", decision.CIDR, pfx4(k).String())))
		}
	})
	b.Run("Sync", func(b *testing.B) {
		ds := slices.Collect(s.All())
		for b.Loop() {
			open(b, file(b)).sync(ds)
		}
	})
	b.Run("Snapshot", func(b *testing.B) {
		for b.Loop() {
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		for b.Loop() {
			if k, err := load(s.path, start); err != nil || len(k.decisions) != s.Len() {
				b.Fatal(len(k.decisions), err)
			}
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	s := open(b, file(b))
	d := dec("l", decision.Principal, "alice", limit(1000))
	s.Apply(d)
	b.ReportAllocs()
	now := start
	for b.Loop() {
		now = now.Add(time.Microsecond)
		s.Allow(d, now)
	}
}
