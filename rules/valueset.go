package rules

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/gaissmai/bart"
)

// valueSet is the values of a list. It is immutable and safe for concurrent use.
type valueSet struct {
	texts    map[string]struct{}
	fold     bool
	addrs    map[[16]byte]struct{} // single addresses of a list of networks; IPv4 as IPv6
	networks *bart.Lite            // its networks; nil for none
}

// size is how many values the set has.
func (s *valueSet) size() int {
	n := len(s.texts) + len(s.addrs)
	if s.networks != nil {
		n += s.networks.Size()
	}
	return n
}

// has tells whether the value is in the set. In a set of networks that is an address in one of them; what is no address is in none.
func (s *valueSet) has(v string) bool {
	if s.addrs != nil || s.networks != nil {
		a, err := netip.ParseAddr(v)
		return err == nil && s.hasAddr(a)
	}
	if s.fold {
		v = lowerASCII(v)
	}
	_, ok := s.texts[v]
	return ok
}

// hasAddr is has for a set of networks and an address that may be the zero one.
func (s *valueSet) hasAddr(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	a = a.Unmap().WithZone("")
	if _, ok := s.addrs[a.As16()]; ok {
		return true
	}
	return s.networks != nil && s.networks.Lookup(a)
}

// lowerASCII is CEL's lowerAscii; it does not allocate when there is nothing to do.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return strings.Map(func(r rune) rune {
				if r >= 'A' && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, s)
		}
	}
	return s
}

// setBuilder collects values. Texts are kept in one piece of memory.
type setBuilder struct {
	typ   string
	set   valueSet
	arena []byte
	ends  []int
}

func newSetBuilder(typ string) *setBuilder {
	b := &setBuilder{typ: typ}
	b.set.fold = typ == listFold
	if typ == listNetwork {
		b.set.addrs = map[[16]byte]struct{}{}
	}
	return b
}

// add takes one value.
func (b *setBuilder) add(v string) error {
	switch {
	case v == "":
		return errors.New("a value is empty")
	case len(v) > maxListValue:
		return fmt.Errorf("a value has %d bytes, limit is %d", len(v), maxListValue)
	case !utf8.ValidString(v):
		return errors.New("a value is not UTF-8")
	case b.size() >= MaxListSize:
		return fmt.Errorf("more than %d values", MaxListSize)
	case b.typ == listNetwork:
		return b.network(v)
	case b.typ == listFold:
		v = lowerASCII(v)
	}
	b.arena = append(b.arena, v...)
	b.ends = append(b.ends, len(b.arena))
	return nil
}

func (b *setBuilder) size() int {
	return len(b.ends) + b.set.size()
}

// network takes an address or a network; one whose host bits are set is taken as the network that it is in.
func (b *setBuilder) network(v string) error {
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		b.set.addrs[a.Unmap().As16()] = struct{}{}
		return nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return fmt.Errorf("%.60q is neither an address nor a network such as 192.0.2.0/24", v)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return fmt.Errorf("%.60q: write an IPv4 network as such", v)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if b.set.networks == nil {
		b.set.networks = new(bart.Lite)
	}
	b.set.networks.Insert(p.Masked())
	return nil
}

// addLines takes the values of a file: one a line, or the first column of CSV. Empty lines and what follows "#" at the beginning of
// a line or after white space are left out; of a line of a list of networks the first word counts, up to white space, "," or ";",
// as published block lists are written. It returns the line of a fault, from 1.
func (b *setBuilder) addLines(text []byte, csv bool) (int, error) {
	no := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		no++
		v := strings.TrimSpace(string(line))
		var err error
		switch {
		case csv && strings.HasPrefix(v, `"`):
			v, err = quotedColumn(v)
		case b.typ == listNetwork:
			v = v[:strings.IndexAny(v+"#", "# \t,;")]
		default:
			v = uncommented(v)
			if csv {
				v, _, _ = strings.Cut(v, ",")
			}
		}
		if v = strings.TrimSpace(v); err == nil && v != "" {
			err = b.add(v)
		}
		if err != nil {
			return no, err
		}
	}
	return 0, nil
}

func quotedColumn(line string) (string, error) {
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return "", errors.New("the quotes do not close: write the value as CSV does")
	}
	return fields[0], nil
}

func uncommented(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// done returns the set.
func (b *setBuilder) done() valueSet {
	if b.typ == listNetwork {
		return b.set
	}
	all, from := string(b.arena), 0
	b.set.texts = make(map[string]struct{}, len(b.ends))
	for _, end := range b.ends {
		b.set.texts[all[from:end]] = struct{}{}
		from = end
	}
	return b.set
}
