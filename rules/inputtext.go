package rules

import (
	"strings"
	"unicode/utf8"
)

// lowered is lowerAscii() of the text in the slot; it is valid until the next event.
func (in *input) lowered(i int) string {
	s := &in.slots[i]
	if s.lowGen == in.gen {
		return s.low
	}
	s.lowGen, s.low = in.gen, in.slot(i)
	switch {
	case !utf8.ValidString(s.low):
		s.low = lowerInvalid(s.low)
	case hasCapitals(s.low):
		s.buf = s.buf[:0]
		for j := range len(s.low) {
			s.buf = append(s.buf, lower(s.low[j]))
		}
		s.low = view(s.buf)
	}
	return s.low
}

// lowerInvalid is what CEL's lowerAscii makes of a text that is not UTF-8: each byte of it that is none becomes U+FFFD.
func lowerInvalid(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func hasCapitals(s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// scan looks for literals in the text in the slot, once an event.
func (in *input) scan(i int) *inputSlot {
	s := &in.slots[i]
	if s.gen == in.gen {
		return s
	}
	t := in.set.index.texts[i]
	s.gen, s.known = in.gen, &in.memo(t.source).slots[t.place]
	if !s.known.scanned {
		in.found = t.find(in.slot(i), &in.search, in.found[:0])
		if len(in.found) > memoPatterns {
			s.own.free, s.known = s.known.free, &s.own
		}
		s.known.fill(in.found)
	}
	for at, no := range s.known.list {
		p := &in.patterns[no]
		p.gen, p.at = in.gen, uint32(at)
	}
	return s
}

// possible tells whether the literals that the pattern asks for occur.
func (in *input) possible(p *pattern) bool {
	if p.free >= 0 {
		return true
	}
	in.scan(p.slot)
	return in.patterns[p.no].gen == in.gen
}

// holds tells whether a pattern holds on its text.
func (in *input) holds(p *pattern) bool {
	s := &in.slots[p.slot]
	if s.gen != in.gen {
		in.scan(p.slot)
	}
	state := &in.patterns[p.no]
	var v *verdict
	switch {
	case p.free < 0 && state.gen != in.gen:
		return false
	case p.free < 0:
		v = &s.known.verdicts[state.at]
	case p.free < memoFree:
		v = &s.known.free[p.free]
	default:
		if state.gen != in.gen {
			state.gen, state.verdict = in.gen, unknown
		}
		v = &state.verdict
	}
	if *v == unknown {
		*v = no
		if p.machine != nil && in.matches(p, in.patternText(p)) || p.machine == nil && (p.run == nil || p.run(in.patternText(p))) {
			*v = yes
		}
	}
	return *v == yes
}

func (in *input) patternText(p *pattern) string {
	if p.fold {
		return in.lowered(p.slot)
	}
	return in.slot(p.slot)
}
