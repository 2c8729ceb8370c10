package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/internal/event"
)

const fuzzShared = `kind: lists
lists:
  net: {values: [203.0.113.0/29, 203.0.113.17], type: network}
  words: {values: [GET, /login, "%3Cscript%3E", or], type: text}
  folded: {values: [GET, /login, sqlmap], type: fold}
---
kind: macros
macros:
  odd: response.code in [401, 404] || request.size > 2
  named(t): inList(t, "words") || inList(t, "folded")
  one_of(a, b): '[a, b].exists(t, named(t))'
---
`

// TestListsAgreeWithCEL compares inList and macros, decided natively where possible, with CEL alone.
func TestListsAgreeWithCEL(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	tests := func() string {
		switch r.IntN(7) {
		case 0:
			return `inList(source.address, "net")`
		case 1:
			return `odd`
		case 2:
			return "named(" + randomText(r) + ")"
		case 3:
			return "one_of(" + randomText(r) + ", " + randomText(r) + ")"
		case 4:
			return `[request.useragent, source.address].exists(x, inList(x, "net"))`
		}
		return fmt.Sprintf("inList(%s, %q)", randomText(r), pick(r, []string{"net", "words", "folded"}))
	}
	accepted := 0
	for range 20 {
		text := fuzzShared
		for i := range 10 {
			text += fmt.Sprintf("---\nid: r%d\ntitle: R\nfilter: '%s && !(%s) || %s'\n", i, tests(), tests(), tests())
		}
		set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			accepted += compareWithCEL(t, set, randomEvent(r))
		}
	}
	if accepted == 0 {
		t.Error("nothing matches: the test does not tell")
	}
}

// TestInListIsExact checks that a look-up of a field does not need CEL, and so no memory.
func TestInListIsExact(t *testing.T) {
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(fuzzShared +
		"---\nid: a\ntitle: A\nfilter: inList(source.address, \"net\") && odd\n---\nid: b\ntitle: B\nfilter: inList(decode(request.path), \"words\")\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range set.rules {
		if !rule.filter.test.exact {
			t.Errorf("rule %s needs CEL", rule.ID)
		}
	}
}

// FuzzExpression compiles any filter beside lists and macros, and evaluates it.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`odd && named(request.path)`, `one_of(request.path, [1].map(t, t)[0])`, `request.path.split("/").map(x, x + x).exists(x, named(x))`,
		`cel.bind(t, odd, one_of("a", string(t)))`, `[[[1]]].exists(a, a.exists(b, b.exists(c, c == 1)))`, `geo(url(request.path).host).asn == 1`,
		`request.headers.transformMap(k, v, decode(v)).size() > 1`, `has(request.headers.x) && odd`, `{"a": odd}.a`, `"%s".format([odd])`, `named`, `odd()`,
		`optional.of(odd).optMap(odd, odd).orValue(false)`, `lists.range(100000000).exists(x, x == 1)`, `"aaaa".replace("", request.path).replace("", request.path) == ""`} {
		f.Add(s)
	}
	events := []*event.Event{randomEvent(rand.New(rand.NewPCG(1, 1))), randomEvent(rand.New(rand.NewPCG(2, 1)))}
	f.Fuzz(func(t *testing.T, expr string) {
		text := fuzzShared + "id: r\ntitle: R\nfilter: |\n  " + strings.ReplaceAll(expr, "\n", "\n  ") + "\n"
		set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
		if err != nil {
			return
		}
		for _, e := range events {
			in := newInput(set)
			in.ev = e
			for _, rule := range set.rules {
				want, err := rule.filter.holds(in)
				if got := rule.accepts(in, rule.filter); got != (want && err == nil) {
					t.Errorf("%t, CEL alone %t, %v", got, want, err)
				}
			}
		}
	})
}

// FuzzShared loads any lists, macros and extensions.
func FuzzShared(f *testing.F) {
	f.Add(fuzzShared+"id: a\ntitle: A\nfilter: odd\n", "a,b\n# c\n\"d\",e\n")
	f.Add("kind: macros\nmacros:\n  a(x): b(x) || x\n  b(x): '[x].exists(y, y)'\n---\nid: r\ntitle: R\nfilter: a(true)\n", "")
	f.Add("id: a\ntitle: A\nfilter: \"true\"\n---\nid: b\nextend: a\nfilter_and: \"false\"\nexcept: [{when: \"true\", owner: me, until: 2030-01-01}]\n", "")
	f.Add("kind: lists\nlists: {a: {file: l.csv}, b: {file: l.csv, type: network}}\n", "10.0.0.0/8;x\n::/0\n")
	f.Fuzz(func(t *testing.T, text, values string) {
		fsys := fstest.MapFS{"r.yaml": {Data: []byte(text)}, "l.csv": {Data: []byte(values)}, "l.txt": {Data: []byte(values)}}
		set, err := Load(fsys)
		if (set == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", set, err)
		}
		Lint(fsys)
	})
}
