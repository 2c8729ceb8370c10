package rules_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

func sampleEvent() *event.Event {
	e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}}
	e.Request = event.RequestInfo{Method: "POST", Path: "/a/b", Query: "next=https%3A%2F%2FEvil.example%3A8443%2Fx%3Fy%3D1%23z&id=7&card=4111+1111+1111+1111",
		UserAgent: "curl/8.5", Headers: map[string]string{"accept": "*/*"}}
	e.Response.Code = 404
	e.Principal.Roles = []string{"admin", "user"}
	return e
}

// TestLibraries checks that every library that docs/rules.md names works in a filter.
func TestLibraries(t *testing.T) {
	e := sampleEvent()
	for _, filter := range []string{
		`request.path.split("/")[1] == "a" && "%d".format([response.code]) == "404" && request.path.upperAscii() == "/A/B"`,
		`math.greatest(response.code, 500) == 500 && math.bitAnd(response.code, 4) == 4`,
		`[3, 1, 2].sort() == [1, 2, 3] && [[1], [2]].flatten().size() == 2 && lists.range(3) == [0, 1, 2]`,
		`sets.contains(principal.roles, ["admin"]) && sets.intersects(principal.roles, ["admin", "x"])`,
		`base64.encode(bytes(request.path)) == "L2EvYg==" && string(base64.decode("L2EvYg==")) == request.path`,
		`request.headers[?"missing"].orValue("none") == "none" && request.headers[?"accept"].hasValue() && optional.none().orValue(1) == 1`,
		`request.headers.exists(k, v, k == "accept" && v == "*/*") && [1, 2].transformList(i, v, i * v) == [0, 2]`,
		`cidr("203.0.113.0/24").containsIP(source.address) && ip("203.0.113.9").family() == 4 && isIP(source.address)`,
		`regex.extract(request.useragent, "curl/([0-9.]+)") == optional.of("8.5") && regex.replace("aXa", "X", "b") == "aba"`,
		`cel.bind(p, request.path + "?" + request.query, p.startsWith("/a/b?next=") && p.size() > 10)`,
		`cel.bind(p, decode(request.path), p == "/a/b" && cel.bind(q, p, q == p))`,
		`request.method.lowerAscii() == "post" && duration("1s") < duration("1m") && timestamp("2026-01-01T00:00:00Z") > event.time`,
	} {
		if !holds(t, filter, e) {
			t.Errorf("does not hold: %s", filter)
		}
	}
}

// TestFunctionsInFilters is also the list of examples in docs/rules.md.
func TestFunctionsInFilters(t *testing.T) {
	e := sampleEvent()
	for _, filter := range []string{
		`url(queryParam(request.query, "next")).host == "evil.example"`,
		`url(queryParam(request.query, "next")).port == 8443 && url("/x").scheme == ""`,
		`queryParam(request.query, "id") == "7" && queryParam(request.query, "gone") == ""`,
		`hasCardNumber(decode(request.query)) && !hasCardNumber(request.path)`,
		`luhn(queryParam(request.query, "card")) && !luhn("4111111111111112")`,
		`entropy(request.path) > 1.0 && entropy("") == 0.0`,
		`geo(source.address).country == "" && geo("nonsense").asn == 0 && geo(source.address).org == ""`,
		`decode("q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==").contains("<script>")`,
		`[request.path, request.query].exists(t, entropy(t) > 3.0 && url(t).path != "")`,
	} {
		if !holds(t, filter, e) {
			t.Errorf("does not hold: %s", filter)
		}
	}
	for filter, want := range map[string]string{
		`geo(source.address).contry == "DE"`:      "undefined field 'contry'",
		`geo(source.address).country == 5`:        "wrong type",
		`url(request.path).port == "80"`:          "wrong type",
		`entropy(response.code) > 1.0`:            "wrong type",
		`lowercase(request.path) == "/"`:          "unknown function or macro",
		`hascardnumber(request.path)`:             "did you mean hasCardNumber()?",
		`request.path.startswith("/")`:            "did you mean startsWith()?",
		`queryParam(request.query) == ""`:         "wrong type",
		`request.path.matches(url("x").host)`:     "must be written out",
		`inList(request.path, request.query)`:     "must be written out",
		`inList(request.path, "nowhere")`:         "unknown list",
		`decode(decode(decode(request.uri))) > 1`: "wrong type",
	} {
		_, err := rules.Load(mapFS(map[string]string{"r.yaml": "id: r\ntitle: R\nfilter: |\n  " + filter + "\n"}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filter, err, want)
		}
	}
}

