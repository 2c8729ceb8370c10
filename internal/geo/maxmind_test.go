//go:build data

package geo_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/geo"
)

// TestMaxMind reads MaxMind's own test databases from the folder that WARDER_MAXMIND names; they are not in the repository, so the test
// has a build tag: WARDER_MAXMIND=DIR go test -tags data ./internal/geo
func TestMaxMind(t *testing.T) {
	dir := os.Getenv("WARDER_MAXMIND")
	if dir == "" {
		t.Fatal("WARDER_MAXMIND does not name a folder with MaxMind's test databases")
	}
	d := open(t, filepath.Join(dir, "GeoLite2-City-Test.mmdb"), filepath.Join(dir, "GeoLite2-Country-Test.mmdb"),
		filepath.Join(dir, "GeoLite2-ASN-Test.mmdb"), filepath.Join(dir, "GeoIP2-Anonymous-IP-Test.mmdb"))
	for address, want := range map[string]geo.Place{
		"89.160.20.112": {Country: "SE", Continent: "EU", City: "Linköping", ASN: 29518, Org: "Bredband2 AB"},
		"81.2.69.142":   {Country: "GB", Continent: "EU", City: "London"},
		"2001:218::1":   {Country: "JP", Continent: "AS"},
		"1.128.0.1":     {ASN: 1221, Org: "Telstra Pty Ltd"},
	} {
		if diff := cmp.Diff(want, d.Place(netip.MustParseAddr(address))); diff != "" {
			t.Errorf("%s: %s", address, diff)
		}
	}
	all := []string{"anonymous", "anonymous-vpn", "hosting-provider", "public-proxy", "residential-proxy", "tor-exit-node"}
	if diff := cmp.Diff(all, d.Names(d.Anonymity(netip.MustParseAddr("81.2.69.142")))); diff != "" {
		t.Error(diff)
	}
}
