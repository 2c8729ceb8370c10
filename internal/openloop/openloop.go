// Package openloop measures answers at a fixed rate of questions, as clients on a network ask them: a question that is late because the ones
// before it were slow is counted from the moment at which it was due, so that a slow server cannot hide behind its own slowness.
package openloop

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Run asks n times, perSecond times a second, by as many workers as given, and returns the times from when each question was due to
// its answer, ascending. ask is called by several goroutines.
func Run(n, perSecond, workers int, ask func(worker int)) []time.Duration {
	took := make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now().Add(10 * time.Millisecond)
	for w := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
				time.Sleep(time.Until(due))
				ask(w)
				took[i] = time.Since(due)
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

// Quantile returns the q-quantile (0 to 1) of ascending times, in milliseconds.
func Quantile(sorted []time.Duration, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / float64(time.Millisecond)
}
