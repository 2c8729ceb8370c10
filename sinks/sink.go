// Package sinks tells people and SIEMs what was found. The [Dispatcher] reads the alerts topic once per configured sink, in a
// consumer group of the sink's own, and decides what is sent, when it is tried again and when it is given up; a sink only knows
// how to put alerts on its wire. Each kind of sink is a package below this one; internal/app puts them together.
package sinks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
)

// Sink sends alerts to one destination.
//
// Send sends all alerts, or fails; no alerts is nothing to do. retry tells whether the same call may succeed later: the
// destination was unreachable, busy or broken. Without it the destination refused this content, and would again. An error
// names what failed and where, and never holds a URL's path, a token or a password. Send returns soon after ctx ends, does not
// retry by itself, keeps no alert, and may be called from several goroutines and again after any failure.
type Sink interface {
	Send(ctx context.Context, alerts []*alert.Alert) (retry bool, err error)
}

// EventSink sends access events to a SIEM. The contract is that of [Sink].
type EventSink interface {
	SendEvents(ctx context.Context, events []*event.Event) (retry bool, err error)
}

// Receiver is one configured destination: what internal/app hands to [New].
type Receiver struct {
	Common Common
	// Kind is what kind of sink it is, for people: "slack", "email", …
	Kind string
	// Sink takes the alerts. The dispatcher closes it at the end of Run when it is an io.Closer.
	Sink Sink
	// EventSink takes every access event when Common.Events is set; it may be the same value as Sink.
	EventSink EventSink
}

// RetryAfterError is returned by a sink whose destination said when to come back. The dispatcher waits at least that long.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

// Error returns the cause and the wait.
func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("%v (asked to wait %s)", e.Err, e.After.Round(time.Millisecond))
}

// Unwrap returns the cause.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// IDs returns the alerts' ids in ascending order.
func IDs(alerts []*alert.Alert) []string {
	out := make([]string, len(alerts))
	for i, a := range alerts {
		out[i] = a.ID
	}
	slices.Sort(out)
	return out
}
