package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/warder/warder/internal/opsrecord"
)

// finalError says that an alert or event will not be tried again: it was refused, or tried for too long.
type finalError struct {
	attempts int
	gaveUp   bool
	err      error
}

func (e *finalError) Error() string {
	if e.gaveUp {
		return fmt.Sprintf("gave up after %d attempts: %v", e.attempts, e.err)
	}
	return fmt.Sprintf("refused: %v", e.err)
}

func (e *finalError) Unwrap() error { return e.err }

// sender repeats one sink's send until it succeeds, is refused, or takes too long. It keeps no state between calls.
type sender[T any] struct {
	send    func(context.Context, []T) (bool, error)
	backoff Backoff
	giveUp  time.Duration // from since; forever when endless
	endless bool
	tell    func([]T, attempt) // of each attempt that came to an end; may be nil
	log     *slog.Logger
	metrics *sinkMetrics
}

// deliver sends all items and returns what became of each: nil, a *finalError, or ctx's error when it ended before. A refused
// batch is halved until what was refused stands alone, so that one item cannot take others with it.
func (s *sender[T]) deliver(ctx context.Context, items []T, since time.Time) []error {
	out := make([]error, len(items))
	if len(items) == 0 {
		return out
	}
	err := s.persist(ctx, items, since)
	var final *finalError
	if errors.As(err, &final) && !final.gaveUp && len(items) > 1 {
		half := len(items) / 2
		copy(out, s.deliver(ctx, items[:half], since))
		copy(out[half:], s.deliver(ctx, items[half:], since))
		return out
	}
	for i := range out {
		out[i] = err
	}
	return out
}

// persist tries until the outcome is certain.
func (s *sender[T]) persist(ctx context.Context, items []T, since time.Time) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		retry, err := s.send(ctx, items)
		took := time.Since(start)
		s.metrics.attempt(retry, err, took)
		switch {
		case err == nil:
			s.report(items, attempt{n, opsrecord.Delivered, took, nil})
			if n > 1 {
				s.log.Info("sink delivers again", "attempts", n, "records", len(items))
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !retry:
			s.report(items, attempt{n, refusedAs(len(items)), took, err})
			return &finalError{attempts: n, err: err}
		}
		wait := s.pause(n, err)
		if !s.endless && time.Since(since)+wait > s.giveUp {
			s.report(items, attempt{n, opsrecord.Failed, took, err})
			return &finalError{attempts: n, gaveUp: true, err: err}
		}
		s.report(items, attempt{n, opsrecord.Retry, took, err})
		s.log.Warn("sink failed, will try again", "attempt", n, "records", len(items), "wait", wait.Round(time.Millisecond), "error", err)
		s.metrics.retrying.Set(1)
		sleep(ctx, wait)
		s.metrics.retrying.Set(0)
	}
}

func (s *sender[T]) report(items []T, a attempt) {
	if s.tell != nil {
		s.tell(items, a)
	}
}

// refusedAs is what it means that n items were refused: one is lost, several are tried in halves.
func refusedAs(n int) opsrecord.Result {
	if n > 1 {
		return opsrecord.Retry
	}
	return opsrecord.Failed
}

// pause returns the wait after failed attempt n: Min·2^(n-1) up to Max, the upper half of it random, and never less than the
// destination asked for.
func (s *sender[T]) pause(n int, err error) time.Duration {
	d := s.backoff.Max.Std()
	if shift := n - 1; shift < 30 && s.backoff.Min.Std()<<shift < d {
		d = s.backoff.Min.Std() << shift
	}
	d = d/2 + rand.N(d/2+1)
	var asked *RetryAfterError
	if errors.As(err, &asked) {
		d = max(d, asked.After)
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
