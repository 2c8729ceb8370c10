package sigma_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/fstest"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/sigma"
)

// Each modifier and value, on one text that it matches and one that it does not.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		item    string
		yes, no string
	}{
		{": 'Agent'", "aGENT", "agents"},
		{": 'Ag*nt'", "agxxnt", "agxx"},
		{": 'Ag?nt'", "agent", "agnt"},
		{`: 'a\*b'`, "a*b", "axb"},
		{`: 'a\?b'`, "a?b", "axb"},
		{`: 'a\b'`, `a\b`, `a\\b`},
		{`: 'a\\b'`, `a\b`, `a\\b`},
		{`: 'a\\\b'`, `a\\b`, `a\b`},
		{`: 'a\\\\b'`, `a\\b`, `a\b`},
		{`: 'a\\*'`, `a\b`, `ab`},
		{`: 'a\\\*'`, `a\*`, `a\b`},
		{"|cased: 'Agent'", "Agent", "agent"},
		{"|contains: 'É'", "caféx", "cafe"},
		{"|contains|all: ['a', 'b']", "xbxa", "xb"},
		{"|startswith: ['a', 'b']", "bc", "cb"},
		{"|endswith|cased: 'Z'", "aZ", "az"},
		{"|re: '^a+$'", "aaa", "aAa"},
		{"|re|i: '^a+$'", "aAa", "b"},
		{"|re|contains: 'b+'", "abba", "aa"},
		{"|re|startswith: 'b+'", "bba", "abb"},
		{"|neq: 'a'", "", "a"},
		{"|neq: ['a', 'b']", "c", "b"},
		{"|exists: true", "a", ""},
		{"|exists: false", "", "a"},
		{": null", "", "a"},
		{": ''", "", "a"},
		{": '*'", "a", ""},
		{": [null, 'a']", "", "b"},
		{": 7", "7", "17"},
		{": true", "TRUE", "yes"},
		{"|base64: 'abc'", "YWJj", "abc"},
		{"|base64offset|contains: 'secret'", "xxNlY3JldAxx", "secret"},
		{"|wide|base64|contains: 'ab'", "YQBiAA==", "YWI="},
		{"|utf16be|base64|contains: 'ab'", "AGEAYg==", "YWI="},
		{"|utf16|base64|contains: 'ab'", "//5hAGIA", "YWI="},
		{"|windash|contains: ' -x'", "a /x", "a +x"},
		{"|windash|contains: 'a-x'", "a-x", "a/x"},
		{"|expand: '50\\%'", "50%", `50\%`},
	} {
		t.Run(c.item, func(t *testing.T) {
			set := one(t, "cs-user-agent"+c.item)
			for text, want := range map[string]bool{c.yes: true, c.no: false} {
				e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("192.0.2.1")}}
				e.Request.Path, e.Request.UserAgent = "/", text
				if got := len(set.Match(e, nil)) == 1; got != want {
					t.Errorf("%q: got %v, want %v", text, got, want)
				}
			}
		})
	}
}

// Fields that are no texts, and readings of addresses.
func TestFields(t *testing.T) {
	full := func() *event.Event {
		e := &event.Event{Time: time.Date(2026, 5, 4, 22, 30, 0, 0, time.UTC), Source: event.Source{Address: netip.MustParseAddr("192.0.2.1"), Port: 4000}}
		e.Request = event.RequestInfo{Method: "GET", Scheme: "https", Protocol: "HTTP/1.1", Host: "Shop.example", Path: "/a/b.TAR.gz", Query: "x=1", Size: 10, Duration: 1500 * time.Millisecond,
			Headers: map[string]string{"x-token": "T", "cookie": "a=b"}}
		e.Response = event.ResponseInfo{Code: 404, Size: 700, ContentType: "text/html"}
		e.Principal.ID = "Ann"
		return e
	}
	for item, want := range map[string]bool{
		"sc-status: '404'": true, "sc-status: '4??'": true, "sc-status|startswith: 5": false, "sc-status|re: '^[45]'": true, "sc-status|lt: 400": false,
		"sc-bytes|gte: 700": true, "sc-bytes: 7*": true, "sc-bytes: null": false, "cs-bytes|lte: 9": false, "time-taken|gt: 1499": true, "time-taken: 1500": true,
		"c-ip: 192.0.2.1": true, "c-ip|startswith: '192.0.'": true, "src_ip|cidr: 192.0.2.0/30": true, "c-port: 4000": true, "c-ip|cidr: 192.0.2.1": true,
		"c-uri: '/a/b.tar.gz?x=1'": true, `c-uri: '/a/b.tar.gz\?x=1'`: true, `c-uri: 'https://shop.example/a/b.tar.gz\?x=1'`: true, "c-uri|contains: 'example/a'": true,
		"c-uri|contains: '://shop.'": true, "c-uri|startswith: http": true, "c-uri|startswith: 'shop.example/'": true, "c-uri|endswith: 'x=1'": true,
		"c-uri|contains: 'sample/a'": false, "c-uri|contains: 'shop*b.tar'": true, "c-uri|re: 'Shop.example/a'": true, "c-uri|re: '^https://Shop'": true, "c-uri|re: '^Shop'": true,
		"c-uri-extension: GZ": true, "c-uri-extension: tar": false, "c-uri-extension: 'g?'": true, "c-uri-extension|startswith: g": true, "c-uri-extension: null": false,
		"cs-uri-query: 'x=1'": true, "cs-uri-query|startswith: '/a/'": true, "cs-uri-query|startswith: 'x='": true, "cs-uri-stem|endswith: .gz": true,
		"cs-uri-stem|contains: 'x=1'": true, "cs-uri-query|exists: true": true, "cs-uri-query|re: '^x'": true,
		"cs(X-Token): t": true, "cs(User-Agent): null": true, "cs-cookie|contains: a=": true, "cs(Missing)|neq: a": true, "cs(Missing): '*'": false,
		"cs-username: ann": true, "r-dns: shop.example": true, "cs-version: http/1.1": true, "sc-content-type|startswith: text/": true, "cs-host|cidr: 192.0.2.0/24": false,
		"date|hour: 22": true, "time|hour|lt: 20": false, "date|month: 5": true, "date|day: 4": true, "date|minute|gte: 30": true, "date|year: 2025": false,
		"'': 'GET /a/'": true, "'|all': ['b.tar', 'shop']": true, "'|re': 'b\\.T'": true, "'|cased': 'SHOP'": false, "'|contains': 'x=1 http/1.1'": true, "'': 'post /a'": false,
		"'': '192.0.2.1'": true,
	} {
		t.Run(item, func(t *testing.T) {
			if got := len(one(t, item).Match(full(), nil)) == 1; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// one converts and loads a rule with one item.
func one(t *testing.T, item string) *rules.Set {
	t.Helper()
	text := fmt.Sprintf("title: one\nlogsource: {category: webserver}\ndetection:\n  sel:\n    %s\n  condition: sel\n", item)
	r := sigma.Convert(sigma.Options{}, sigma.File{Name: "one.yml", Text: []byte(text)})
	if len(r.Rules) != 1 {
		t.Fatalf("refused: %+v", r.Outcomes)
	}
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(r.String())}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
