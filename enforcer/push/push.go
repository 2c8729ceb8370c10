// Package push keeps gateways that hold state of their own (maps, files, plugins of an admin API) in line with the decisions in force.
package push

import (
	"context"

	"github.com/warder/warder/internal/decision"
)

// Gateway is a gateway whose own state is made what the decisions want. One goroutine calls it.
type Gateway interface {
	// Sync makes the gateway's state exactly want: decisions in force that enforce and that Supports accepts, at most one per key, in
	// the order of their keys. It is level-based and idempotent; what somebody else put there under other names is left alone. With
	// verify it reads the gateway's own state back and repairs it, otherwise it may trust what its earlier calls did; the first call
	// after New always verifies. repaired counts the entries that a verification found missing or foreign. After an error the same is
	// tried again.
	Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error)
	// Supports tells why the gateway cannot express a decision, nil when it can.
	Supports(d *decision.Decision) error
}
