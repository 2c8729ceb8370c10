package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
)

// words are what random events and random rules are made of: few, so that they meet often.
func words() []string {
	return []string{"", "GET", "get", "/", "/login", "/admin/x.png", "union select", "UNION%20SELECT", "%3Cscript%3E", "a=1&b=2", "..",
		"../..", "k", "\u212a", "s\u017f", "é", "\xff", "%2e%2e%2f", "&lt;x&gt;", "sqlmap", "x\ny", "203.0.113.9", "OR 1=1", "or"}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func randomEvent(r *rand.Rand) *event.Event {
	text := func() string {
		pad := 0 // long enough to be remembered, or too long
		if r.IntN(3) == 0 {
			pad = r.IntN(memoLong)
		}
		return pick(r, words()) + strings.Repeat("-", pad) + pick(r, words())
	}
	e := &event.Event{Time: time.Unix(int64(r.IntN(1000)), 0).UTC()}
	e.Request = event.RequestInfo{Method: pick(r, words()), Path: text(), Query: text(), UserAgent: text(), Size: int64(r.IntN(5)),
		Duration: time.Duration(r.IntN(5)) * time.Second}
	e.Response.Code = pick(r, []int{0, 200, 401, 404})
	if r.IntN(3) > 0 {
		e.Source.Address = netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(20))})
	}
	e.Request.Referer = pick(r, words())
	if r.IntN(2) == 0 {
		e.Request.Headers = map[string]string{"x-a": text(), "x-c": pick(r, words())}
	}
	if r.IntN(4) == 0 {
		e.Request.Headers = map[string]string{"x-b": ""}
		e.Ext = map[string]string{"a": pick(r, words())}
	}
	if r.IntN(6) == 0 {
		e.Request.Size = pick(r, []int64{math.MaxInt64, math.MaxInt64 - 3, math.MinInt64, -1})
	}
	if r.IntN(2) == 0 {
		e.Principal = event.Principal{ID: pick(r, words()), Roles: []string{pick(r, words())}}
	}
	e.Enforced.Action = pick(r, []string{"", "", "", "block"})
	return e
}

// randomExpr returns a boolean expression in which most forms occur that the native compiler knows, and some that it does not.
func randomExpr(r *rand.Rand, depth int) string {
	sub := func() string { return randomExpr(r, depth-1) }
	if depth > 0 {
		switch r.IntN(7) {
		case 6:
			return "(" + sub() + " ? " + sub() + " : " + sub() + ")"
		case 0, 1:
			return "(" + sub() + " && " + sub() + ")"
		case 2:
			return "(" + sub() + " || " + sub() + ")"
		case 3:
			return "!(" + sub() + ")"
		case 4:
			return fmt.Sprintf("[%s, %s].%s(t, %s || %s)", randomText(r), randomText(r), pick(r, []string{"exists", "all"}), randomTest(r, "t"), sub())
		default:
			return fmt.Sprintf("cel.bind(t, %s, %s && %s)", randomText(r), randomTest(r, "t"), sub())
		}
	}
	switch r.IntN(16) {
	case 8:
		return fmt.Sprintf("%s %s %s", randomSum(r, 2), pick(r, []string{"==", "!=", "<", ">", "<=", ">="}), randomSum(r, 1))
	case 9:
		h := pick(r, []string{"x-a", "x-b", "x-c"})
		return fmt.Sprintf("%q in request.headers && %s", h, randomTest(r, fmt.Sprintf("request.headers[%q]", h)))
	case 10:
		return randomTest(r, pick(r, []string{`request.headers[?"x-b"].orValue("")`, `ext[?"a"].orValue("")`, `ext["a"]`}))
	case 11:
		return randomSum(r, 1) + " in [0, 2, 5, 404]"
	case 12:
		return fmt.Sprintf("request.size %s %s", pick(r, []string{"<", ">", "<=", ">=", "==", "!="}), pick(r, []string{"-9223372036854775808", "9223372036854775807", "0", "3"}))
	case 13:
		return pick(r, []string{"true", "false", `request.query != ""`, `"a" in ext`, `principal.id == ""`})
	case 0:
		return fmt.Sprintf("response.code %s %d", pick(r, []string{"==", "!=", "<", ">", "<=", ">="}), pick(r, []int{200, 401, 404}))
	case 1:
		return "response.code in [401, 404]"
	case 2:
		return fmt.Sprintf("%d <= request.size", r.IntN(5))
	case 3:
		return fmt.Sprintf("request.duration > duration(\"%ds\")", r.IntN(4))
	case 4:
		return fmt.Sprintf("cidr(\"203.0.113.0/%d\").containsIP(source.address)", 26+r.IntN(6))
	case 5:
		return fmt.Sprintf("%q in principal.roles", strings.ToValidUTF8(pick(r, words()), ""))
	case 6:
		return `"x-a" in request.headers`
	case 7:
		return fmt.Sprintf("size(%s) > %d", randomText(r), r.IntN(9))
	}
	return randomTest(r, randomText(r))
}

