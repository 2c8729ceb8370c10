package geo

import (
	"cmp"
	"strings"
)

// Place is what the databases know of an address. What they do not know is empty or 0. Each text has at most 256 bytes.
type Place struct {
	Country   string // ISO 3166-1 alpha-2, where the address is used: "SE"
	Continent string // "AF", "AN", "AS", "EU", "NA", "OC", "SA"
	City      string // its English name
	Org       string // who holds the autonomous system
	ASN       uint32
}

// Anonymity says how an address hides who uses it, as an Anonymous-IP database knows. The zero value is "not known to".
type Anonymity uint8

// The ways to hide, in the order of MaxMind's documentation.
const (
	Anonymous Anonymity = 1 << iota
	AnonymousVPN
	HostingProvider
	PublicProxy
	ResidentialProxy
	TorExitNode

	anonymities = iota
)

// names has the texts for each set of ways, so that asking for one allocates nothing.
type names [1 << anonymities][]string

func anonymityNames() *names {
	words := [anonymities]string{"anonymous", "anonymous-vpn", "hosting-provider", "public-proxy", "residential-proxy", "tor-exit-node"}
	var n names
	for set := range n {
		for i, w := range words {
			if set&(1<<i) != 0 {
				n[set] = append(n[set], w)
			}
		}
		n[set] = n[set][:len(n[set]):len(n[set])] // who appends gets a copy
	}
	return &n
}

// record is the part of a database's record that we read; the layout is that of MaxMind's GeoLite2 and GeoIP2 City, Country, ASN, ISP,
// Enterprise and Anonymous-IP databases, which other makers follow.
type record struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		ISO string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	City struct {
		Names struct {
			English string `maxminddb:"en"`
		} `maxminddb:"names"`
	} `maxminddb:"city"`
	Traits struct { // Enterprise
		ASN uint32 `maxminddb:"autonomous_system_number"`
		Org string `maxminddb:"autonomous_system_organization"`
	} `maxminddb:"traits"`
	ASN              uint32 `maxminddb:"autonomous_system_number"`
	Org              string `maxminddb:"autonomous_system_organization"`
	Anonymous        bool   `maxminddb:"is_anonymous"`
	AnonymousVPN     bool   `maxminddb:"is_anonymous_vpn"`
	HostingProvider  bool   `maxminddb:"is_hosting_provider"`
	PublicProxy      bool   `maxminddb:"is_public_proxy"`
	ResidentialProxy bool   `maxminddb:"is_residential_proxy"`
	TorExitNode      bool   `maxminddb:"is_tor_exit_node"`
}

// maxText bounds what is taken of a database's text, in bytes.
const maxText = 256

// place returns what the record knows.
func (r *record) place() Place {
	p := Place{Country: bounded(r.Country.ISO), Continent: bounded(r.Continent.Code), City: bounded(r.City.Names.English), ASN: r.ASN, Org: bounded(r.Org)}
	if p.ASN == 0 {
		p.ASN, p.Org = r.Traits.ASN, bounded(r.Traits.Org)
	}
	return p
}

// fill adds to p what from knows and p does not.
func (p *Place) fill(from *Place) {
	p.Country = cmp.Or(p.Country, from.Country)
	p.Continent = cmp.Or(p.Continent, from.Continent)
	p.City = cmp.Or(p.City, from.City)
	if p.ASN == 0 { // number and holder belong together
		p.ASN, p.Org = from.ASN, from.Org
	}
}

func bounded(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

func (r *record) anonymity() (a Anonymity) {
	for i, is := range [anonymities]bool{r.Anonymous, r.AnonymousVPN, r.HostingProvider, r.PublicProxy, r.ResidentialProxy, r.TorExitNode} {
		if is {
			a |= 1 << i
		}
	}
	return a
}
