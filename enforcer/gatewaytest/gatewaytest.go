// Package gatewaytest is the conformance suite of gateways: whatever way a gateway gets its decisions, clients must see the same.
package gatewaytest

import (
	"context"
	"net/netip"

	"github.com/warder/warder/internal/decision"
)

// Rig is one gateway under test with Warder's part of it.
type Rig struct {
	// Sync makes want what is in force, by the way that the gateway gets its decisions in production. It returns when the gateway has it.
	Sync func(ctx context.Context, want ...*decision.Decision) error
	// Ask sends one request to the gateway and returns what the client got.
	Ask func(ctx context.Context, q Request) (Answer, error)
	// Restart ends Warder's part without a farewell and starts it again; the gateway's own state stays. Nothing is synced by it.
	Restart func(ctx context.Context) error
	// Supports tells why the gateway cannot express a decision, nil when it can: such cases of the suite are left out.
	Supports func(d *decision.Decision) error
	// Tamper changes the gateway's own state behind Warder's back: it removes what it finds and blocks Foreign. The next Sync after a
	// Restart must repair it. nil: the gateway's state is Warder's own memory.
	Tamper func(ctx context.Context) error
	// Size counts the entries in the gateway's own state, for a gateway that has one: it must not grow by itself. May be nil.
	Size func(ctx context.Context) (int, error)
	// Expires tells that the gateway lets an entry end by itself. Otherwise the suite calls Sync without it, as the driver does.
	Expires bool
	// Refused is the status of a blocked request: 403 when 0. Gateways that drop packets answer nothing; their Ask says -1.
	Refused int
}

// Foreign is the client that Tamper blocks.
var Foreign = netip.MustParseAddr("198.51.100.66")

// Request is what a client shows of itself.
type Request struct {
	Address   netip.Addr
	Principal string // proven; "" for none
	UserAgent string
	Path      string // "/" when empty
}

// Answer is what the client got. 200 came from the service.
type Answer struct {
	Status     int
	RetryAfter string
}
