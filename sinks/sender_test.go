package sinks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
)

func newSender(t *testing.T, send func(context.Context, []int) (bool, error)) *sender[int] {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &sender[int]{send: send, backoff: Backoff{Min: config.Duration(time.Second), Max: config.Duration(time.Minute)},
		giveUp: time.Hour, log: slog.New(slog.DiscardHandler), metrics: m.of("s")}
}

func TestBackoffGrowsWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s := newSender(t, func(context.Context, []int) (bool, error) {
			at = append(at, time.Now())
			return true, errors.New("down")
		})
		begin := time.Now()
		err := s.deliver(t.Context(), []int{1}, begin)[0]
		var final *finalError
		if !errors.As(err, &final) || !final.gaveUp || final.attempts != len(at) {
			t.Fatalf("error %v after %d attempts", err, len(at))
		}
		if took := time.Since(begin); took > time.Hour || took < 58*time.Minute {
			t.Errorf("gave up after %s", took)
		}
		for i := 1; i < len(at); i++ {
			full := min(time.Second<<min(i-1, 20), time.Minute)
			if d := at[i].Sub(at[i-1]); d < full/2 || d > full {
				t.Errorf("pause %d is %s, want %s to %s", i, d, full/2, full)
			}
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, begin := 0, time.Now()
		s := newSender(t, func(context.Context, []int) (bool, error) {
			if calls++; calls == 1 {
				return true, &RetryAfterError{After: 10 * time.Minute, Err: errors.New("slow down")}
			}
			return false, nil
		})
		if err := s.deliver(t.Context(), []int{1}, begin)[0]; err != nil || time.Since(begin) != 10*time.Minute {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
	})
}

func TestEndedContextEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		s := newSender(t, func(context.Context, []int) (bool, error) { return true, errors.New("down") })
		s.endless = true
		begin := time.Now()
		if err := s.deliver(ctx, []int{1}, begin)[0]; !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 90*time.Second {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
	})
}

func TestRefusedBatchIsHalved(t *testing.T) {
	var sent []int
	s := newSender(t, func(_ context.Context, items []int) (bool, error) {
		if slices.Contains(items, 3) || slices.Contains(items, 6) {
			return false, errors.New("poison")
		}
		sent = append(sent, items...)
		return false, nil
	})
	results := s.deliver(t.Context(), []int{1, 2, 3, 4, 5, 6, 7}, time.Now())
	if d := cmp.Diff([]int{1, 2, 4, 5, 7}, sent); d != "" {
		t.Errorf("sent (-want +got):\n%s", d)
	}
	for i, err := range results {
		if refused := i == 2 || i == 5; (err != nil) != refused || !certain(err) {
			t.Errorf("item %d: %v", i+1, err)
		}
	}
}

func newBatcher(t *testing.T, send func(context.Context, []*alert.Alert) (bool, error)) *batcher {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &batcher{jobs: make(chan *job), wait: time.Second, max: 5, sender: &sender[*alert.Alert]{send: send,
		backoff: DefaultConfig().Backoff, giveUp: time.Hour, log: slog.New(slog.DiscardHandler), metrics: m.of("s")}}
}

func TestBatcherJoinsAndSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := newBatcher(t, func(_ context.Context, alerts []*alert.Alert) (bool, error) {
			sizes = append(sizes, len(alerts))
			return false, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		go b.run(ctx)
		done := make(chan []error)
		for i, n := range []int{2, 2, 2, 5} { // one after the other, all within the first one's wait
			go func() {
				alerts, _ := many(i*10, i*10+n)
				done <- b.submit(t.Context(), alerts)
			}()
			synctest.Wait()
		}
		for range 4 {
			for _, err := range <-done {
				if err != nil {
					t.Error(err)
				}
			}
		}
		if d := cmp.Diff([]int{4, 2, 5}, sizes); d != "" {
			t.Errorf("message sizes (-want +got):\n%s", d)
		}
		stop()
		synctest.Wait()
	})
}

func TestBatcherFreesRevokedPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(t, func(context.Context, []*alert.Alert) (bool, error) { return true, errors.New("down") })
		run, stop := context.WithCancel(t.Context())
		go b.run(run)
		revoked, revoke := context.WithCancel(t.Context())
		alerts, _ := many(0, 2)
		mine, other := make(chan []error, 1), make(chan []error, 1)
		go func() { mine <- b.submit(revoked, alerts[:1]) }()
		go func() { other <- b.submit(t.Context(), alerts[1:]) }()
		<-time.After(10 * time.Second) // of the bubble's time: into the retries
		revoke()
		if err := (<-mine)[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("revoked: %v", err)
		}
		if err := (<-other)[0]; err == nil || errors.Is(err, context.Canceled) || certain(err) {
			t.Errorf("the other partition: %v", err)
		}
		stop()
		synctest.Wait()
	})
}

func TestMemory(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	m := newMemory(Remember{Alerts: 3, Age: config.Duration(time.Hour)})
	for i, id := range []string{"a", "b", "c", "d", "e"} {
		m.add(id, at.Add(time.Duration(i)*time.Minute))
	}
	if d := cmp.Diff([]string{"a", "b"}, m.forget(at)); d != "" {
		t.Errorf("by number (-want +got):\n%s", d)
	}
	m.remove("d")
	if d := cmp.Diff([]string{"c"}, m.forget(at.Add(63*time.Minute))); d != "" {
		t.Errorf("by age (-want +got):\n%s", d)
	}
	if m.has("c") || m.has("d") || !m.has("e") {
		t.Errorf("left: %v", m.at)
	}
}

func TestHighWaterIsBounded(t *testing.T) {
	h := newHighWater(2)
	h.set("a", 5)
	h.set("b", 7)
	h.set("a", 6)
	h.set("c", 1)
	if h.of("a") != 6 || h.of("b") != 0 || h.of("c") != 1 || len(h.taps) != 2 {
		t.Errorf("marks %v", h.taps)
	}
}

func TestConfigFile(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"defaults", "{}", ""},
		{"silence", "silences:\n  - match: {rules: [probe*], group: {source.address: 198.51.100.0/24}}\n    until: 2026-12-24T18:00:00Z\n    owner: ops\n    comment: pentest\n", ""},
		{"everything", "silences:\n  - until: 2026-12-24T18:00:00Z\n    owner: ops\n", "c.yaml:2: silences[0].match: is empty"},
		{"for ever", "silences:\n  - match: {rules: [a]}\n    owner: ops\n", "silences[0].until: is missing"},
		{"nobody", "silences:\n  - match: {rules: [a]}\n    until: 2026-12-24T18:00:00Z\n", "silences[0].owner: is missing"},
		{"prefix", "silences:\n  - match: {group: {source.address: 198.51.100.0/99}}\n    until: 2026-12-24T18:00:00Z\n    owner: ops\n", "is not an address prefix"},
		{"backoff", "backoff: {min: 2m, max: 1m}\n", "backoff: min must be"},
		{"memory", "remember: {alerts: 0}\n", "remember.alerts: want 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			err := config.Decode("c.yaml", []byte(tt.yaml), &c)
			if (err == nil) != (tt.want == "") || err != nil && !contains(err, tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if tt.name == "silence" && !c.Silences[0].holds(newAlert(1, func(a *alert.Alert) { a.Rule, a.Group["source.address"] = "probe-x", "198.51.100.7" })) {
				t.Error("the silence does not hold")
			}
		})
	}
}

func TestCommonCheck(t *testing.T) {
	for key, change := range map[string]func(*Common){
		"":              func(*Common) {},
		"name":          func(c *Common) { c.Name = "Not a name" },
		"min_severity":  func(c *Common) { c.MinSeverity = "loud" },
		"group_wait":    func(c *Common) { c.GroupWait = config.Duration(time.Hour) },
		"max_alerts":    func(c *Common) { c.MaxAlerts = 0 },
		"timeout":       func(c *Common) { c.Timeout = 0 },
		"give_up_after": func(c *Common) { c.GiveUpAfter = -1 },
		"match.tags[0]": func(c *Common) { c.Match.Tags = []string{""} },
	} {
		c := DefaultCommon()
		c.Name = "a"
		change(&c)
		if err := c.Check(); (err == nil) != (key == "") || err != nil && !contains(err, key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
