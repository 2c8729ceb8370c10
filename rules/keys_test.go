package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
)

func loadFilter(t *testing.T, filter string) *Rule {
	t.Helper()
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(fmt.Sprintf("id: r\ntitle: R\nfilter: |\n  %s\n", filter))}})
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	return set.rules[0]
}

// TestKeys shows which conditions of a filter the index takes: the most selective one, not the first.
func TestKeys(t *testing.T) {
	for filter, want := range map[string][]string{
		`request.method == "POST" && request.path.startsWith("/api/v2/orders")`: {`request.path starts with "/api/v2/orders"`, `and request.method == "POST"`},
		`request.path.contains("wp-admin")`:                                     {`request.path contains "wp-admin"`},
		`request.path.contains("wp-admin") || response.code in [401, 403]`:      {"response.code == 401", "response.code == 403", `request.path contains "wp-admin"`},
		`request.path.lowerAscii().endsWith(".bak") && response.code < 400`:     {`request.path.lowerAscii() ends with ".bak"`},
		`!(principal.id == "") && response.code >= 500`:                         {"response.code >= 500", "and principal.id is not empty"},
		`decode(request.query).matches(r"(?i)union\s+select")`:                  {`decode(request.query) contains "union "`},
		`"x-a" in request.headers && request.headers["x-a"] == "evil"`:          {`request.headers["x-a"] == "evil"`, `and "x-a" in request.headers`},
		`"blocked" in intel.lists`:                                              {`"blocked" in intel.lists`},
		`request.method != "GET"`:                                               nil,
		`request.method == "GET" || request.size > 5`:                           {`request.method == "GET"`, "request.size >= 6"},
		`true`: nil,
	} {
		if d := cmp.Diff(want, loadFilter(t, filter).Keys()); d != "" {
			t.Errorf("%s (-want +got):\n%s", filter, d)
		}
	}
}

func TestLetIn(t *testing.T) {
	r := loadFilter(t, `request.path.matches("(?i)/(?:wp-admin|phpmyadmin)/") || response.code in [401, 403] || request.useragent.lowerAscii() == "evil"`)
	e := &event.Event{Request: event.RequestInfo{Path: "/WP-Admin/x", UserAgent: "Evil"}, Response: event.ResponseInfo{Code: 403}}
	want := []string{`request.useragent.lowerAscii() == "evil"`, "response.code == 403", `request.path contains "/wp-admin/"`}
	if d := cmp.Diff(want, r.set.LetIn(r, e)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := r.set.LetIn(r, &event.Event{Request: event.RequestInfo{Path: "/wp-content"}}); len(got) != 0 {
		t.Errorf("let in by %q", got)
	}
	if got := r.set.LetIn(r, &event.Event{Kind: event.Heartbeat}); got != nil {
		t.Errorf("a heartbeat is let in by %q", got)
	}
}

// TestExact has the forms that must not need CEL, because many rules have them.
func TestExact(t *testing.T) {
	for _, filter := range []string{
		`request.uri.lowerAscii().contains("/cgi-bin/")`,
		`request.uri.lowerAscii().matches("a.*b")`,
		`decode(request.query).lowerAscii().startsWith("x")`,
		`request.useragent.lowerAscii() in ["a", "b", "c", "d", "é"]`,
		`"x-a" in request.headers && request.headers["x-a"].lowerAscii().contains("evil")`,
		`request.headers["x-a"].contains("evil")`,
		`!(request.headers["x-a"].contains("evil"))`,
		`request.headers[?"x-a"].orValue("") != ""`,
		`[request.path, request.headers["x-a"]].exists(t, t.contains("evil"))`,
		`request.size * 2 + 1 > response.size - 3`,
		`(request.size > 0 ? 1 : 0) + (response.size > 0 ? 1 : 0) >= 2`,
		`request.method == "GET" ? response.code == 404 : response.code >= 400`,
	} {
		if !loadFilter(t, filter).filter.test.exact {
			t.Errorf("%s: is left to CEL", filter)
		}
	}
}

// TestURIIsKept: what a match holds of request.uri does not change with the next event.
func TestURIIsKept(t *testing.T) {
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(`
id: r
title: R
filter: request.uri.contains("a")
group_by: [request.uri]
window: {size: 1m}
aggregates: {n: distinct(request.uri), d: distinct(decode(request.uri))}
condition: n >= 1
`)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []Match
	var want []string
	for i := range 50 {
		e := &event.Event{Request: event.RequestInfo{Path: "/a", Query: strings.Repeat(string(rune('a'+i%26)), 1+i%7) + fmt.Sprint(i)}}
		want = append(want, e.Request.Path+"?"+e.Request.Query)
		got = set.Match(e, got)
	}
	for i, m := range got {
		if !slices.Equal(m.Group, want[i:i+1]) || m.Args[0].Text != want[i] || m.Args[1].Text != want[i] {
			t.Fatalf("%d: %v %v, want %s", i, m.Group, m.Args, want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d matches of %d", len(got), len(want))
	}
}
