package event

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// full returns an event with every field set.
func full() *Event {
	return &Event{
		ID: NewID("gw@1", 7), Tap: "gw@1", Seq: 7, Dropped: 2, Kind: Request, Time: time.Unix(1_700_000_000, 123).UTC(),
		Request: RequestInfo{ID: "r1", Method: "POST", Scheme: "https", Protocol: "HTTP/2.0", Host: "example.com", Path: "/a/%2e",
			Query: "x=1&y=ü", UserAgent: "curl/8", Referer: "https://example.com/", Headers: map[string]string{"b": "2", "a": "1"},
			Size: 12, Duration: 34 * time.Millisecond},
		Response:  ResponseInfo{Code: 401, Size: 56, ContentType: "text/html"},
		Source:    Source{Address: netip.MustParseAddr("203.0.113.9"), Port: 4711, Peer: netip.MustParseAddr("2001:db8::1"), Country: "CH", ASN: 64496},
		Principal: Principal{ID: "bob", Type: "jwt", Tenant: "t1", Roles: []string{"admin", "user"}},
		Auth:      Auth{Outcome: "failure", Reason: "expired"},
		API:       API{Route: "/a/{id}", Version: "v1", Name: "shop"},
		TLS:       TLS{Version: "1.3", SNI: "example.com", Fingerprint: "t13d"},
		LLM:       LLM{Model: "m", PromptTokens: 5, CompletionTokens: 6},
		Enforced:  Enforced{By: "d1", Action: "observe:block"},
		WAF:       WAF{Score: -3, Rules: []string{"942100"}},
		Intel:     Intel{Lists: []string{"tor"}},
		Ext:       map[string]string{"k": "v"},
		Truncated: true,
	}
}

