package geo_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/geo"
	"github.com/warder/warder/internal/geo/geotest"
)

func cities() map[string]geotest.Map {
	return map[string]geotest.Map{
		"203.0.113.0/24":   geotest.City("SE", "EU", "Linköping"),
		"203.0.113.128/25": geotest.City("NO", "EU", ""),
		"2001:db8::/32":    geotest.City("JP", "AS", "Tokyo"),
		"198.51.100.7/32":  geotest.City("ZZ\xff", "", strings.Repeat("x", 300)),
	}
}

func networks() map[string]geotest.Map {
	return map[string]geotest.Map{
		"203.0.0.0/16":  geotest.ASN(64500, "Example Networks"),
		"2001:db8::/48": geotest.ASN(4200000000, ""),
	}
}

func hidden() map[string]geotest.Map {
	return map[string]geotest.Map{
		"203.0.113.9/32": {"is_anonymous": true, "is_tor_exit_node": true},
		"192.0.2.0/24":   {"is_hosting_provider": true},
	}
}

func open(t testing.TB, paths ...string) *geo.DB {
	t.Helper()
	d, err := geo.Open(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// three writes a database of each kind.
func three(t testing.TB) []string {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb"), filepath.Join(dir, "anonymous.mmdb")}
	for i, n := range []map[string]geotest.Map{cities(), networks(), hidden()} {
		geotest.Write(t, paths[i], n)
	}
	return paths
}

func TestPlace(t *testing.T) {
	d := open(t, three(t)...)
	for _, tc := range []struct {
		address string
		want    geo.Place
		names   []string
	}{
		{"203.0.113.9", geo.Place{Country: "SE", Continent: "EU", City: "Linköping", ASN: 64500, Org: "Example Networks"}, []string{"anonymous", "tor-exit-node"}},
		{"203.0.113.200", geo.Place{Country: "NO", Continent: "EU", ASN: 64500, Org: "Example Networks"}, nil},
		{"203.0.1.1", geo.Place{ASN: 64500, Org: "Example Networks"}, nil},
		{"::ffff:203.0.113.9", geo.Place{Country: "SE", Continent: "EU", City: "Linköping", ASN: 64500, Org: "Example Networks"}, []string{"anonymous", "tor-exit-node"}},
		{"2001:db8::1", geo.Place{Country: "JP", Continent: "AS", City: "Tokyo", ASN: 4200000000}, nil},
		{"2001:db8:1::1%eth0", geo.Place{Country: "JP", Continent: "AS", City: "Tokyo"}, nil},
		{"192.0.2.1", geo.Place{}, []string{"hosting-provider"}},
		{"198.51.100.7", geo.Place{Country: "ZZ", City: strings.Repeat("x", 256)}, nil},
		{"10.0.0.1", geo.Place{}, nil},
		{"::1", geo.Place{}, nil},
	} {
		for range 2 { // from the files, and from the cache
			a := netip.MustParseAddr(tc.address)
			if diff := cmp.Diff(tc.want, d.Place(a)); diff != "" {
				t.Errorf("%s: %s", tc.address, diff)
			}
			if diff := cmp.Diff(tc.names, d.Names(d.Anonymity(a))); diff != "" {
				t.Errorf("%s: %s", tc.address, diff)
			}
		}
	}
	if got := d.Place(netip.Addr{}); got != (geo.Place{}) {
		t.Errorf("no address is at %v", got)
	}
	if d.Failed() != 0 || d.Built() != time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("failed %d, built %s", d.Failed(), d.Built())
	}
	if got := open(t).Place(netip.MustParseAddr("203.0.113.9")); got != (geo.Place{}) {
		t.Errorf("without a database there is %v", got)
	}
}

// The first database that knows a part of the answer gives it.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.mmdb"), filepath.Join(dir, "b.mmdb")
	geotest.Write(t, a, map[string]geotest.Map{"203.0.113.0/24": geotest.City("SE", "", "")})
	geotest.Write(t, b, map[string]geotest.Map{"203.0.113.0/24": geotest.City("DK", "EU", "Aarhus")})
	want := geo.Place{Country: "SE", Continent: "EU", City: "Aarhus"}
	if diff := cmp.Diff(want, open(t, a, b).Place(netip.MustParseAddr("203.0.113.1"))); diff != "" {
		t.Error(diff)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := three(t)[0]
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	flat := filepath.Join(dir, "flat.mmdb")
	geotest.Write(t, flat, map[string]geotest.Map{"128.0.0.0/1": {"country": "SE"}})
	for name, tc := range map[string]struct{ path, want string }{
		"missing":        {filepath.Join(dir, "no.mmdb"), "there is no such file; download it"},
		"folder":         {dir, "not a regular file"},
		"empty":          {file("empty", nil), "no MaxMind database"},
		"text":           {file("text", []byte("<html>not found</html>")), "no MaxMind database"},
		"cut off":        {file("cut", text[:len(text)/2]), "no MaxMind database"},
		"another layout": {flat, `type "Warder-Test": `},
		"damaged tree":   {file("tree", damage(text, 64)), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := geo.Open(good, tc.path)
			var fault *geo.FileError
			if !errors.As(err, &fault) || fault.Index != 1 || fault.Path != tc.path || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := geo.Open(make([]string, geo.MaxFiles+1)...); err == nil {
		t.Error("any number of databases is taken")
	}
}

// damage overwrites the first bytes of the search tree.
func damage(b []byte, n int) []byte {
	b = append([]byte(nil), b...)
	for i := range n {
		b[i] = 0xfe
	}
	return b
}

func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "city.mmdb")
	geotest.Write(t, path, cities())
	d := open(t, path)
	a := netip.MustParseAddr("203.0.113.9")
	check := func(country string, changed int, fault string, stale int) {
		t.Helper()
		files, err := d.Refresh()
		if len(files) != changed || (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Fatalf("refresh: changed %q, error %v; want %d, %q", files, err, changed, fault)
		}
		if got := d.Place(a).Country; got != country || d.Stale() != stale {
			t.Fatalf("country %q, %d stale; want %q, %d", got, d.Stale(), country, stale)
		}
	}
	check("SE", 0, "", 0)
	geotest.Write(t, path, map[string]geotest.Map{"203.0.113.0/24": geotest.City("FI", "EU", "")})
	check("FI", 1, "", 0)
	check("FI", 0, "", 0)
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("FI", 0, path, 1)
	check("FI", 0, "", 1) // said once
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("FI", 0, "no such file", 1)
	check("FI", 0, "", 1)
	geotest.Write(t, path, cities())
	check("SE", 1, "", 0)
}

// Lookups go on while databases are swapped; the race detector watches.
func TestRefreshBesideLookups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "city.mmdb")
	geotest.Write(t, path, cities())
	d := open(t, path)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20_000 {
			if c := d.Place(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})).Country; c == "" {
				t.Errorf("an address lost its country")
				return
			}
		}
	}()
	for range 20 {
		geotest.Write(t, path, cities())
		if _, err := d.Refresh(); err != nil {
			t.Error(err)
		}
	}
	<-done
}

func TestHitAllocatesNothing(t *testing.T) {
	d := open(t, three(t)...)
	a := netip.MustParseAddr("203.0.113.9")
	d.Place(a)
	if n := testing.AllocsPerRun(100, func() { d.Place(a); d.Names(d.Anonymity(a)) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}
