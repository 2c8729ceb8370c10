package rules_test

import (
	"bufio"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// attack is one line of testdata/attacks.txt: the rules that must match, the place of the payload and the payload.
type attack struct {
	rules          []string
	place, payload string
	line           int
}

func attacks(t *testing.T) []attack {
	t.Helper()
	f, err := os.Open("testdata/attacks.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []attack
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		if sc.Text() == "" || sc.Text()[0] == '#' {
			continue
		}
		part := strings.SplitN(sc.Text(), "\t", 3)
		if len(part) != 3 {
			t.Fatalf("line %d: want rules, place and payload", n)
		}
		all = append(all, attack{strings.Split(part[0], ","), part[1], part[2], n})
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return all
}

// events puts the payload where it belongs. A value comes plain, as a browser encodes it, and encoded twice.
func (a attack) events() []*event.Event {
	blank := func() *event.Event {
		return &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}, Response: event.ResponseInfo{Code: 200},
			Request: event.RequestInfo{Method: "GET", Path: "/item", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"}}
	}
	e, f, g := blank(), blank(), blank()
	switch a.place {
	case "value":
		e.Request.Query = "page=2&id=" + strings.NewReplacer(" ", "%20", "&", "%26", "+", "%2B", "%", "%25").Replace(a.payload)
		f.Request.Query = "page=2&id=" + url.QueryEscape(a.payload)
		g.Request.Query = "page=2&id=" + url.PathEscape(strings.ReplaceAll(url.PathEscape(a.payload), "+", "%2B"))
		return []*event.Event{e, f, g}
	case "url":
		e.Request.Path, e.Request.Query, _ = strings.Cut(a.payload, "?")
	case "agent":
		e.Request.UserAgent = a.payload
	case "referer":
		e.Request.Referer = a.payload
	case "header":
		e.Request.Headers = map[string]string{"accept": "*/*", "cookie": a.payload, "x-request-id": "1"}
	}
	return []*event.Event{e}
}

func packs(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAttacks(t *testing.T) {
	set := packs(t)
	for _, a := range attacks(t) {
		for _, e := range a.events() {
			var got []string
			for _, m := range set.Match(e, nil) {
				got = append(got, m.Rule.ID)
			}
			for _, want := range a.rules {
				if !slices.Contains(got, want) {
					t.Errorf("line %d: %s %q: rules %v, want %s", a.line, a.place, e.Request.Path+"?"+e.Request.Query, got, want)
				}
			}
		}
	}
}

// TestEveryPatternIsNeeded checks that each alternative of each pattern that looks for payloads matches at least one of the attacks, so that
// none can be broken unseen.
func TestEveryPatternIsNeeded(t *testing.T) {
	texts := map[string][]string{}
	for _, a := range attacks(t) {
		for _, e := range a.events() {
			r := e.Request
			for _, id := range a.rules {
				texts[id] = append(texts[id], r.Path, rules.Decode(r.Path), rules.Decode(r.Query), rules.Decode(r.UserAgent), rules.Decode(r.Referer),
					rules.Decode(r.Headers["cookie"]))
			}
		}
	}
	files, err := fs.Glob(rules.Packs(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile(`(?s)matches\(r(?:'''(.*?)'''|"(.*?)")\)`)
	for _, name := range files {
		b, err := fs.ReadFile(rules.Packs(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(b), "\n---\n") {
			id := regexp.MustCompile(`(?m)^id: (.*)$`).FindStringSubmatch(doc)[1]
			if texts[id] == nil {
				continue
			}
			filter, _, _ := strings.Cut(doc, "\ngroup_by:")
			for _, m := range literal.FindAllStringSubmatch(filter, -1) {
				for _, alternative := range alternatives(m[1] + m[2]) {
					re := regexp.MustCompile(alternative)
					if !slices.ContainsFunc(texts[id], re.MatchString) {
						t.Errorf("rule %s: no attack needs %s", id, alternative)
					}
				}
			}
		}
	}
}

// alternatives splits a pattern at its outermost bars; each part keeps the flags at the pattern's beginning.
func alternatives(pattern string) []string {
	flags := regexp.MustCompile(`^\(\?[a-z]+\)`).FindString(pattern)
	rest := pattern[len(flags):]
	var out []string
	depth, class, from := 0, false, 0
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(rest) && rest[i+1] == '^' {
				i++
			}
			if i+1 < len(rest) && rest[i+1] == ']' {
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			out = append(out, flags+rest[from:i])
			from = i + 1
		}
	}
	return append(out, flags+rest[from:])
}

// TestOrdinaryTrafficIsQuiet runs a few hours of ordinary traffic through all shipped rules.
func TestOrdinaryTrafficIsQuiet(t *testing.T) {
	shard := detector.NewShard(packs(t), detector.DefaultConfig())
	var alerts []*alert.Alert
	for _, e := range traffic(20_000) {
		alerts = shard.Process(e, alerts)
	}
	for _, a := range alerts {
		t.Errorf("alert of %s for %v", a.Rule, a.Group)
	}
}
