package decision

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func FuzzCanonical(f *testing.F) {
	for _, s := range Scopes() {
		f.Add(string(s), "203.0.113.9", string(Country), "de")
	}
	f.Add("source.cidr", "::ffff:198.51.100.9/120", "source.asn", "as64496")
	f.Add("source.address", "fe80::1%eth0", "api.route", "/login")
	f.Fuzz(func(t *testing.T, s1, v1, s2, v2 string) {
		once, err := Canonical(Term{Scope(s1), v1}, Term{Scope(s2), v2})
		if err != nil {
			return
		}
		twice, err := Canonical(once...)
		if err != nil {
			t.Fatalf("%q is canonical and not valid: %v", once, err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Error(diff)
		}
		swapped, err := Canonical(once[1], once[0])
		if diff := cmp.Diff(once, swapped); diff != "" || err != nil {
			t.Error(err, diff)
		}
	})
}

func FuzzDecodeSwitch(f *testing.F) {
	f.Add([]byte(`{"v":1,"mode":"observe","by":"person:ada","at":"2026-10-10T13:55:36Z","note":"drill"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSwitch(b)
		if err != nil {
			return
		}
		roundTrip(t, s, Switch.Encode, DecodeSwitch)
	})
}

func FuzzDecodeAck(f *testing.F) {
	f.Add([]byte(`{"v":1,"gateway":"edge-1","kind":"inline","offset":-1,"held":0,"at":"2026-10-10T13:55:36Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAck(b)
		if err != nil {
			return
		}
		roundTrip(t, a, (*Ack).Encode, DecodeAck)
	})
}

// roundTrip checks that what was decoded is written and read again as the same bytes.
func roundTrip[T any](t *testing.T, v T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	first, err := encode(v)
	if err != nil || len(first) > MaxEncoded {
		return // a year that JSON cannot write, or invalid UTF-8 that grew
	}
	again, err := decode(first)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := encode(again); err != nil || string(first) != string(second) {
		t.Fatalf("%s\n%s", first, second)
	}
}

func FuzzMatcher(f *testing.F) {
	f.Add("source.cidr", "203.0.113.0/24", "203.0.113.9", "alice", uint32(7))
	f.Add("source.address", "::ffff:203.0.113.9", "203.0.113.9", "alice", uint32(7))
	f.Add("source.asn", "7", "", "", uint32(7))
	f.Add("principal.key", "alice", "", "alice", uint32(0))
	f.Fuzz(func(t *testing.T, scope, value, addr, text string, asn uint32) {
		d := &Decision{Scope: Scope(scope), Value: value}
		if validTerms(d.Terms()) != nil {
			return
		}
		a, _ := netip.ParseAddr(addr)
		q := &Subject{Address: a.Unmap().WithZone(""), Principal: text, APIKey: asn%2 == 0, Tenant: text, Route: text, Country: text, ASN: asn,
			UserAgent: text, Fingerprint: text}
		if got, want := d.Matcher().Matches(q), d.Matches(q); got != want {
			t.Errorf("%+v: the matcher says %v, want %v", q, got, want)
		}
	})
}

func TestSwitchAndAckRefuse(t *testing.T) {
	long := strings.Repeat(" ", MaxEncoded+1)
	for _, tc := range []struct{ text, want string }{
		{"{", "decode switch"}, {`{"v":2,"mode":"observe"}`, "schema version 2"}, {`{"v":1,"mode":"off"}`, `unknown mode "off"`}, {long, "limit is"},
	} {
		if _, err := DecodeSwitch([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("switch: got %v, want %q", err, tc.want)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"{", "decode acknowledgement"}, {`{"v":2,"gateway":"a"}`, "schema version 2"}, {`{"v":1}`, "gateway is missing"}, {long, "limit is"},
		{`{"v":1,"gateway":"a\u0000b"}`, "control characters"}, {`{"v":1,"gateway":"a","offset":-2}`, "offset"},
		{`{"v":1,"gateway":"a","held":-1}`, "held"},
	} {
		if _, err := DecodeAck([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("acknowledgement: got %v, want %q", err, tc.want)
		}
	}
}

func TestSwitchAndAckRoundTrip(t *testing.T) {
	at := time.Date(2026, 10, 10, 13, 55, 36, 7, time.UTC)
	s := Switch{Version: Version, Mode: Observe, By: "person:ada", At: at, Note: "drill"}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeSwitch(b)
	if diff := cmp.Diff(s, again); diff != "" || err != nil {
		t.Error(err, diff)
	}
	a := &Ack{Version: Version, Gateway: "edge-1/haproxy", Kind: "haproxy", Offset: 41, Held: 3, At: at, Error: "down", Repaired: 2, Left: true}
	if b, err = a.Encode(); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeAck(b)
	if diff := cmp.Diff(a, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if string(a.Key()) != "edge-1/haproxy" {
		t.Errorf("key %s", a.Key())
	}
}
