package geo_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/warder/warder/internal/geo"
	"github.com/warder/warder/internal/geo/geotest"
)

// spread returns the i-th of addresses that lie all over the IPv4 space.
func spread(i uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], i*2654435761)
	return netip.AddrFrom4(b)
}

// large opens a city and an ASN database of 200,000 networks each, with as many different records as told.
func large(b *testing.B, records uint32) *geo.DB {
	city, asn := map[string]geotest.Map{}, map[string]geotest.Map{}
	countries := []string{"SE", "NO", "JP", "US", "BR", "ZA"}
	for i := range uint32(200_000) {
		p, r := netip.PrefixFrom(spread(i), 24).Masked().String(), i%records
		city[p] = geotest.City(countries[r%6], "EU", fmt.Sprintf("City %d", r))
		asn[p] = geotest.ASN(1+r, "Example Networks")
	}
	dir := b.TempDir()
	geotest.Write(b, filepath.Join(dir, "city.mmdb"), city)
	geotest.Write(b, filepath.Join(dir, "asn.mmdb"), asn)
	return open(b, filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb"))
}

// BenchmarkPlace asks two databases for 1,000 clients that come again; for ever new ones of networks whose records were met before;
// and for ever new ones of ever new records, where nothing helps.
func BenchmarkPlace(b *testing.B) {
	for _, bc := range []struct {
		name             string
		clients, records uint32
	}{{"again", 1000, 1000}, {"new-address", 200_000, 1000}, {"new-record", 200_000, 200_000}} {
		b.Run(bc.name, func(b *testing.B) {
			d := large(b, bc.records)
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				if d.Place(spread(i%bc.clients)).Country == "" {
					b.Fatal("an address has no country")
				}
				i++
			}
		})
	}
}