// atlas is a Geo of one network.
type atlas struct{}

func (atlas) Place(a netip.Addr) rules.Place {
	if netip.MustParsePrefix("203.0.113.0/24").Contains(a) {
		return rules.Place{Country: "DE", Continent: "EU", City: "Ulm", Org: "Example", ASN: 64500}
	}
	return rules.Place{}
}

func TestGeo(t *testing.T) {
	set, err := rules.LoadWith(rules.Options{Geo: atlas{}}, mapFS(map[string]string{"r.yaml": "id: r\ntitle: R\nfilter: |\n" +
		`  cel.bind(g, geo(source.address), g.country == "DE" && g.continent == "EU" && g.city == "Ulm" && g.org == "Example" && g.asn == 64500)` + "\n"}))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]int{"203.0.113.9": 1, "::ffff:203.0.113.9": 1, "192.0.2.1": 0} {
		e := sampleEvent()
		e.Source.Address = netip.MustParseAddr(address)
		if got := len(set.Match(e, nil)); got != want {
			t.Errorf("%s: %d matches, want %d", address, got, want)
		}
	}
	if n := set.Rules()[0].Errors(); n != 0 {
		t.Errorf("%d evaluation errors", n)
	}
	if got := set.UsesGeo(); len(got) != 1 || got[0] != "r" {
		t.Errorf("rules with geo: %v", got)
	}
}

func TestLuhn(t *testing.T) {
	for s, want := range map[string]bool{
		"4111111111111111": true, "4111 1111 1111 1111": true, "4111-1111-1111-1111": true, "378282246310005": true, "6011000990139424": true,
		"4111111111111112": false, "": false, "0": false, "00000000": false, "4111  1111 1111 1111": false, "-4111111111111111": false,
		"4111111111111111 ": false, "411111111111111x": false, "٤١١١١١١١١١١١١١١١": false, strings.Repeat("0", 20): false, strings.Repeat("0", 19): true,
		strings.Repeat("0", 1000): false,
	} {
		if got := rules.Luhn(s); got != want {
			t.Errorf("Luhn(%q) = %t", s, got)
		}
	}
}

func TestHasCardNumber(t *testing.T) {
	for s, want := range map[string]bool{
		"card=4111111111111111&x=1": true, "a 4111-1111-1111-1111.": true, "5555555555554444": true, "x 378282246310005 y": true,
		"30569309025904": true, "3530111333300000": true, "/u/2223003122003222/": true,
		"x4111111111111111": false, "4111111111111111x": false, "94111111111111111": false, "41111111111111119": false, // part of something longer
		"0000000000000000": false, "9111111111111111": false, "id=1234567890123452": false, "4111111111111": false, "": false, "_4111111111111111": false,
		strings.Repeat("a", 20<<10) + " 4111111111111111": false,
	} {
		if got := rules.HasCardNumber(s); got != want {
			t.Errorf("HasCardNumber(%.60q) = %t", s, got)
		}
	}
}

