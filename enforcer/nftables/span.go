package nftables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/warder/warder/internal/decision"
)

// span is a range of addresses of one family that is dropped until a time.
type span struct {
	first, last netip.Addr
	until       time.Time
}

// spans returns the ranges that the decisions block. They are in order and do not overlap, which the kernel's sets demand: where
// decisions do, the one that lasts longest counts. Neighbours that end at the same time are one, so that the ranges of those that are
// left at a later time are what is left of these.
func spans(want []*decision.Decision) ([]span, error) {
	all := make([]span, 0, len(want))
	for _, d := range want {
		s, err := read(d)
		if err != nil {
			return nil, fmt.Errorf("decision %.40q: %w", d.ID, err)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b span) int { // a prefix stands before those that it holds
		return cmp.Or(a.first.Compare(b.first), b.last.Compare(a.last))
	})
	var f flat
	for _, s := range all {
		f.add(s)
	}
	f.closeBefore(netip.Addr{})
	return f.out, nil
}

func read(d *decision.Decision) (span, error) {
	if d.Scope == decision.Address {
		a, err := netip.ParseAddr(d.Value)
		a = a.Unmap().WithZone("")
		return span{a, a, d.Expires}, err
	}
	p, err := decision.Prefix(d.Value)
	if err != nil {
		return span{}, err
	}
	return span{p.Addr(), last(p), d.Expires}, nil
}

// last returns the last address of the prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// flat makes prefixes, which come in order and hold each other or have nothing in common, ranges that do not overlap.
type flat struct {
	out  []span
	open []span     // each within the one before, which ends earlier
	at   netip.Addr // the first address of the innermost that is not written
}

func (f *flat) add(s span) {
	f.closeBefore(s.first)
	if n := len(f.open); n > 0 {
		if !f.open[n-1].until.Before(s.until) {
			return
		}
		f.write(s.first.Prev(), f.open[n-1].until)
	}
	f.open, f.at = append(f.open, s), s.first
}

// closeBefore ends what ends before the address; everything, when it is none.
func (f *flat) closeBefore(a netip.Addr) {
	for n := len(f.open) - 1; n >= 0 && (!a.IsValid() || f.open[n].last.Less(a)); n-- {
		f.write(f.open[n].last, f.open[n].until)
		f.at, f.open = f.open[n].last.Next(), f.open[:n]
	}
}

// write writes from where it stands to the last address, unless that is before it.
func (f *flat) write(last netip.Addr, until time.Time) {
	if !f.at.IsValid() || !last.IsValid() || last.Less(f.at) {
		return
	}
	if n := len(f.out) - 1; n >= 0 && f.out[n].last.Next() == f.at && f.out[n].until.Equal(until) {
		f.out[n].last = last
		return
	}
	f.out = append(f.out, span{f.at, last, until})
}

// slack is how far what the kernel says of an end, in whole seconds, may be from what was asked for.
const slack = 3 * time.Second

// differences counts the spans of each that the other has not, or until another time. What ends within slack is left out.
func differences(a, b []span, now time.Time) int {
	type ends struct{ a, b time.Time }
	type place struct{ first, last netip.Addr }
	all := map[place]ends{}
	for _, s := range a {
		all[place{s.first, s.last}] = ends{a: s.until}
	}
	for _, s := range b {
		e := all[place{s.first, s.last}]
		e.b = s.until
		all[place{s.first, s.last}] = e
	}
	n, soon := 0, now.Add(slack)
	for _, e := range all {
		if (e.a.After(soon) || e.b.After(soon)) && e.a.Sub(e.b).Abs() > slack {
			n++
		}
	}
	return n
}
