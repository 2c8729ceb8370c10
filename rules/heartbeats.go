package rules

import (
	"slices"
	"time"

	"github.com/warder/warder/internal/event"
)

const (
	// quietTime is how long a test's events can pause before the pause has heartbeats.
	quietTime = time.Minute
	// quietBeats is how many heartbeats a pause ends with: a detector follows a jump in time when four records in a row agree.
	quietBeats = 4
)

// withHeartbeats returns the events of a test with heartbeats at the end of each pause, as a tap sends them every second, where the
// rule asks for more than the events: a fixture does not have to tell them.
func (r *Rule) withHeartbeats(events []*event.Event) []*event.Event {
	if r.Form == FormEvents && len(r.Seen) == 0 {
		return events
	}
	var out []*event.Event
	var newest time.Time
	for _, e := range events {
		if !newest.IsZero() && e.Time.Sub(newest) > quietTime {
			beat := &event.Event{Kind: event.Heartbeat, ID: out[len(out)-1].ID, Tap: e.Tap, Seq: out[len(out)-1].Seq, Time: e.Time.Add(-time.Second)}
			out = append(out, slices.Repeat([]*event.Event{beat}, quietBeats)...)
		}
		if e.Time.After(newest) {
			newest = e.Time
		}
		out = append(out, e)
	}
	return out
}
