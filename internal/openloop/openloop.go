// Package openloop measures answers at a fixed rate of questions, as clients on a network ask them: a question that is late because the ones
// before it were slow is counted from the moment at which it was due, so that a slow server cannot hide behind its own slowness.
package openloop

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// Run asks n times, perSecond times a second, by as many workers as given, and returns the times from when each question was due to
// its answer, ascending. ask is called by several goroutines.
//
// One thread keeps the time, on a processor of its own in the eyes of Go's scheduler: the runtime's timers wake an idle program up to a
// millisecond late, which would be counted as the server's.
func Run(n, perSecond, workers int, ask func(worker int)) []time.Duration {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1))
	took := make([]time.Duration, n)
	due := func(start time.Time, i int) time.Time {
		return start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
	}
	questions := make(chan int, n) // the clock never waits for a worker
	var wg sync.WaitGroup
	start := time.Now().Add(10 * time.Millisecond)
	for w := range workers {
		wg.Go(func() {
			for i := range questions {
				ask(w)
				took[i] = time.Since(due(start, i))
			}
		})
	}
	for i := range n {
		for wait := time.Until(due(start, i)); wait > 0; wait = time.Until(due(start, i)) {
			pause(wait)
		}
		questions <- i
	}
	close(questions)
	wg.Wait()
	slices.Sort(took)
	return took
}

// Quantile returns the q-quantile (0 to 1) of ascending times, in milliseconds.
func Quantile(sorted []time.Duration, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / float64(time.Millisecond)
}
