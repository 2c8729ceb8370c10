package waf

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/event"
)

// InspectEncoded judges the encoded events and replaces those that it has something to say of. It returns when all are judged, or
// when the budget is used up or ctx ends and what was begun by then is finished: the rest stays as it is, and is counted.
func (w *WAF) InspectEncoded(ctx context.Context, values [][]byte) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Budget.Std())
	defer cancel()
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			switch {
			case i >= len(values):
				return
			case ctx.Err() != nil || late(ctx):
				w.m.skip(skipBudget)
			default:
				values[i] = w.inspectEncoded(values[i])
			}
		}
	}
	var wg sync.WaitGroup
	for range min(w.workers(), len(values)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

// late tells whether the deadline has passed although its timer has not fired yet: while every core is busy it may come late.
func late(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ok && !time.Now().Before(at)
}

func (w *WAF) workers() int {
	if w.cfg.Workers > 0 {
		return w.cfg.Workers
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

func (w *WAF) inspectEncoded(value []byte) []byte {
	e, err := event.Decode(value)
	switch {
	case err != nil: // consumers refuse it, with the reason
		w.m.skip(skipFailed)
		return value
	case e.Kind != event.Request || !w.Inspect(e):
		return value
	}
	return e.Append(make([]byte, 0, len(value)+64))
}
