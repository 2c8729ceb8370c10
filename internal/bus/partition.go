package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	drainGrace = 3 * time.Second  // for work in flight when a partition is revoked
	closeGrace = 10 * time.Second // for Partition.Close
	maxRetry   = 30 * time.Second
)

// runner runs one assigned partition in its own goroutine.
type runner struct {
	member    *member
	committer *committer
	number    int
	committed int64
	fetcher   *fetcher
	warn      seldom
}

func newRunner(m *member, a kafka.PartitionAssignment, com *committer) *runner {
	f := &fetcher{client: m.client, id: partitionID{m.topic, a.ID}}
	return &runner{member: m, committer: com, number: a.ID, committed: a.Offset, fetcher: f}
}

// run opens the partition, hands its records over until take ends, and closes it.
func (r *runner) run(take context.Context) {
	defer r.fetcher.close()
	p := r.open(take)
	if p == nil {
		return
	}
	defer r.forgetLag()
	defer r.close(take, p)
	// Work in flight outlives take by drainGrace, so that what has left the house is also committed.
	work, cancel := context.WithCancel(context.WithoutCancel(take))
	defer cancel()
	defer context.AfterFunc(take, func() { time.AfterFunc(drainGrace, cancel) })()
	for {
		recs, err := r.fetcher.fetch(take)
		if err != nil {
			return
		}
		if len(recs) == 0 {
			r.setLag(r.fetcher.next)
			continue
		}
		r.setLag(recs[0].Offset)
		if !r.handle(take, work, p, recs) {
			return
		}
		r.committer.mark(r.number, r.fetcher.next)
		r.member.client.metrics.consumed.WithLabelValues(r.member.group, r.member.topic).Add(float64(len(recs)))
		r.setLag(r.fetcher.next)
	}
}

// open asks for the consumer and the start until it gets them; nil when take ended.
func (r *runner) open(take context.Context) Partition {
	wait := backoff{min: 50 * time.Millisecond, max: maxRetry}
	for take.Err() == nil {
		p, start, err := r.member.open(take, r.number)
		switch {
		case err == nil && start >= 0:
			r.fetcher.next = start
			return p
		case err == nil && start == Committed:
			r.fetcher.next = r.member.resume(r.number, r.committed)
			return p
		case err == nil:
			err = fmt.Errorf("start offset is %d", start)
			r.close(take, p)
		}
		if take.Err() != nil {
			return nil
		}
		r.failed("open", err)
		wait.wait(take)
	}
	return nil
}

// handle hands the records over until they are handled; false when take ended first.
func (r *runner) handle(take, work context.Context, p Partition, recs []Record) bool {
	wait := backoff{min: 50 * time.Millisecond, max: maxRetry}
	for {
		err := p.Handle(work, recs)
		if err == nil {
			return true
		}
		if take.Err() != nil {
			return false
		}
		r.failed("handle", err)
		if !wait.wait(take) {
			return false
		}
	}
}

func (r *runner) close(take context.Context, p Partition) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(take), closeGrace)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		r.failed("close", err)
	}
}

func (r *runner) failed(call string, err error) {
	m := r.member
	m.client.metrics.handleErrors.WithLabelValues(m.group, m.topic, call).Inc()
	if r.warn.ok() {
		m.client.log.Error("partition consumer failed", "group", m.group, "topic", m.topic, "partition", r.number, "call", call, "err", err)
	}
}

func (r *runner) setLag(next int64) {
	r.member.client.metrics.lag.WithLabelValues(r.member.group, r.member.topic, partitionLabel(r.number)).
		Set(float64(max(r.fetcher.end-next, 0)))
}

// forgetLag: another member reports the partition from now on.
func (r *runner) forgetLag() {
	r.member.client.metrics.lag.DeleteLabelValues(r.member.group, r.member.topic, partitionLabel(r.number))
}