func randomText(r *rand.Rand) string {
	t := pick(r, []string{"request.uri", "request.referer", "request.path", "request.query", "request.useragent", "request.method", "principal.id", "source.address", `request.headers["x-a"]`})
	if r.IntN(2) == 0 {
		t = "decode(" + t + ")"
	}
	if r.IntN(4) == 0 {
		t += ".lowerAscii()"
	}
	return t
}

func randomTest(r *rand.Rand, text string) string {
	word := fmt.Sprintf("%q", strings.ToValidUTF8(pick(r, words()), ""))
	switch r.IntN(7) {
	case 0:
		return text + " == " + word
	case 1:
		return text + " in [" + word + ", \"x\"]"
	case 2:
		return text + ".startsWith(" + word + ")"
	case 3:
		return text + ".endsWith(" + word + ")"
	case 4:
		return text + ".contains(" + word + ")"
	case 5:
		return text + " != request.method"
	}
	return text + ".matches(" + pick(r, []string{`"(?i)union[ +]select"`, `"(?i)^/(?:login|ADMIN)"`, `"\\.{2}/"`, `"(?i)K|zz"`, `"(?i)[s]ſ?$"`,
		`"[<&]"`, `"a(?:b|c)*=1"`, `"(?:or|and) \\d+=\\d+"`, `"^$"`, `"é"`, `"sq(?:l|L)map|x\\ny"`}) + ")"
}

// randomSum returns a whole number.
func randomSum(r *rand.Rand, depth int) string {
	if depth > 0 {
		switch r.IntN(3) {
		case 0:
			return fmt.Sprintf("(%s %s %s)", randomSum(r, depth-1), pick(r, []string{"+", "-", "*"}), randomSum(r, depth-1))
		case 1:
			return fmt.Sprintf("(%s ? %s : %s)", randomExpr(r, 0), randomSum(r, depth-1), randomSum(r, depth-1))
		}
	}
	return pick(r, []string{"request.size", "response.code", "size(request.query)", "3", "9223372036854775807", `size(request.headers["x-a"])`})
}

// TestNativeAgreesWithCEL compares Match, which decides natively what it can, with CEL alone.
func TestNativeAgreesWithCEL(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	accepted, exact, total := 0, 0, 0
	env := testEnvironment(t)
	for _, n := range []int{1, 2, 10, 60, 300, 300, 300} {
		set := randomSet(t, r, env, n)
		for _, rule := range set.rules {
			total++
			if rule.filter.test.exact {
				exact++
			}
		}
		for range 150 {
			accepted += compareWithCEL(t, set, randomEvent(r))
		}
	}
	t.Logf("%d matches, %d of %d filters exact", accepted, exact, total)
	if accepted == 0 || exact == 0 || exact == total {
		t.Errorf("%d matches, %d of %d filters exact: the test does not tell", accepted, exact, total)
	}
}

// randomSet returns up to n rules with all kinds of filters; some are there twice.
func randomSet(t testing.TB, r *rand.Rand, env *environment, n int) *Set {
	t.Helper()
	var rules []*Rule
	filter := ""
	for i := range n {
		if i%7 != 6 {
			filter = randomExpr(r, pick(r, []int{0, 1, 1, 2, 3}))
		}
		x, err := env.compile(env.events, filter, nil)
		switch {
		case err == nil:
			rules = append(rules, &Rule{ID: fmt.Sprintf("r%03d", i), filter: x, IncludeEnforced: i%5 == 0, errs: new(atomic.Uint64)})
		case !strings.Contains(err.Error(), "impossible comparison") && !strings.Contains(err.Error(), "too costly"):
			t.Fatalf("%s: %v", filter, err)
		}
	}
	return newSet(rules)
}

