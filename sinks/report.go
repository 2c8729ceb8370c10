package sinks

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/opsrecord"
)

// attempt is what became of one call of a sink.
type attempt struct {
	number int
	result opsrecord.Result
	took   time.Duration
	err    error
}

// Report lets the dispatcher tell to of every attempt: of each alert in it, and of batches of events that failed. to must return at
// once, and may be called concurrently. Report must be called before Run.
func (d *Dispatcher) Report(to func(opsrecord.Delivery)) { d.report = to }

func (r *Receiver) delivery(a attempt, records int) opsrecord.Delivery {
	out := opsrecord.Delivery{Time: now(), Sink: r.Common.Name, Kind: r.Kind, Result: a.result, Records: records, Attempt: a.number, Duration: a.took}
	if a.err != nil {
		out.Error = a.err.Error()
	}
	return out
}

// tellAlerts reports an attempt to send alerts.
func (d *Dispatcher) tellAlerts(r *Receiver) func([]*alert.Alert, attempt) {
	return func(alerts []*alert.Alert, a attempt) {
		for _, x := range alerts {
			out := r.delivery(a, 1)
			out.Alert = x.ID
			d.report(out)
		}
	}
}

// tellEvents reports an attempt to send events that failed; the others are too many to tell of, and are counted in the metrics.
func (d *Dispatcher) tellEvents(r *Receiver) func([]*event.Event, attempt) {
	return func(events []*event.Event, a attempt) {
		if a.result != opsrecord.Delivered {
			d.report(r.delivery(a, len(events)))
		}
	}
}

// Why an alert that was meant for a sink was not sent.
var (
	errOld      = errors.New("older than the sink's max_age")
	errSilenced = errors.New("silenced")
)

// tellDropped reports an alert that a sink would have got, had it come in time or not been silenced.
func (d *Dispatcher) tellDropped(r *Receiver, a *alert.Alert, o outcome) {
	var why error
	switch o {
	case outdated:
		why = errOld
	case silenced:
		why = errSilenced
	default:
		return
	}
	out := r.delivery(attempt{result: opsrecord.Dropped, err: why}, 1)
	out.Alert = a.ID
	d.report(out)
}
