package active

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
)

const million = 1_000_000

// full returns a set of a million: half addresses (both families), a quarter prefixes, a quarter principals.
func full(b *testing.B) *Set {
	b.Helper()
	s := open(b, file(b))
	ds := make([]*decision.Decision, million)
	for i := range ds {
		id := fmt.Sprintf("%032x", i)
		switch i % 4 {
		case 0:
			ds[i] = dec(id, decision.Address, v4(i).String())
		case 1:
			ds[i] = dec(id, decision.Address, v6(i).String())
		case 2:
			ds[i] = dec(id, decision.CIDR, netip.PrefixFrom(v4(i), 24+i%8).Masked().String())
		default:
			ds[i] = dec(id, decision.Principal, user(i))
		}
	}
	s.apply(ds) // without waking the keeper, which would write beside the benchmark
	return s
}

func nobody(int) string { return "" }

func user(i int) string { return fmt.Sprintf("user-%d@example.com", i) }

// miss has none of the prefixes' addresses in it, but shares their first half.
func miss(i int) netip.Addr { return netip.AddrFrom16(v6(i + million).As16()) }

func one(d *decision.Decision) []*decision.Decision { return []*decision.Decision{d} }

func v4(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761)))
}

func v6(i int) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint64(a[8:], uint64(i)*11400714819323198485)
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
		{"AddressHit", func(k int) netip.Addr { return v4(k &^ 3) }, nobody},
		{"Address6Hit", func(k int) netip.Addr { return v6(k&^3 | 1) }, nobody},
		{"PrefixHit", func(k int) netip.Addr { return v4(k&^3 | 2) }, nobody},
		{"PrincipalHit", miss, func(k int) string { return user(k | 3) }},
		{"Miss", miss, func(k int) string { return user(k &^ 3) }},
		{"MissNoPrincipal", miss, nobody},
	} {
		// A few thousand different requests: a gateway's active clients, spread over the whole set.
		const n = 1 << 13
		addrs, names := make([]netip.Addr, n), make([]string, n)
		for i := range addrs {
			k := r.IntN(million)
			addrs[i], names[i] = bm.addr(k), bm.principal(k)
		}
		b.Run("Lookup/"+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Lookup(addrs[i%n], names[i%n], start)
			}
		})
	}
	b.Run("ApplyAddress", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.apply(one(dec("renewed", decision.Address, v4(i%million&^3).String())))
		}
	})
	b.Run("ApplyPrefix", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			k := i%million&^3 | 2
			s.apply(one(dec("renewed", decision.CIDR, netip.PrefixFrom(v4(k), 24+k%8).Masked().String())))
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
			if ds, err := load(s.path, start); err != nil || len(ds) != s.Len() {
				b.Fatal(len(ds), err)
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
