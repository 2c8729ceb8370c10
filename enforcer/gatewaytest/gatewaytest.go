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
}

// Request is what a client shows of itself.
type Request struct {
	Address   netip.Addr
	Principal string // proven; "" for none
	UserAgent string
	Path      string
}

// Answer is what the client got. 200 came from the service.
type Answer struct {
	Status     int
	RetryAfter string
}
