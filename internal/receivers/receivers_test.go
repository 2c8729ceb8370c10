package receivers_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/receivers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what)
		}
	}
}

// each runs a test with every receiver.
func each(t *testing.T, test func(t *testing.T, f fixture)) {
	for name, make := range fixtures() {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

// Distinct alerts are counted once, however often and in whatever company they come; every further time is a repeat.
func TestCounts(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		for _, ids := range [][]string{{"a"}, {"b", "c"}, {"a"}, {"c", "d"}, {"a"}} {
			if _, err := f.send(t.Context(), ids...); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "not all arrived", func() bool { return f.Count()+f.Repeats() == 7 })
		if f.Count() != 4 || f.Repeats() != 3 {
			t.Errorf("%d alerts and %d repeats, want 4 and 3", f.Count(), f.Repeats())
		}
		got := make(map[string]int)
		for _, m := range f.Messages() {
			for _, id := range m.Alerts {
				got[id]++
			}
			if len(m.Body) == 0 {
				t.Error("a message without its body")
			}
		}
		if d := cmp.Diff(map[string]int{"a": 3, "b": 1, "c": 2, "d": 1}, got); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
		if p := f.Problems(); len(p) > 0 {
			t.Errorf("problems %q", p)
		}
	})
}

func TestConcurrent(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for _, id := range []string{fmt.Sprint(i), fmt.Sprint(i), "all"} {
					if _, err := f.send(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		await(t, "not all arrived", func() bool { return f.Count()+f.Repeats() == 48 })
		if f.Count() != 17 || f.Repeats() != 31 {
			t.Errorf("%d alerts and %d repeats, want 17 and 31", f.Count(), f.Repeats())
		}
	})
}

// What a receiver refuses has not arrived; when the fault is over, the same message does.
func TestFaults(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		if f.noAnswer {
			return
		}
		for _, fault := range []receivers.Fault{receivers.Temporary, receivers.Permanent} {
			f.SetFault(fault)
			permanent, err := f.send(t.Context(), "a")
			if err == nil || permanent != (fault == receivers.Permanent) {
				t.Errorf("fault %d: permanent %v, error %v", fault, permanent, err)
			}
		}
		if f.Count() != 0 || len(f.Messages()) != 0 {
			t.Fatalf("%d alerts of refused messages", f.Count())
		}
		f.SetFault(receivers.Healthy)
		if _, err := f.send(t.Context(), "a"); err != nil || f.Count() != 1 || f.Repeats() != 0 {
			t.Errorf("%v, %d alerts, %d repeats", err, f.Count(), f.Repeats())
		}
	})
}

// A receiver that hangs answers when the fault ends.
func TestHanging(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		if f.noAnswer {
			return
		}
		f.SetFault(receivers.Hanging)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := f.send(ctx, "a"); err == nil || ctx.Err() == nil {
			t.Fatalf("it answered: %v", err)
		}
		answered := make(chan error, 1)
		go func() { _, err := f.send(t.Context(), "b"); answered <- err }()
		f.SetFault(receivers.Healthy)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		await(t, "b did not arrive", func() bool {
			for _, m := range f.Messages() {
				if len(m.Alerts) == 1 && m.Alerts[0] == "b" {
					return true
				}
			}
			return false
		})
	})
}

// A receiver that hangs can be closed: nobody waits for ever.
func TestCloseWhileHanging(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		f.SetFault(receivers.Hanging)
		answered := make(chan struct{})
		go func() { defer close(answered); _, _ = f.send(t.Context(), "a") }()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		<-answered
	})
}

// What is not in the protocol's form is told, refused where that is possible, and counted as nothing.
func TestJunk(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		if err := f.junk(); (err == nil) != f.noAnswer {
			t.Errorf("junk: %v", err)
		}
		await(t, "no problem was recorded", func() bool { return len(f.Problems()) == 1 })
		if _, err := f.send(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		await(t, "nothing arrives behind the junk", func() bool { return f.Count() == 1 })
		if len(f.Problems()) != 1 || len(f.Messages()) != 1 {
			t.Errorf("problems %q, %d messages", f.Problems(), len(f.Messages()))
		}
	})
}
