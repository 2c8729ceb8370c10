package rules

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDFA compares automata with package regexp on the shipped patterns and some with every kind of assertion.
func TestDFA(t *testing.T) {
	exprs := []string{`^a|b$`, `\bab\b|\Bba\B`, `(?m)^x$|y\z`, `(?s)a.b`, `a.b`, `^$`, ``, `(?:ab?){2,5}c`, `[^a-c]+x`, `(?i)k|s\b`, `(a|ab)(c|bcd)$`, `\x00|[\x01-\x08]`,
		`(?:^|[;|])\s*id\b`, `(?im)^\w+:\s*$`, `(?:a{0,40}b){0,9}c`, `$^`, `\b`, `\B`}
	set, err := Load(Packs())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.index.patterns {
		if p.machine != nil {
			exprs = append(exprs, p.machine.expr)
		}
	}
	attacks, err := os.ReadFile("testdata/attacks.txt")
	if err != nil {
		t.Fatal(err)
	}
	pieces := strings.Fields(string(attacks))
	for _, s := range strings.Split("a b c x y k K s ab ba bcd id ; | = & ' \" ( ) < > / .. \\ \n \r\n \x00 \x05 é \u212a \u017f \xff : $ { } 1 42 select union or and", " ") {
		for range 20 {
			pieces = append(pieces, s)
		}
	}
	r := rand.New(rand.NewPCG(31, 32))
	matched, told, asked := 0, 0, 0
	for _, expr := range exprs {
		m := newMachine(expr, regexp.MustCompile(expr))
		m.prepare()
		room := dfaMemory
		d := newDFA(m, &room)
		for range 200 {
			var b strings.Builder
			for range r.IntN(8) {
				b.WriteString(pick(r, pieces))
				b.WriteString(pick(r, []string{"", "", " ", "&", "="}))
			}
			text := b.String()
			want := m.re.MatchString(text)
			got, ok := d.match(text)
			asked++
			if !ok {
				continue
			}
			told++
			if got != want {
				t.Fatalf("%.200s on %q: %t, want %t", expr, text, got, want)
			}
			if want {
				matched++
			}
		}
		if len(d.states) > dfaStates {
			t.Errorf("%.80s: %d states", expr, len(d.states))
		}
	}
	t.Logf("%d texts, %d told, %d matches", asked, told, matched)
	if matched == 0 || told < asked/2 {
		t.Errorf("%d of %d texts told, %d matches: the test does not tell", told, asked, matched)
	}
}
