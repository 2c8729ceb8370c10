package enforcer

import (
	"net/netip"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Traffic is what the guardrails know of the last minutes. It is safe for concurrent use and answers within microseconds: it is asked
// before each decision.
type Traffic interface {
	// Share estimates which part of the window's successful requests the decision matches, 0 to 1; good is how many successful
	// requests the estimate rests on.
	Share(d *decision.Decision) (share float64, good int64)
	// Principals counts distinct proven principals seen from the address within the window, exact up to 64, and with the same TLS
	// fingerprint or user agent when those are not empty.
	Principals(a netip.Addr, fingerprint, userAgent string) int
	// Fell compares the rate of successful requests since t with the one before t: fall is 0 (not fallen) to 1. sure tells whether
	// there were enough requests and enough time to say so.
	Fell(t time.Time) (fall float64, sure bool)
}

// Proof is what is known of the effect of decisions. It is safe for concurrent use.
type Proof interface {
	// Explain returns what each gateway says of the decision, and how many requests it answered since when.
	Explain(id string) (acks []Acknowledgement, refusals uint64, first time.Time)
	Gateways() []GatewayStatus
}