func TestRoundTrip(t *testing.T) {
	for name, want := range map[string]*Event{
		"full":      full(),
		"empty":     {ID: NewID("t", 1), Tap: "t", Seq: 1},
		"heartbeat": {ID: NewID("t", 9), Tap: "t", Seq: 9, Kind: Heartbeat, Time: time.Unix(1, 0).UTC()},
	} {
		b := want.Append(nil)
		got, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, compareAddr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if again := got.Append(nil); string(again) != string(b) {
			t.Errorf("%s: the encoding is not deterministic", name)
		}
		if prefix := want.Append([]byte("x")); string(prefix) != "x"+string(b) {
			t.Errorf("%s: Append does not append", name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := slices.Clip(full().Append(nil))
	version2 := append([]byte(nil), good...)
	version2[1] = 2
	for name, tc := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":     {nil, "unknown schema version 0"},
		"version":     {version2, "unknown schema version 2"},
		"too large":   {make([]byte, MaxEncoded+1), "limit is"},
		"no id":       {(&Event{Tap: "t"}).Append(nil), "id or tap is missing"},
		"no tap":      {(&Event{ID: NewID("t", 1)}).Append(nil), "id or tap is missing"},
		"cut off":     {good[:len(good)-1], "field 48"},
		"garbage":     {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "decode event"},
		"bad id":      {append(good, 0x8a, 0x03, 1, 'x'), "id has 1 bytes"},
		"bad address": {append(good, 0xb2, 0x01, 1, 'x'), "address has 1 bytes"},
	} {
		_, err := Decode(tc.b)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if strings.HasPrefix(name, "version") && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: is not ErrVersion", name)
		}
	}
	// A newer writer's fields are skipped.
	if _, err := Decode(append(good, 0xf8, 0x3f, 1)); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestBound(t *testing.T) {
	e := full()
	e.Truncated = false
	e.Bound()
	if diff := cmp.Diff(full(), e, compareAddr, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Truncated" }, cmp.Ignore())); diff != "" || e.Truncated {
		t.Errorf("an event within bounds was changed:\n%s", diff)
	}

	big := strings.Repeat("ü", 20000)
	e = &Event{ID: NewID("t", 1), Tap: big, Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	e.Request = RequestInfo{Method: big, Host: big, Path: big, Query: big, UserAgent: big, Referer: "bad \xff utf8", Headers: map[string]string{}}
	e.Ext = map[string]string{}
	for i := range 200 {
		e.Principal.Roles = append(e.Principal.Roles, big)
		e.WAF.Rules = append(e.WAF.Rules, big)
		e.Intel.Lists = append(e.Intel.Lists, big)
		e.Request.Headers[fmt.Sprint(i, big)] = big
		e.Ext[fmt.Sprint(i)] = big
	}
	e.Bound()
	if !e.Truncated || len(e.Request.Headers) > MaxHeaders || len(e.Ext) > MaxExt || len(e.Principal.Roles) != MaxList || !e.Time.IsZero() {
		t.Errorf("truncated %v, %d headers, %d ext, %d roles, time %s", e.Truncated, len(e.Request.Headers), len(e.Ext), len(e.Principal.Roles), e.Time)
	}
	if len(e.Request.Path) > MaxText || !utf8.ValidString(e.Request.Path) || e.Request.Referer != "bad \uFFFD utf8" {
		t.Errorf("path has %d bytes, referer is %q", len(e.Request.Path), e.Request.Referer)
	}
	b := e.Append(nil)
	if len(b) > MaxEncoded {
		t.Errorf("a bounded event has %d bytes", len(b))
	}
	if _, err := Decode(b); err != nil {
		t.Error(err)
	}
}

func TestBoundKeepsSharedSlices(t *testing.T) {
	roles := []string{"a", strings.Repeat("x", 300)}
	e := &Event{Principal: Principal{Roles: roles}}
	e.Bound()
	if len(roles[1]) != 300 || len(e.Principal.Roles[1]) != MaxShort {
		t.Error("Bound changed a slice that it does not own")
	}
}

func TestID(t *testing.T) {
	id := NewID("gw@1", 258)
	if got := id.String(); !strings.HasSuffix(got, "0000000000000102") || len(got) != 32 {
		t.Errorf("got %s", got)
	}
	back, err := ParseID(id.String())
	if err != nil || back != id {
		t.Errorf("%v %v", back, err)
	}
	var u ID
	if err := u.UnmarshalText([]byte(id.String())); err != nil || u != id {
		t.Errorf("%v %v", u, err)
	}
	for _, s := range []string{"", "12", strings.Repeat("z", 32), strings.Repeat("0", 33)} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if NewID("a", 1) == NewID("b", 1) || NewID("a", 1) == NewID("a", 2) || !(ID{}).IsZero() || id.IsZero() {
		t.Error("ids collide")
	}
}

func TestKeyAndRefused(t *testing.T) {
	e := full()
	mapped := full()
	mapped.Source.Address = netip.MustParseAddr("::ffff:203.0.113.9")
	if string(e.Key()) != string(mapped.Key()) || len(e.Key()) != 16 {
		t.Error("one client has two keys")
	}
	if got := (&Event{Tap: "t"}).Key(); string(got) != "t" {
		t.Errorf("key without an address is %q", got)
	}
	for action, want := range map[string]bool{"block": true, "limit": true, "challenge": true, "log": false, "": false, "observe:block": false,
		"observe:challenge": false} {
		if got := (&Event{Enforced: Enforced{Action: action}}).Refused(); got != want {
			t.Errorf("%q: got %v", action, got)
		}
	}
}

// FuzzDecode: whatever is decoded is bounded, and survives another round unchanged.
func FuzzDecode(f *testing.F) {
	f.Add(full().Append(nil))
	f.Add((&Event{ID: NewID("t", 1), Tap: "t"}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		again := e.Append(nil)
		if len(again) > MaxEncoded {
			t.Fatalf("%d bytes became %d", len(b), len(again))
		}
		e2, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, e2, compareAddr); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	e := full()
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := full().Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
