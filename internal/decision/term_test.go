package decision

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRanks(t *testing.T) {
	for i, s := range Scopes() {
		if s.Rank() != i {
			t.Errorf("%s has the rank %d, want %d", s, s.Rank(), i)
		}
	}
	if Scope("planet").Rank() != -1 {
		t.Error("an unknown scope has a rank")
	}
}

func TestCanonical(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []Term
		want []Term
		err  string
	}{
		{name: "mapped address", in: []Term{{Address, "::FFFF:192.0.2.1"}}, want: []Term{{Address, "192.0.2.1"}}},
		{name: "zone", in: []Term{{Address, "FE80:0::1%eth0"}}, want: []Term{{Address, "fe80::1"}}},
		{name: "host bits", in: []Term{{CIDR, "198.51.100.9/24"}}, want: []Term{{CIDR, "198.51.100.0/24"}}},
		{name: "mapped prefix", in: []Term{{CIDR, "::ffff:198.51.100.9/120"}}, want: []Term{{CIDR, "198.51.100.0/24"}}},
		{name: "country", in: []Term{{Country, "de"}}, want: []Term{{Country, "DE"}}},
		{name: "ASN", in: []Term{{ASN, "as64496"}}, want: []Term{{ASN, "64496"}}},
		{name: "order", in: []Term{{Country, "DE"}, {Route, "/a"}, {Principal, "p"}, {Address, "192.0.2.1"}},
			want: []Term{{Address, "192.0.2.1"}, {Principal, "p"}, {Route, "/a"}, {Country, "DE"}}},
		{name: "text stays", in: []Term{{UserAgent, " Curl/8 "}}, want: []Term{{UserAgent, " Curl/8 "}}},
		{name: "none", err: "no terms"},
		{name: "scope twice", in: []Term{{Country, "DE"}, {Country, "FR"}}, err: "out of order or repeat"},
		{name: "too many", in: []Term{{Address, "192.0.2.1"}, {Principal, "p"}, {Tenant, "t"}, {Route, "/a"}, {Country, "DE"}}, err: "limit is 4"},
		{name: "address", in: []Term{{Address, "192.0.2"}}, err: "not an IP address"},
		{name: "prefix", in: []Term{{CIDR, "192.0.2.1"}}, err: "not a CIDR"},
		{name: "country of three letters", in: []Term{{Country, "DEU"}}, err: "country code"},
		{name: "country in other letters", in: []Term{{Country, "ÄÖ"}}, err: "country code"},
		{name: "ASN 0", in: []Term{{ASN, "0"}}, err: "autonomous system"},
		{name: "ASN with a zero", in: []Term{{ASN, "064496"}}, err: "autonomous system"},
		{name: "ASN too big", in: []Term{{ASN, "4294967296"}}, err: "autonomous system"},
		{name: "control", in: []Term{{Route, "/a\x1fsource.country|DE"}}, err: "control characters"},
		{name: "not UTF-8", in: []Term{{Route, "/\xff"}}, err: "UTF-8"},
		{name: "unknown", in: []Term{{"planet", "x"}}, err: "unknown scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Canonical(tc.in...)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// Values hold what a key is made of, except the separator.
func TestKeysDiffer(t *testing.T) {
	lists := [][]Term{
		{{Principal, "p"}}, {{APIKey, "p"}}, {{Tenant, "p"}}, {{Route, "p"}}, {{UserAgent, "p"}}, {{Fingerprint, "p"}},
		{{Principal, "p|api.route|r"}}, {{Principal, "p"}, {Route, "r"}}, {{Principal, "p|r"}}, {{Principal, "p"}, {Tenant, "r"}},
		{{Principal, "p api.route|r"}}, {{Route, "r"}}, {{Principal, "p"}, {Route, "r|source.country|DE"}},
		{{Principal, "p"}, {Route, "r"}, {Country, "DE"}}, {{Principal, "switch"}},
	}
	seen := map[string]int{SwitchKey: -1}
	for i, l := range lists {
		if err := validTerms(l); err != nil {
			t.Fatal(err)
		}
		for _, a := range []Action{Block, Limit, Challenge, Log} {
			d := Decision{Action: a, Scope: l[0].Scope, Value: l[0].Value, And: l[1:]}
			if j, ok := seen[string(d.Key())]; ok {
				t.Errorf("lists %d and %d have the key %q", i, j, d.Key())
			}
			seen[string(d.Key())] = i
		}
	}
}

func TestMatches(t *testing.T) {
	whole := Subject{Address: netip.MustParseAddr("203.0.113.9"), Principal: "p", APIKey: true, Tenant: "t", Route: "/r", Country: "DE", ASN: 64496,
		UserAgent: "curl", Fingerprint: "ja4"}
	for _, tc := range []struct {
		term Term
		want bool
	}{
		{Term{Address, "203.0.113.9"}, true}, {Term{Address, "::ffff:203.0.113.9"}, true}, {Term{Address, "203.0.113.8"}, false},
		{Term{CIDR, "203.0.113.0/24"}, true}, {Term{CIDR, "::ffff:203.0.113.0/120"}, true}, {Term{CIDR, "::/0"}, false}, {Term{CIDR, "0.0.0.0/0"}, true},
		{Term{Principal, "p"}, true}, {Term{Principal, "t"}, false}, {Term{APIKey, "p"}, true}, {Term{APIKey, "t"}, false},
		{Term{Tenant, "t"}, true}, {Term{Route, "/r"}, true}, {Term{Route, "/R"}, false}, {Term{Country, "DE"}, true}, {Term{Country, "FR"}, false},
		{Term{ASN, "64496"}, true}, {Term{ASN, "64497"}, false}, {Term{UserAgent, "curl"}, true}, {Term{UserAgent, "cur"}, false},
		{Term{Fingerprint, "ja4"}, true}, {Term{"planet", ""}, false},
	} {
		d := &Decision{Scope: tc.term.Scope, Value: tc.term.Value}
		for name, m := range map[string]func(*Subject) bool{"matches": d.Matches, "matcher": d.Matcher().Matches} {
			if got := m(&whole); got != tc.want {
				t.Errorf("%s %v: %v", name, tc.term, got)
			}
			if m(&Subject{APIKey: true}) {
				t.Errorf("%s %v: an empty request matches", name, tc.term)
			}
		}
	}
	both := &Decision{Scope: Address, Value: "203.0.113.9", And: []Term{{Route, "/r"}, {Country, "DE"}}}
	m := both.Matcher()
	for _, tc := range []struct {
		change func(*Subject)
		want   bool
	}{
		{func(*Subject) {}, true}, {func(q *Subject) { q.Route = "/x" }, false}, {func(q *Subject) { q.Country = "" }, false},
		{func(q *Subject) { q.Address = netip.Addr{} }, false}, {func(q *Subject) { q.Principal, q.APIKey = "", false }, true},
	} {
		q := whole
		tc.change(&q)
		if both.Matches(&q) != tc.want || m.Matches(&q) != tc.want {
			t.Errorf("%+v: want %v", q, tc.want)
		}
	}
	notKey := whole
	notKey.APIKey = false
	if d := (&Decision{Scope: APIKey, Value: "p"}); d.Matches(&notKey) || d.Matcher().Matches(&notKey) {
		t.Error("a principal without a key meets a decision on keys")
	}
	if n := testing.AllocsPerRun(100, func() { m.Matches(&whole) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMark(t *testing.T) {
	for want, v := range map[string]Verdict{
		"": {}, "block": {Decision: &Decision{Action: Block}, Status: 403}, "observe:limit": {Decision: &Decision{Action: Limit}, Observed: true},
		"log": {Decision: &Decision{Action: Log}},
	} {
		if v.Mark() != want || v.Refused() != (want == "block") {
			t.Errorf("got %q, want %q", v.Mark(), want)
		}
	}
}
