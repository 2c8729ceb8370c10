package sinks

import (
	"context"
	"errors"
	"time"

	"github.com/warder/warder/internal/alert"
)

// batcher joins what the partitions of one sink have at the same time into messages. Partitions submit and wait; one goroutine
// runs it and sends one message after the other.
type batcher struct {
	jobs   chan *job
	sender *sender[*alert.Alert]
	wait   time.Duration // how long the first job of a message waits for others
	max    int           // alerts in a message
}

// job is what one partition wants sent: at most max alerts.
type job struct {
	ctx    context.Context
	alerts []*alert.Alert
	since  time.Time
	done   chan []error // one result for each alert; buffered
}

// submit sends the alerts and returns what became of each, as [sender.deliver] does. It returns soon after ctx ends.
func (b *batcher) submit(ctx context.Context, alerts []*alert.Alert) []error {
	j := &job{ctx: ctx, alerts: alerts, since: time.Now(), done: make(chan []error, 1)}
	select {
	case b.jobs <- j:
		return <-j.done
	case <-ctx.Done():
		return fill(len(alerts), ctx.Err())
	}
}

// run serves submit until ctx ends, which must be after the last submit returned.
func (b *batcher) run(ctx context.Context) {
	var held *job // did not fit into the last message
	for {
		first := held
		held = nil
		if first == nil {
			select {
			case first = <-b.jobs:
			case <-ctx.Done():
				return
			}
		}
		var batch []*job
		batch, held = b.collect(first)
		b.deliver(batch)
	}
}

// collect gathers jobs for one message: those that arrive within wait of the first one, as many as fit.
func (b *batcher) collect(first *job) (batch []*job, held *job) {
	batch, n := []*job{first}, len(first.alerts)
	var timer <-chan time.Time
	if b.wait > 0 {
		t := time.NewTimer(b.wait)
		defer t.Stop()
		timer = t.C
	} else {
		now := make(chan time.Time)
		close(now)
		timer = now
	}
	for n < b.max {
		j := b.next(first.ctx, timer)
		if j == nil {
			return batch, nil
		}
		if n+len(j.alerts) > b.max {
			return batch, j
		}
		batch, n = append(batch, j), n+len(j.alerts)
	}
	return batch, nil
}

// next returns a job that waits already, or that arrives before the timer fires or ctx ends; otherwise nil.
func (b *batcher) next(ctx context.Context, timer <-chan time.Time) *job {
	select {
	case j := <-b.jobs:
		return j
	default:
	}
	select {
	case j := <-b.jobs:
		return j
	case <-timer:
	case <-ctx.Done():
	}
	return nil
}

// deliver sends one message and answers the jobs in it. When a job's partition is revoked meanwhile, the attempt is broken off:
// the other partitions' jobs fail too where nothing is certain yet, and their partitions come again.
func (b *batcher) deliver(batch []*job) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var alerts []*alert.Alert
	for _, j := range batch {
		defer context.AfterFunc(j.ctx, cancel)()
		alerts = append(alerts, j.alerts...)
	}
	results := b.sender.deliver(ctx, alerts, batch[len(batch)-1].since)
	for _, j := range batch {
		mine := results[:len(j.alerts)]
		results = results[len(j.alerts):]
		for i, err := range mine {
			if !certain(err) && j.ctx.Err() == nil {
				mine[i] = errors.New("interrupted: another partition in the same message was revoked")
			}
		}
		j.done <- mine
	}
}

func fill(n int, err error) []error {
	out := make([]error, n)
	for i := range out {
		out[i] = err
	}
	return out
}
