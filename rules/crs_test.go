package rules_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"github.com/goccy/go-yaml"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// TestCoreRuleSet sends the regression tests of the OWASP Core Rule Set through the shipped rules and logs what share is caught, by
// family. With -v each miss and each benign request that is hit is listed.
//
// Must fire: the requests of which the tests expect that some rule of the Core Rule Set fires, and that have no body, so that what they carry can
// only stand in the request line or in a header. Benign: those of which they only expect that a rule does not fire, with and without a
// body; many carry an attack that another rule is there for. Caught is what a shipped rule without a window matches.
func TestCoreRuleSet(t *testing.T) {
	set := packs(t)
	single := set.Only(func(r *rules.Rule) bool { return r.Window.Type == rules.None })
	attacks := map[string]tally{}
	var total, benign, bare tally
	for _, c := range crsCases(t, crstests.FS) {
		var hits []string
		for _, m := range single.Match(c.event, nil) {
			hits = append(hits, m.Rule.ID)
		}
		if !c.attack {
			benign = benign.add(len(hits) > 0)
			if !c.body {
				bare = bare.add(len(hits) > 0)
			}
			if len(hits) > 0 {
				t.Logf("benign %s: %v %s", c.name, hits, c.text())
			}
			continue
		}
		if c.body {
			continue
		}
		total = total.add(len(hits) > 0)
		attacks[c.family] = attacks[c.family].add(len(hits) > 0)
		if len(hits) == 0 {
			t.Logf("missed %s %s: %s", c.family, c.name, c.text())
		}
	}
	var report strings.Builder
	for _, family := range slices.Sorted(maps.Keys(attacks)) {
		fmt.Fprintf(&report, "%-55s %s\n", family, attacks[family])
	}
	t.Logf("caught of those that must fire:\n%s%-55s %s\nbenign requests that are hit:\n%-55s %s\n%-55s %s", &report,
		"all", total, "all", benign, "without a body", bare)
	if total.all == 0 || benign.all == 0 {
		t.Fatal("no requests found")
	}
	if total.hit*10 < total.all*7 {
		t.Errorf("caught %s, want at least 70 %%", total)
	}
	if benign.hit*50 >= benign.all {
		t.Errorf("hit %s of the benign ones, want less than 2 %%", benign)
	}
}

// tally counts requests and those that are hit.
type tally struct{ all, hit int }

func (n tally) add(hit bool) tally {
	n.all++
	if hit {
		n.hit++
	}
	return n
}

func (n tally) String() string {
	return fmt.Sprintf("%4d of %4d, %5.1f %%", n.hit, n.all, 100*float64(n.hit)/float64(max(n.all, 1)))
}

// crsCase is one request of the tests.
type crsCase struct {
	family, name string
	attack       bool
	body         bool
	event        *event.Event
}

func (c crsCase) text() string {
	r := c.event.Request
	return fmt.Sprintf("%s %q headers %q", r.Method, rules.Decode(r.Path+"?"+r.Query), r.Headers)
}

// crsFile is what is read of a file of tests.
type crsFile struct {
	Tests []struct {
		ID     int `yaml:"test_id"`
		Stages []struct {
			Input  crsInput `yaml:"input"`
			Output struct {
				Log struct {
					Expect   []int `yaml:"expect_ids"`
					NoExpect []int `yaml:"no_expect_ids"`
				} `yaml:"log"`
			} `yaml:"output"`
		} `yaml:"stages"`
	} `yaml:"tests"`
}

type crsInput struct {
	Headers map[string]any `yaml:"headers"`
	Method  string         `yaml:"method"`
	URI     string         `yaml:"uri"`
	Version string         `yaml:"version"`
	Data    string         `yaml:"data"`
	Encoded string         `yaml:"encoded_request"`
}

func crsCases(t *testing.T, tests fs.FS) []crsCase {
	t.Helper()
	files, err := fs.Glob(tests, "REQUEST-*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []crsCase
	for _, name := range files {
		b, err := fs.ReadFile(tests, name)
		if err != nil {
			t.Fatal(err)
		}
		var f crsFile
		if err := yaml.Unmarshal(b, &f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, test := range f.Tests {
			for _, s := range test.Stages {
				expect := s.Output.Log
				if len(expect.Expect)+len(expect.NoExpect) == 0 {
					continue
				}
				c := crsCase{family: path.Base(path.Dir(name)), attack: len(expect.Expect) > 0,
					name: fmt.Sprintf("%s-%d", strings.TrimSuffix(path.Base(name), ".yaml"), test.ID)}
				if c.event, c.body = s.Input.event(); c.event != nil {
					cases = append(cases, c)
				}
			}
		}
	}
	return cases
}

// event is the request as a tap that keeps all headers sees it, and whether it has a body; nil for one that is no base64.
func (in crsInput) event() (e *event.Event, body bool) {
	headers := map[string]string{}
	for k, v := range in.Headers {
		headers[strings.ToLower(k)] = fmt.Sprint(v)
	}
	if in.Encoded != "" {
		raw, err := base64.StdEncoding.DecodeString(in.Encoded)
		if err != nil {
			return nil, false
		}
		in.raw(string(raw), headers)
	}
	uri, _, _ := strings.Cut(in.URI, "#") // clients do not send it
	if in.Method == "" {
		in.Method = "GET"
	}
	if in.Version == "" {
		in.Version = "HTTP/1.1"
	}
	e = &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")},
		Response: event.ResponseInfo{Code: 200, Size: 10, ContentType: "text/html"}}
	e.Request = event.RequestInfo{Method: in.Method, Protocol: in.Version, Host: headers["host"], UserAgent: headers["user-agent"],
		Referer: headers["referer"], Headers: headers}
	e.Request.Path, e.Request.Query, _ = strings.Cut(uri, "?")
	e.Bound()
	return e, in.Data != ""
}

// raw takes apart a request that is given as it goes over the wire.
func (in *crsInput) raw(request string, headers map[string]string) {
	head, body, _ := strings.Cut(strings.ReplaceAll(request, "\r\n", "\n"), "\n\n")
	in.Data = strings.TrimSpace(body)
	line, rest, _ := strings.Cut(head, "\n")
	in.Method, line, _ = strings.Cut(line, " ")
	if i := strings.LastIndexByte(line, ' '); i >= 0 && strings.HasPrefix(line[i+1:], "HTTP/") {
		line, in.Version = line[:i], line[i+1:]
	}
	in.URI = line
	for h := range strings.Lines(rest) {
		if name, value, ok := strings.Cut(h, ":"); ok {
			headers[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
}
