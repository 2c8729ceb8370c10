package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/event"
)

func memoSet(t *testing.T) *Set {
	t.Helper()
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(`
id: agent
title: agent
filter: decode(request.useragent).matches("(?i)sqlmap|nikto") || request.useragent.contains("evil")
group_by: [source.address]
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestMemoIsBounded: however many texts come, the number that is remembered and the length of each have a bound.
func TestMemoIsBounded(t *testing.T) {
	set := memoSet(t)
	in := newInput(set)
	e := &event.Event{}
	for i := range 3 * memoSize {
		in.begin(e)
		e.Request.UserAgent = fmt.Sprintf("%s/%d", strings.Repeat("a", memoShort+i%(2*memoLong)), i)
		set.rules[0].accepts(in, set.rules[0].filter)
		in.clear()
	}
	kept := 0
	for _, x := range in.texts {
		if len(x.memos.table) > memoSize {
			t.Errorf("a table of %d", len(x.memos.table))
		}
		for _, m := range x.memos.table {
			if m == nil {
				continue
			}
			kept++
			if len(m.text) < memoShort || len(m.text) > memoLong || cap(m.text) > 2*memoLong {
				t.Fatalf("text of %d bytes in %d is remembered", len(m.text), cap(m.text))
			}
		}
	}
	if kept == 0 {
		t.Error("nothing is remembered: the test does not tell")
	}
}

// TestMemoChangesNothing: the second, third, … time the answer for a text is that of the first time, whatever came in between, and
// though the memory that the text was in has changed.
func TestMemoChangesNothing(t *testing.T) {
	set := memoSet(t)
	agents := []string{"", "x", "sqlmap", strings.Repeat("z", memoShort) + " SQLMap/1.7", strings.Repeat("z", memoLong) + " sqlmap",
		strings.Repeat("y", memoShort) + " %2573qlmap", strings.Repeat("y", memoShort) + " evil+one", strings.Repeat("w", memoShort) + " Firefox"}
	want := []bool{false, false, true, true, true, true, true, false}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		i := r.IntN(len(agents))
		line := []byte(agents[i])
		e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}, Request: event.RequestInfo{UserAgent: string(line)}}
		if got := len(set.Match(e, nil)) == 1; got != want[i] {
			t.Fatalf("%q: %t", agents[i], got)
		}
		if r.IntN(3) == 0 {
			e.Request.UserAgent = strings.Repeat("v", memoShort) + fmt.Sprint(r.IntN(3*memoSize))
			if len(set.Match(e, nil)) != 0 {
				t.Fatalf("%q matches", e.Request.UserAgent)
			}
		}
	}
}

func TestAddrTexts(t *testing.T) {
	var texts addrTexts
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		a := netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(40)), byte(r.IntN(256))})
		switch r.IntN(4) {
		case 0:
			a = netip.AddrFrom16(a.As16()) // the same one in IPv6 clothing
		case 1:
			a = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(r.IntN(256))}).WithZone(pick(r, []string{"", "a", "b"}))
		case 2:
			if r.IntN(50) == 0 {
				a = netip.Addr{}
			}
		}
		if got, want := texts.text(a), addrText(a); got != want {
			t.Fatalf("%v: %q, want %q", a, got, want)
		}
	}
	if len(texts.table) != addrSize {
		t.Errorf("a table of %d", len(texts.table))
	}
}

// TestFind compares the search in steps with looking at all literals of all patterns.
func TestFind(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	pieces := []string{"a", "b", "or", "on", "k", "s", "\u212a", "\u017f", "K", "sel", "SEL", "ect", "<", "'", "=", "1", "42", "é", "\xff", ".js", "..", "/", " ", "\t"}
	text := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(pick(r, pieces))
		}
		return b.String()
	}
	possible := 0
	for range 300 {
		x := newIndex()
		slot, _ := x.slot(textKey{field: "request.path"})
		for i := range 1 + r.IntN(80) {
			p := &pattern{}
			for range r.IntN(3) {
				var set []string
				for range 1 + r.IntN(4) {
					if l := strings.ToValidUTF8(text(4), ""); l != "" && isASCII(l) {
						set = append(set, l)
					}
				}
				if len(set) > 0 {
					p.require(x, slot, set)
				}
			}
			x.pattern(slot, patternKey{op: fmt.Sprint(i)}, func() *pattern { return p })
		}
		x.build()
		s := x.texts[slot]
		scratch := newScratch(x)
		for range 40 {
			v := text(12)
			got, hits := s.find(v, &scratch, nil), make([]uint64, len(s.literals)/64+1)
			for id, l := range s.literals {
				if strings.Contains(string(appendFolded(nil, v, new([2]uint64))), l) {
					hits[id>>6] |= 1 << (id & 63)
				}
			}
			for i, p := range s.patterns {
				if want := p.free < 0 && p.can(hits); slices.Contains(got, uint32(p.no)) != want {
					t.Fatalf("%q, pattern %d: want %t", v, i, want)
				} else if want {
					possible++
				}
			}
		}
	}
	if possible == 0 {
		t.Error("nothing is found: the test does not tell")
	}
}

func TestSuffixes(t *testing.T) {
	exprs := map[string]bool{`(?i)\.(?:png|jpe?g|css|js|m4s|ts)$`: true, `\.(?:png|Js)$`: false, `(?i)/login/?$`: true, `/(?:a|b)x$`: true, `\bx$`: false, `^/x$`: false,
		`(?i)[sk]z$`: true, `x(?:a|$)`: false, `(?m)\.js$`: false, `\.js`: false, `[a-z]+\.js$`: false, `(?i)é$`: false}
	pieces := []string{".", "png", "PNG", "pNg", "jpeg", "jpg", "js", "Js", "/login", "/LOGIN", "/", "a", "x", "X", "\u017f", "\u212a", "z", "Z", "é", "\n", "\xff", "m4\u017f"}
	r := rand.New(rand.NewPCG(9, 10))
	for expr, want := range exprs {
		re := regexp.MustCompile(expr)
		s := newSuffixes(expr, re)
		if (s != nil) != want {
			t.Errorf("%s: decided by its endings: %t", expr, s != nil)
		}
		for range 5000 {
			var b strings.Builder
			for range r.IntN(5) {
				b.WriteString(pick(r, pieces))
			}
			if text := b.String(); s != nil && s.match(text) != re.MatchString(text) {
				t.Fatalf("%s on %q: %t", expr, text, s.match(text))
			}
		}
	}
}

// TestMatchIn: with memory that is used again the matches are those of Match, until it is reset.
func TestMatchIn(t *testing.T) {
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(`
id: all
title: all
filter: request.path != "/none"
group_by: [source.address, request.method]
window: {size: 1m}
aggregates: {n: count(), agents: distinct(request.useragent), late: count(response.code >= 500)}
condition: n >= 1
---
id: plain
title: plain
filter: request.path == "/none" || response.code == 500
`)}})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 12))
	var memory Memory
	for range 5 {
		memory.Reset()
		var got, want []Match
		for range 2000 {
			e := &event.Event{Request: event.RequestInfo{Method: pick(r, []string{"", "GET"}), Path: pick(r, []string{"/", "/none"}), UserAgent: pick(r, words())},
				Response: event.ResponseInfo{Code: pick(r, []int{200, 500})}, Source: event.Source{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(3))})}}
			got, want = set.MatchIn(&memory, e, got), set.Match(e, want)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Match{}, "Rule")); d != "" || len(got) == 0 {
			t.Fatalf("%d matches (-Match +MatchIn):\n%s", len(got), d)
		}
	}
	if n := cap(memory.args.free); n > maxBlock {
		t.Errorf("a block of %d", n)
	}
}

func TestIsPlain(t *testing.T) {
	for c := range byte(0x80) {
		var chars [2]uint64
		folded := appendFolded(nil, string(rune(c)), &chars)
		if got, want := isPlain(&chars), plainText(string(folded)); got != want {
			t.Errorf("%q: %t, want %t", c, got, want)
		}
	}
}
