package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/mutation"
)

// TestSpecimens, with -update, writes fixtures/specimens-RULE.jsonl: requests that hold a text which one alternative of one pattern
// matches and no other does, for what the attacks of testdata/attacks.txt leave untested. Without -update it checks that the rule
// expects an alert for each of them.
func TestSpecimens(t *testing.T) {
	set := packs(t)
	for _, r := range set.Rules() {
		if r.Window.Type != rules.None || len(r.GroupBy) != 1 || r.GroupBy[0] != "source.address" {
			continue
		}
		name := filepath.Join("packs", "fixtures", "specimens-"+r.ID+".jsonl")
		if *update {
			writeSpecimens(t, name, specimensOf(t, set, r))
		}
		b, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(b, []byte("\n")) - 1
		if !slices.ContainsFunc(r.Tests, func(x rules.Test) bool {
			return x.File == "fixtures/specimens-"+r.ID+".jsonl" && len(x.Expect) == n
		}) {
			t.Errorf("rule %s has no test that expects %d alerts of %s", r.ID, n, name)
		}
	}
}

func writeSpecimens(t *testing.T, name string, found []*event.Event) {
	if len(found) == 0 {
		return
	}
	var b bytes.Buffer
	b.WriteString("# written by TestSpecimens: each line is needed by one change to the rule that no other test notices\n")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, e := range found {
		line := map[string]any{"source.address": fmt.Sprintf("2001:db8::%d", i+1)}
		for _, v := range rules.Values(e) {
			switch v.Name {
			case "request.method", "request.path", "request.query", "request.useragent", "request.referer", "request.host", "response.content_type":
				line[v.Name] = v.Value
			case "response.code":
				line[v.Name] = e.Response.Code
			}
		}
		if err := enc.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// specimensOf finds a request for each change to the rule's filter that its other tests do not notice, where there is one.
func specimensOf(t *testing.T, set *rules.Set, r *rules.Rule) []*event.Event {
	samples := samplesOf(t, set, r)
	known := eventsOf(t, r)
	var found []*event.Event
	for _, m := range mutation.Mutants(r) {
		broken, err := m.Set()
		if err != nil || m.Part != "filter" {
			continue
		}
		differs := func(e *event.Event) bool { return matches(set, r, e) != (len(broken.Match(e, nil)) > 0) }
		if slices.ContainsFunc(known, differs) {
			continue
		}
		if i := slices.IndexFunc(samples, func(e *event.Event) bool { return matches(set, r, e) && differs(e) }); i >= 0 {
			found = append(found, samples[i])
			known = append(known, samples[i])
		}
	}
	return found
}

func matches(set *rules.Set, r *rules.Rule, e *event.Event) bool {
	return slices.ContainsFunc(set.Match(e, nil), func(m rules.Match) bool { return m.Rule.ID == r.ID })
}

// eventsOf are those of the rule's other tests.
func eventsOf(t *testing.T, r *rules.Rule) []*event.Event {
	var out []*event.Event
	read := r.TestEvents(rules.Packs())
	for i := range r.Tests {
		if strings.HasPrefix(r.Tests[i].File, "fixtures/specimens-") {
			continue
		}
		events, err := read(i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, events...)
	}
	return out
}

// samplesOf are requests with texts that the alternatives of the rule's patterns match, the short ones first.
func samplesOf(t *testing.T, set *rules.Set, r *rules.Rule) []*event.Event {
	rnd := rand.New(rand.NewPCG(1, 2))
	var texts []string
	filter, err := fs.ReadFile(rules.Packs(), strings.TrimPrefix(r.File, "(packs)/"))
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.Split(string(filter)[strings.Index(string(filter), "id: "+r.ID+"\n"):], "\n---\n")[0]
	for _, m := range regexp.MustCompile(`(?s)matches\(r(?:'''(.*?)'''|"(.*?)")\)`).FindAllStringSubmatch(doc, -1) {
		for _, alternative := range alternatives(m[1] + m[2]) {
			re, err := syntax.Parse(alternative, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			for range 60 {
				if s := sampleOf(rnd, re); len(s) < 200 {
					texts = append(texts, s)
				}
			}
		}
	}
	slices.SortStableFunc(texts, func(a, b string) int { return len(a) - len(b) })
	var out []*event.Event
	for _, s := range slices.Compact(texts) {
		esc := url.PathEscape(s)
		for i := range 6 {
			e := attack{place: "agent", payload: "Mozilla/5.0"}.events()[0]
			switch i {
			case 0:
				e.Request.Query = "q=" + strings.ReplaceAll(esc, "&", "%26")
			case 1:
				e.Request.Query = strings.ReplaceAll(esc, "%3D", "=")
			case 2:
				e.Request.Path = "/" + strings.TrimPrefix(esc, "/")
			case 3:
				e.Request.UserAgent = s
			case 4:
				e.Request.Referer = "https://www.example.com/?" + esc
			case 5:
				e.Request.Path, e.Request.Query = strings.ReplaceAll("/"+strings.TrimPrefix(esc, "/"), "%2F", "/"), ""
			}
			if e.Request.UserAgent == strings.ToValidUTF8(strings.Map(visible, e.Request.UserAgent), "") && matches(set, r, e) {
				out = append(out, e)
			}
		}
	}
	return out
}

func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// sampleOf is a text that the regular expression matches, apart from what its anchors ask.
func sampleOf(rnd *rand.Rand, re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(charOf(rnd, re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpConcat:
		var b strings.Builder
		for _, s := range re.Sub {
			b.WriteString(sampleOf(rnd, s))
		}
		return b.String()
	case syntax.OpAlternate:
		return sampleOf(rnd, re.Sub[rnd.IntN(len(re.Sub))])
	case syntax.OpCapture:
		return sampleOf(rnd, re.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		return strings.Repeat(sampleOf(rnd, re.Sub[0]), rnd.IntN(2))
	case syntax.OpPlus:
		return strings.Repeat(sampleOf(rnd, re.Sub[0]), 1+rnd.IntN(2))
	case syntax.OpRepeat:
		return strings.Repeat(sampleOf(rnd, re.Sub[0]), re.Min+rnd.IntN(2))
	case syntax.OpWordBoundary:
		return []string{"", " "}[rnd.IntN(2)]
	}
	return ""
}

// charOf is a character of the class, a printable one where it has one.
func charOf(rnd *rand.Rand, ranges []rune) rune {
	var printable []rune
	for i := 0; i < len(ranges); i += 2 {
		for c := max(ranges[i], ' '); c <= min(ranges[i+1], '~'); c++ {
			printable = append(printable, c)
		}
	}
	if len(printable) == 0 {
		return ranges[0]
	}
	return printable[rnd.IntN(len(printable))]
}
