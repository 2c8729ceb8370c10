package adminapi

import (
	"context"
	"errors"
	"slices"

	"github.com/warder/warder/internal/decision"
)

// MaxNetworks bounds a list: the gateways that have one take it as one document and search it for each request.
const MaxNetworks = 10_000

// List keeps a gateway's list of refused addresses and CIDRs in line. It is for one goroutine.
type List struct {
	// Read returns the list, empty when there is none; Write replaces it, and removes it when it is empty.
	Read  func(context.Context) ([]string, error)
	Write func(context.Context, []string) error

	held  []string // sorted
	known bool
}

// Supports tells why a list cannot express a decision.
func (l *List) Supports(d *decision.Decision) error {
	if d.Action != decision.Block || d.Scope != decision.Address && d.Scope != decision.CIDR || len(d.And) > 0 {
		return errors.New("only blocks of an address or a CIDR can be expressed at this gateway")
	}
	return nil
}

// Sync makes the list what the decisions want. More than MaxNetworks is an error, and the list stays as it was.
func (l *List) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	if len(want) > MaxNetworks {
		return 0, errTooMany
	}
	next := make([]string, len(want))
	for i, d := range want {
		next[i] = d.Value
	}
	slices.Sort(next)
	next = slices.Compact(next)
	have := l.held
	if verify || !l.known {
		if have, err = l.Read(ctx); err != nil {
			return 0, err
		}
		expected := next
		if l.known {
			expected = l.held
		}
		slices.Sort(have)
		repaired = differences(expected, have)
	}
	l.known = false // until all has succeeded
	if !slices.Equal(have, next) {
		if err := l.Write(ctx, next); err != nil {
			return repaired, err
		}
	}
	l.held, l.known = next, true
	return repaired, nil
}

var errTooMany = errors.New("more than 10000 addresses and CIDRs: this gateway's list would slow down each request; use HAProxy, Envoy or forward auth")

// differences counts what only one of two sorted lists has.
func differences(a, b []string) (n int) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a, n = a[1:], n+1
		default:
			b, n = b[1:], n+1
		}
	}
	return n + len(a) + len(b)
}
