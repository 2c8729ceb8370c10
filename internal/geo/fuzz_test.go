package geo

import (
	"net/netip"
	"testing"

	"github.com/warder/warder/internal/geo/geotest"
)

// FuzzRead gives hostile databases: whatever is taken must answer without a panic, within bounds.
func FuzzRead(f *testing.F) {
	for _, n := range []map[string]geotest.Map{
		{"203.0.113.0/24": geotest.City("SE", "EU", "Falun")},
		{"2001:db8::/32": geotest.ASN(4200000000, "Example")},
		{"128.0.0.0/1": {"is_anonymous": true, "traits": geotest.ASN(1, "x")}},
	} {
		b, err := geotest.Encode(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte{203, 0, 113, 9})
	}
	f.Fuzz(func(t *testing.T, b, address []byte) {
		db, err := read(b)
		if err != nil {
			return
		}
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		p, err := (&file{db: db}).lookup(a.Unmap())
		if err != nil || p == nil {
			return
		}
		for _, s := range []string{p.place.Country, p.place.Continent, p.place.City, p.place.Org} {
			if len(s) > maxText {
				t.Errorf("a text of %d bytes", len(s))
			}
		}
	})
}