func TestEntropy(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for s, want := range map[string]float64{"": 0, "aaaa": 0, "aabb": 1, "abcd": 2, string(all): 8, "aab": 0.918296} {
		if got := rules.Entropy(s); got != want {
			t.Errorf("Entropy(%.20q) = %v, want %v", s, got, want)
		}
	}
	long := strings.Repeat("a", 4096)
	if got := rules.Entropy(long + "bcdefgh"); got != 0 {
		t.Errorf("beyond the bound: %v", got)
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://User@Host.example:8443/p/q?a=1#f": `scheme == "https" && u.user == "User" && u.host == "host.example" && u.port == 8443 && u.path == "/p/q" && u.query == "a=1" && u.fragment == "f"`,
		"//host/p":                          `scheme == "" && u.host == "host" && u.path == "/p"`,
		"/p?x":                              `host == "" && u.path == "/p" && u.query == "x"`,
		"http://[2001:db8::1]:80/":          `host == "2001:db8::1" && u.port == 80`,
		"http://[2001:db8::1/":              `host == "" && u.port == 0`,
		"http://[nonsense]/":                `host == "" && u.path == "/"`,
		"http://good.example@evil.example/": `host == "evil.example"`,
		"http://a:99999/x":                  `host == "a" && u.port == 0 && u.path == "/x"`,
		"javascript:alert(1)":               `scheme == "javascript" && u.host == "" && u.path == "alert(1)"`,
		"1http://x":                         `scheme == "" && u.path == "1http://x"`,
		"":                                  `scheme == "" && u.path == ""`,
		"http://%zz\x00/%":                  `scheme == "http" && u.path == "/%"`,
		" HTTP://X ":                        `scheme == "http" && u.host == "x"`,
	} {
		e := &event.Event{}
		e.Request.Path = text
		if !holds(t, "cel.bind(u, url(request.path), u."+want+")", e) {
			t.Errorf("%q: not %s", text, want)
		}
	}
}

func TestQueryParam(t *testing.T) {
	for _, c := range []struct{ query, name, want string }{
		{"a=1&b=2", "b", "2"}, {"?a=1", "a", "1"}, {"a=1&a=2", "a", "1"}, {"a", "a", ""}, {"%61=x", "a", "x"}, {"a=%2Fx+y%zz", "a", "/x y%zz"},
		{"", "a", ""}, {"=1", "", "1"}, {"A=1", "a", ""}, {"a=%ff", "a", "\uFFFD"}, {"a=%", "a", "%"}, {"a=b=c", "a", "b=c"},
	} {
		if got := rules.QueryParam(c.query, c.name); got != c.want {
			t.Errorf("QueryParam(%q, %q) = %q, want %q", c.query, c.name, got, c.want)
		}
	}
}

// FuzzFunctions calls every function with any text: none may panic or fail.
func FuzzFunctions(f *testing.F) {
	set := mustLoad(f, `
kind: lists
lists:
  net: {values: [10.0.0.0/8], type: network}
  fold: {values: [abc], type: fold}
---
id: r
title: R
filter: |
  cel.bind(u, url(request.path), u.scheme + u.host + u.path + u.query + u.fragment + u.user != "x" || u.port > 5)
    && geo(request.path).asn == 0 && entropy(request.path) >= 0.0 && (luhn(request.path) || true) && (hasCardNumber(request.path) || true)
    && (inList(request.path, "net") || inList(request.path, "fold") || true) && queryParam(request.path, request.query) != decode(request.path) + "x"
`)
	for _, s := range []string{"", "http://[::1]:80/?a=%ff#x", "4111 1111 1111 1111", "\xff\xfe", "a=1&b=%2", "10.0.0.1%eth0", "::ffff:10.0.0.1"} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		e := &event.Event{}
		e.Request.Path, e.Request.Query = s, name
		e.Bound()
		set.Match(e, nil)
		if n := set.Rules()[0].Errors(); n > 0 {
			t.Errorf("%d evaluation errors", n)
		}
		if h := rules.Entropy(s); h < 0 || h > 8 || math.IsNaN(h) {
			t.Errorf("entropy %v", h)
		}
		if v := rules.QueryParam(s, name); !utf8.ValidString(v) || len(v) > 3*len(s) {
			t.Errorf("parameter %q", v)
		}
		if rules.Luhn(s) && !strings.ContainsAny(s, "0123456789") {
			t.Error("a number without digits")
		}
	})
}
