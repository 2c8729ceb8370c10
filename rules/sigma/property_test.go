package sigma_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/sigma"
)

// Generated rules on generated events: the converted rule matches exactly where the reference says that the Sigma rule does.
func TestMeaning(t *testing.T) {
	const batches, perBatch, events = 3, 60, 80
	matched, asked := 0, 0
	for seed := range uint64(batches) {
		g := &generator{rand.New(rand.NewPCG(seed, 7))}
		var text strings.Builder
		found := map[string]sigmaRule{}
		for i := range perBatch {
			r := g.rule()
			found[fmt.Sprintf("sigma-r%d", i)] = r
			fmt.Fprintf(&text, "---\n%s\n", r.json(fmt.Sprintf("r%d", i)))
		}
		set := convertAll(t, text.String())
		for range events {
			e := g.event()
			hits := map[string]bool{}
			for _, m := range set.Match(e, nil) {
				hits[m.Rule.ID] = true
			}
			ref := referenceOf(e)
			for _, r := range set.Rules() {
				s := found[r.ID]
				want := ref.holds(s.identifiers, s.condition)
				asked++
				if want {
					matched++
				}
				if want != hits[r.ID] {
					for name, v := range s.identifiers {
						t.Logf("%s: %v", name, ref.search(v))
					}
					conv := sigma.Convert(sigma.Options{}, sigma.File{Name: "x", Text: []byte(s.json("x"))})
					t.Fatalf("seed %d: the reference says %v, the rule %v\n%s\n%+v %+v\n%s", seed, want, hits[r.ID], s.json("x"), e.Request, e.Response, conv)
				}
			}
		}
	}
	if matched*20 < asked {
		t.Errorf("only %d of %d match: the generator is too shy", matched, asked)
	}
	t.Logf("%d of %d match", matched, asked)
}

func convertAll(t *testing.T, text string) *rules.Set {
	t.Helper()
	r := sigma.Convert(sigma.Options{}, sigma.File{Name: "generated.yml", Text: []byte(text)})
	allowed := regexp.MustCompile(`every event matches|no event can ever match|limit is 8192`)
	for _, o := range r.Outcomes {
		if !o.Converted && !allowed.MatchString(o.Reason) {
			t.Fatalf("%s is refused: %s\n%s", o.Title, o.Reason, text)
		}
	}
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(r.String())}})
	if err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	return set
}

type sigmaRule struct {
	identifiers object
	condition   string
}

func (r sigmaRule) json(title string) string {
	d := object{"condition": r.condition}
	for k, v := range r.identifiers {
		d[k] = v
	}
	b, err := json.Marshal(object{"title": title, "logsource": object{"category": "webserver"}, "detection": d})
	if err != nil {
		panic(err)
	}
	return string(b)
}

