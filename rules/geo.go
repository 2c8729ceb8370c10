package rules

import "net/netip"

// Geo knows where addresses are. It must be a pure function of the address for as long as a Set lives, and safe for concurrent use:
// alerts depend on it.
type Geo interface {
	// Place returns what is known of the address; the zero Place for nothing.
	Place(netip.Addr) Place
}

// Place is where an address is and who runs its network. What is not known is empty or 0.
type Place struct {
	Country   string // ISO 3166-1 alpha-2, upper case
	Continent string // two letters: AF AN AS EU NA OC SA
	City      string
	Org       string // of the autonomous system
	ASN       uint32
}