func testEnvironment(t testing.TB) *environment {
	t.Helper()
	env, err := newEnvironment(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// compareWithCEL fails when the set's answer is not CEL's; it returns how many rules accept.
func compareWithCEL(t testing.TB, set *Set, e *event.Event) int {
	t.Helper()
	in := newInput(set)
	in.begin(e)
	var want []string
	for _, rule := range set.rules {
		if ok, err := rule.filter.holds(in); ok && err == nil && (!e.Refused() || rule.IncludeEnforced) {
			want = append(want, rule.ID)
			if let := set.LetIn(rule, e); len(rule.Keys()) > 0 && len(let) == 0 {
				t.Errorf("rule %s: %s\nnone of its keys let the event in: %q", rule.ID, rule.filter.text, rule.Keys())
			}
		}
	}
	var got []string
	for _, m := range set.Match(e, nil) {
		got = append(got, m.Rule.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		for _, rule := range set.rules {
			if strings.Contains(strings.Join(got, " "), rule.ID) != strings.Contains(strings.Join(want, " "), rule.ID) {
				t.Errorf("rule %s: %s", rule.ID, rule.filter.text)
			}
		}
		t.Fatalf("event %+v: match %v, CEL alone %v", e, got, want)
	}
	return len(want)
}

// FuzzNative compares with CEL on events that the fuzzer makes, with the shipped rules.
func FuzzNative(f *testing.F) {
	set, err := Load(Packs())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/a.php", "id=1' or 1=1--", "sqlmap", "http://x/?q=<script>", 404)
	f.Add("/..%2f../etc/passwd", "x=${jndi:ldap://x}", "() { :; };", "", 200)
	f.Fuzz(func(t *testing.T, path, query, agent, referer string, code int) {
		e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}, Response: event.ResponseInfo{Code: code}}
		e.Request = event.RequestInfo{Method: "GET", Path: path, Query: query, UserAgent: agent, Referer: referer}
		e.Bound()
		in := newInput(set)
		in.begin(e)
		for _, r := range set.rules {
			want, err := r.filter.holds(in)
			if got := r.accepts(in, r.filter); got != (want && err == nil) {
				t.Errorf("rule %s: %t, CEL alone %t, %v", r.ID, got, want, err)
			}
		}
	})
}

// bytesSource makes a fuzzer's bytes the source of choices, one for each. When they are used up it goes on by itself: rand draws
// again until a number suits it.
type bytesSource struct {
	left []byte
	rest *rand.PCG
}

func (s *bytesSource) Uint64() uint64 {
	if len(s.left) == 0 {
		return s.rest.Uint64()
	}
	v := uint64(s.left[0])
	s.left = s.left[1:]
	return v<<56 | v<<24 | 0xabcdef
}

// FuzzIndex compares with CEL on rules and an event that the fuzzer makes.
func FuzzIndex(f *testing.F) {
	env := testEnvironment(f)
	r := rand.New(rand.NewPCG(21, 22))
	for range 8 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b, "/login", "a=%3Cb%3E", "sqlmap")
	}
	f.Fuzz(func(t *testing.T, choices []byte, path, query, agent string) {
		r := rand.New(&bytesSource{choices[:min(len(choices), 400)], rand.NewPCG(1, uint64(len(choices)))})
		set := randomSet(t, r, env, 4)
		for _, e := range []*event.Event{randomEvent(r), randomEvent(r)} {
			compareWithCEL(t, set, e)
			e.Request.Path, e.Request.Query, e.Request.UserAgent = path, query, agent
			e.Bound()
			compareWithCEL(t, set, e)
		}
	})
}

// TestRequirement checks that a text that a pattern matches fulfils the pattern's formula.
func TestRequirement(t *testing.T) {
	cases := []struct{ pattern, text string }{
		{`(?i)union\s+(?:all\s+)?select`, "UNION all SELECT"}, {`(?i)k`, "\u212a"}, {`[sk]`, "s"}, {`(?i)s{3}`, "sS\u017f"},
		{`[\x{17f}a]x`, "\u017fx"}, {`(?:ab|[cd]|e+)f`, "ddf"}, {`a?b*`, ""}, {`\.{2,3}/`, "../"}, {`é(?:x|y)`, "éy"}, {`^a|b$`, "zb"},
	}
	for _, c := range cases {
		if !regexp.MustCompile(c.pattern).MatchString(c.text) {
			t.Fatalf("%q does not match %q", c.pattern, c.text)
		}
		x := newIndex()
		slot, _ := x.slot(textKey{field: "request.path"})
		need := (&compiler{index: x}).needs(slot, c.pattern)
		need.run = func(string) bool { return true }
		p, test := x.pattern(slot, patternKey{op: "test"}, func() *pattern { return need })
		x.build()
		in := newInput(&Set{index: x})
		in.begin(&event.Event{Request: event.RequestInfo{Path: c.text}})
		if !test.fn(in) || !in.possible(p) {
			t.Errorf("%q: the formula %+v refuses %q", c.pattern, requirement(c.pattern), c.text)
		}
	}
}
