package rules_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// matched returns the ids of the rules that match the event.
func matched(set *rules.Set, e *event.Event) []string {
	ids := []string{}
	for _, m := range set.Match(e, nil) {
		ids = append(ids, m.Rule.ID)
	}
	return ids
}

// holds tells whether a filter holds for the event.
func holds(t testing.TB, filter string, e *event.Event) bool {
	t.Helper()
	set := mustLoad(t, "id: r\ntitle: R\nfilter: |\n  "+strings.ReplaceAll(filter, "\n", "\n  ")+"\n")
	ok := len(set.Match(e, nil)) > 0
	if n := set.Rules()[0].Errors(); n > 0 {
		t.Errorf("%s: %d evaluation errors", filter, n)
	}
	return ok
}

func mustLoadFiles(t testing.TB, files map[string]string) *rules.Set {
	t.Helper()
	set, err := rules.Load(mapFS(files))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mapFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestLists(t *testing.T) {
	set := mustLoadFiles(t, map[string]string{
		"shared/lists.yaml": `
kind: lists
lists:
  office: {values: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7, "::ffff:203.0.113.0/120"], type: network}
  feed: {file: ../data/feed.txt, type: network}
  agents: {file: agents.txt, type: fold}
  exact: {values: [Curl, 404]}
  scores: {file: scores.csv}
`,
		"data/feed.txt":     "# a feed\n10.9.8.7 # one\n10.1.0.0/16;SBL1\n10.2.3.4,100\n\n2001:db8:f::1\n",
		"shared/agents.txt": "\ufeffMozilla/5.0 (evil, really) #1\nSQLMap\n  # comment\r\n",
		"shared/scores.csv": "alice,1,2\n\"bob, the builder\",3\n",
		"a.yaml": `
id: address
title: A
filter: inList(source.address, "office")
---
id: feed
title: A
filter: inList(source.address, "feed") || inList(request.headers["x-forwarded-for"], "feed")
---
id: agent
title: A
filter: inList(request.useragent, "agents")
---
id: exact
title: A
filter: '[request.useragent, request.query].exists(t, inList(t, "exact"))'
---
id: score
title: A
filter: inList(principal.id + "", "scores")
`})
	cases := []struct {
		address, agent, query, principal string
		want                             []string
	}{
		{"192.0.2.200", "", "", "", []string{"address"}},
		{"::ffff:192.0.2.1", "", "", "", []string{"address"}},
		{"203.0.113.9", "", "", "", []string{"address"}},
		{"198.51.100.7", "", "", "", []string{"address"}},
		{"198.51.100.8", "", "", "", []string{}},
		{"2001:db8:f::1", "", "", "", []string{"address", "feed"}},
		{"10.9.8.7", "", "", "", []string{"feed"}}, {"10.1.255.1", "", "", "", []string{"feed"}}, {"10.2.3.4", "", "", "", []string{"feed"}},
		{"", "sqlMAP", "", "", []string{"agent"}}, {"", "mozilla/5.0 (EVIL, really)", "", "", []string{"agent"}},
		{"", "Curl", "", "", []string{"exact"}}, {"", "curl", "", "", []string{}}, {"", "", "404", "", []string{"exact"}},
		{"", "", "", "bob, the builder", []string{"score"}}, {"", "", "", "alice", []string{"score"}}, {"", "", "", "1", []string{}},
	}
	for _, c := range cases {
		e := &event.Event{Principal: event.Principal{ID: c.principal}}
		e.Source.Address, _ = netip.ParseAddr(c.address)
		e.Request.UserAgent, e.Request.Query = c.agent, c.query
		if diff := cmp.Diff(c.want, matched(set, e)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c, diff)
		}
	}
	e := &event.Event{}
	e.Request.Headers = map[string]string{"x-forwarded-for": "10.9.8.7"}
	if got := matched(set, e); !cmp.Equal(got, []string{"feed"}) {
		t.Errorf("header: %v", got)
	}
}

// TestListVersion checks that the content of a list leaves a rule's version, and so its windows, alone.
func TestListVersion(t *testing.T) {
	version := func(values string) string {
		return mustLoad(t, "kind: lists\nlists:\n  l: {values: "+values+"}\n---\nid: a\ntitle: A\nfilter: inList(request.path, \"l\")\n").Rules()[0].Version
	}
	if version("[a]") != version("[b, c]") {
		t.Error("the version follows the list's content")
	}
}

func TestListBounds(t *testing.T) {
	lists := func(def string) map[string]string {
		return map[string]string{"rules/l.yaml": "kind: lists\nlists:\n  l: " + def + "\n", "rules/r.yaml": "id: a\ntitle: A\nfilter: inList(request.path, \"l\")\n",
			"secret.txt": "s\n", "rules/bad.txt": "ok\n" + strings.Repeat("x", 2000) + "\n", "rules/quote.csv": "\"open\n", "rules/utf.txt": "\xff\n"}
	}
	for def, want := range map[string]string{
		"{file: ../secret.txt}": "rules/l.yaml:3:13: lists.l: want the name of a file within the folder",
		"{file: bad.txt}":       "rules/bad.txt:2: a value has 2000 bytes, limit is 1024",
		"{file: quote.csv}":     "rules/quote.csv:1: the quotes do not close",
		"{file: utf.txt}":       "rules/utf.txt:1: a value is not UTF-8",
		"{file: .}":             "want the name of a file",
		`{values: [""]}`:        "a value is empty",
		"{}":                    "want one of values and file",
	} {
		_, err := rules.Load(mapFS(lists(def)), "rules")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", def, err, want)
		}
	}
	if _, err := rules.Load(mapFS(lists("{file: ../secret.txt}"))); err != nil {
		t.Errorf("within what was loaded: %v", err)
	}
}

// feed makes n different addresses.
func feed(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d.%d.%d.%d\n", 11+i%80, i>>8&255, i&255, i*7&255)
	}
	return b.String()
}

// TestListMemory bounds what a large feed costs.
func TestListMemory(t *testing.T) {
	files := map[string]string{"l.yaml": "kind: lists\nlists:\n  feed: {file: f.txt, type: network}\n", "f.txt": feed(15_000),
		"r.yaml": "id: a\ntitle: A\nfilter: inList(source.address, \"feed\")\n"}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	without := mustLoad(t, "id: a\ntitle: A\nfilter: request.path == \"\"\n")
	before := heap()
	set := mustLoadFiles(t, files)
	if after := heap(); after > before && after-before > 8<<20 {
		t.Errorf("15,000 addresses take %d bytes", after-before)
	}
	runtime.KeepAlive(set)
	runtime.KeepAlive(without)
}

func BenchmarkInList(b *testing.B) {
	set := mustLoadFiles(b, map[string]string{"l.yaml": "kind: lists\nlists:\n  feed: {file: f.txt, type: network}\n", "f.txt": feed(15_000),
		"r.yaml": "id: a\ntitle: A\nfilter: inList(source.address, \"feed\")\n"})
	events := traffic(1000)
	b.ReportAllocs()
	var dst []rules.Match
	for i := 0; b.Loop(); i++ {
		dst = set.Match(events[i%len(events)], dst[:0])
	}
}