type generator struct{ *rand.Rand }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// word is a text out of few pieces, so that values meet fields often.
func (g *generator) word() string {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		b.WriteString(pick(g, "a", "A", "b", "ab", "/", "/a", ".", "%2F", "=", "x=1", `"`, "'", `\`, "$", "-", "é", "É", "#"))
	}
	return b.String()
}

func (g *generator) rule() sigmaRule {
	r := sigmaRule{object{}, ""}
	for _, name := range []string{"sel_1", "sel_2", "filter_1", "_hidden"} {
		r.identifiers[name] = g.identifier()
	}
	r.condition = g.condition(2)
	return r
}

func (g *generator) condition(depth int) string {
	leaf := pick(g, "sel_1", "sel_2", "filter_1", "_hidden", "1 of sel_*", "all of sel_*", "1 of them", "all of them", "any of sel_*", "2 of them", "not 1 of filter*")
	if depth == 0 {
		return leaf
	}
	a, b := g.condition(depth-1), g.condition(depth-1)
	return pick(g, leaf, a+" and "+b, a+" or "+b, "("+a+" or "+b+") and not "+leaf, "not ("+a+")", a+" and not "+b)
}

func (g *generator) identifier() any {
	switch g.IntN(8) {
	case 0:
		return array{g.word(), g.word()}
	case 1:
		return array{g.items(), g.items()}
	case 2:
		return object{"|all": array{pick(g, "a", "b", "/"), g.word()}}
	}
	return g.items()
}

func (g *generator) items() object {
	out := object{}
	for range 1 + g.IntN(2) {
		k, v := g.item()
		out[k] = v
	}
	return out
}

func (g *generator) item() (string, any) {
	field := pick(g, "cs-method", "cs-uri-query", "cs-uri-stem", "cs-user-agent", "cs-cookie", "cs-referer", "c-uri", "cs-host")
	switch g.IntN(14) {
	case 0:
		return "sc-status", pick(g, any(200), any(array{200, 404}), any("404"), any("4*"), any("?0?"))
	case 1:
		return "sc-status|" + pick(g, "lt", "lte", "gt", "gte"), pick(g, 200, 404, 500)
	case 2:
		return "c-ip|cidr", pick(g, any("192.0.2.0/24"), any(array{"192.0.2.128/25", "2001:db8::/32"}))
	case 3:
		return field, nil
	case 4:
		return field + "|exists", pick(g, true, false)
	case 5:
		return pick(g, "cs-uri-query", "cs-user-agent", "cs-cookie") + "|re" + pick(g, "", "|i", "|s"), pick(g, "^a", "a+b", "(a|b)$", "[A-Z]", "x=[0-9]")
	case 6:
		return "cs-method|fieldref", pick(g, "cs-host", "cs-user-agent")
	case 7:
		return field + "|" + pick(g, "base64offset|contains", "base64|contains"), pick(g, "ab", "abc")
	case 8:
		return "sc-bytes|" + pick(g, "gt", "lt"), pick(g, 1, 100)
	case 9:
		return "c-uri-extension", pick(g, any("a"), any(array{"ab", "B"}), any("a*"), any("?"))
	}
	mods := pick(g, "", "|contains", "|contains", "|startswith", "|endswith") + pick(g, "", "", "|all") + pick(g, "", "", "", "|cased") + pick(g, "", "", "", "", "|neq")
	if g.IntN(3) == 0 {
		return field + mods, g.value()
	}
	return field + mods, array{g.value(), g.value()}
}

func (g *generator) value() any {
	if g.IntN(4) > 0 {
		return g.word()
	}
	return pick(g, "*a*", "a?", "*", `\*`, `a\\*`, `/a*b`, "?*", "get", "a*")
}

func (g *generator) event() *event.Event {
	maybe := func(s string) string {
		if g.IntN(4) == 0 {
			return ""
		}
		return s
	}
	e := &event.Event{}
	e.Request.Method = maybe(pick(g, "GET", "get", "POST"))
	e.Request.Path = "/" + maybe(g.word()+pick(g, "", ".a", ".AB", ".b"))
	e.Request.Query = maybe(g.word() + maybe(g.word()))
	e.Request.UserAgent = maybe(g.word() + maybe(pick(g, "YQ==", "YWI", "YWJj", "*")))
	e.Request.Referer = maybe(g.word())
	e.Request.Host = maybe(pick(g, "a", "ab", "b.a", "A", "get"))
	e.Request.Scheme = maybe(pick(g, "http", "https"))
	if g.IntN(3) > 0 {
		e.Request.Headers = map[string]string{"cookie": maybe(g.word())}
	}
	e.Response.Code = pick(g, 0, 200, 404, 503)
	e.Response.Size = int64(pick(g, 0, 1, 50, 500))
	e.Source.Address = netip.MustParseAddr(pick(g, "192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1"))
	return e
}

// referenceOf is the event as Sigma sees it.
func referenceOf(e *event.Event) reference {
	q := &e.Request
	uri := q.Path
	if q.Query != "" {
		uri += "?" + q.Query
	}
	r := reference{fields: map[string][]string{}, absent: map[string]bool{"cs-uri-query": q.Query == ""}}
	put := func(name string, readings ...string) {
		if readings[0] != "" {
			r.fields[name] = readings
		}
	}
	put("cs-method", q.Method)
	put("cs-user-agent", q.UserAgent)
	put("cs-referer", q.Referer)
	put("cs-host", q.Host)
	put("cs-cookie", q.Headers["cookie"])
	put("c-ip", e.Source.Address.String())
	put("cs-uri-query", uri)
	if q.Query != "" {
		put("cs-uri-query", uri, q.Query)
	}
	put("cs-uri-stem", q.Path)
	put("c-uri", uri)
	if q.Host != "" {
		put("c-uri", uri, q.Host+uri, q.Scheme+"://"+q.Host+uri)
	}
	last := q.Path[strings.LastIndex(q.Path, "/")+1:]
	if i := strings.LastIndex(last, "."); i >= 0 {
		put("c-uri-extension", last[i+1:])
	}
	if e.Response.Code > 0 {
		put("sc-status", fmt.Sprint(e.Response.Code))
	}
	if e.Response.Size > 0 {
		put("sc-bytes", fmt.Sprint(e.Response.Size))
	}
	r.message = []string{uri, q.Referer, q.UserAgent, q.Host, q.Headers["cookie"], q.Method + " " + uri + " " + q.Protocol}
	return r
}
