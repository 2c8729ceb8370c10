package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	p, err := New([]string{"10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:192.0.2.200"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, peer string
		xff        []string
		realIP     string
		want       string
	}{
		{name: "no header", peer: "10.0.0.1", want: "10.0.0.1"},
		{name: "untrusted peer lies", peer: "203.0.113.9", xff: []string{"198.51.100.1"}, realIP: "198.51.100.1", want: "203.0.113.9"},
		{name: "trusted peer", peer: "10.0.0.1", xff: []string{"198.51.100.1"}, want: "198.51.100.1"},
		{name: "trusted single address", peer: "192.0.2.200", xff: []string{"198.51.100.1"}, want: "198.51.100.1"},
		{name: "client lies to the proxy", peer: "10.0.0.1", xff: []string{"1.1.1.1, 198.51.100.1"}, want: "198.51.100.1"},
		{name: "two proxies", peer: "10.0.0.1", xff: []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, want: "198.51.100.1"},
		{name: "several lines", peer: "10.0.0.1", xff: []string{"1.1.1.1", "198.51.100.1", "10.0.0.2,10.0.0.3"}, want: "198.51.100.1"},
		{name: "all trusted", peer: "10.0.0.1", xff: []string{"10.0.0.9, 10.0.0.2"}, want: "10.0.0.9"},
		{name: "port", peer: "10.0.0.1", xff: []string{"198.51.100.1:4711"}, want: "198.51.100.1"},
		{name: "IPv6", peer: "2001:db8:ffff::1", xff: []string{"2001:db8::7"}, want: "2001:db8::7"},
		{name: "IPv6 with port", peer: "10.0.0.1", xff: []string{`"[2001:db8::7]:80"`}, want: "2001:db8::7"},
		{name: "mapped", peer: "10.0.0.1", xff: []string{"::ffff:198.51.100.1"}, want: "198.51.100.1"},
		{name: "garbage ends the walk", peer: "10.0.0.1", xff: []string{"198.51.100.1, unknown, 10.0.0.2"}, want: "10.0.0.2"},
		{name: "only garbage", peer: "10.0.0.1", xff: []string{"<script>"}, realIP: "198.51.100.1", want: "10.0.0.1"},
		{name: "empty header", peer: "10.0.0.1", xff: []string{""}, want: "10.0.0.1"},
		{name: "X-Real-IP of a trusted peer", peer: "10.0.0.1", realIP: "198.51.100.1", want: "198.51.100.1"},
		{name: "too many hops", peer: "10.0.0.1", xff: []string{"1.1.1.1" + strings.Repeat(",10.0.0.2", maxHops)}, want: "10.0.0.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.xff != nil {
				h["X-Forwarded-For"] = tt.xff
			}
			if tt.realIP != "" {
				h.Set("X-Real-IP", tt.realIP)
			}
			if got := p.Client(netip.MustParseAddr(tt.peer), h).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzClientAddress(f *testing.F) {
	p, err := New([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1.1.1.1, 10.0.0.2")
	f.Add(`"[2001:db8::7]:80",::ffff:10.0.0.1,fe80::1%x`)
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, xff string) {
		a := p.Client(peer, http.Header{"X-Forwarded-For": {xff}})
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			t.Errorf("%q gives %s", xff, a)
		}
		// What stands left of an untrusted hop never matters.
		if b := p.Client(peer, http.Header{"X-Forwarded-For": {xff + ", 203.0.113.1"}}); b.String() != "203.0.113.1" {
			t.Errorf("%q, 203.0.113.1 gives %s", xff, b)
		}
	})
}
