package proof

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a tracker with what it follows, under a clock of its own.
type world struct {
	*Tracker
	t      testing.TB
	clock  time.Time
	offset int64
	held   map[string]*decision.Decision // by address
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), offset: -1, held: map[string]*decision.Decision{}}
	govern := func(q *decision.Subject, at time.Time) *decision.Decision {
		if d := w.held[q.Address.String()]; d != nil && d.Applies(at) {
			return d
		}
		return nil
	}
	var err error
	if w.Tracker, err = New(DefaultConfig(), govern, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	w.now = func() time.Time { return w.clock }
	return w
}

func (w *world) wait(d time.Duration) { w.clock = w.clock.Add(d) }

func (w *world) decide(id, address string, change ...func(*decision.Decision)) *decision.Decision {
	w.t.Helper()
	d := &decision.Decision{Version: decision.Version, ID: id, Action: decision.Block, Scope: decision.Address, Value: address,
		Mode: decision.Enforce, State: decision.Active, Created: w.clock, Expires: w.clock.Add(2 * time.Hour), Creator: "rule:r"}
	for _, f := range change {
		f(d)
	}
	if err := d.Validate(); err != nil {
		w.t.Fatal(err)
	}
	w.offset++
	w.Decided(d, w.offset, w.clock)
	w.held[address] = d
	return d
}

func (w *world) ack(name string, change ...func(*decision.Ack)) {
	a := &decision.Ack{Version: decision.Version, Gateway: name, Kind: "inline", Offset: w.offset, At: w.clock}
	for _, f := range change {
		f(a)
	}
	w.Acked(a, w.clock)
}

func upTo(offset int64) func(*decision.Ack) { return func(a *decision.Ack) { a.Offset = offset } }
func failing(text string) func(*decision.Ack) {
	return func(a *decision.Ack) { a.Error, a.Offset = text, 0 }
}
func repairs(n uint64) func(*decision.Ack) { return func(a *decision.Ack) { a.Repaired = n } }
func leaving(a *decision.Ack)              { a.Left = true }

// pass lets time go by while the gateways say what they say every ten seconds.
func (w *world) pass(d time.Duration, beat func()) {
	for end := w.clock.Add(d); w.clock.Before(end); w.wait(10 * time.Second) {
		beat()
	}
}

func (w *world) request(address string, change ...func(*event.Event)) {
	e := &event.Event{ID: event.NewID("edge", 1), Tap: "edge", Time: w.clock, Source: event.Source{Address: netip.MustParseAddr(address)},
		Response: event.ResponseInfo{Code: 200}}
	for _, f := range change {
		f(e)
	}
	w.Seen(e, w.clock)
}

// found tells what is due, as "kind gateway", and notes it as told.
func (w *world) found() []string {
	w.t.Helper()
	out := []string{}
	for _, d := range w.look(w.clock) {
		out = append(out, strings.TrimSpace(string(d.Kind)+" "+d.Gateway))
		w.tell(w.t.Context(), d, w.clock, func(_ context.Context, a *alert.Alert) error {
			b, err := a.Encode()
			if err != nil {
				return err
			}
			back, err := alert.Decode(b)
			if err == nil && (len(back.Respond) != 0 || back.Severity != alert.High || back.Rule != Rule || back.Description == "") {
				err = fmt.Errorf("alert %s", b)
			}
			if err != nil {
				w.t.Error(err)
			}
			return nil
		})
	}
	return out
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, w.found()); diff != "" {
		w.t.Fatalf("drifts (-want +got):\n%s", diff)
	}
}

func TestDrifts(t *testing.T) {
	for name, run := range map[string]func(*world){
		"all is well": func(w *world) {
			w.decide("a", "203.0.113.9")
			w.pass(5*time.Minute, func() { w.ack("edge-1") })
			w.expect()
		},
		"lag is told after ack_within, once, and again when it recovered": func(w *world) {
			w.ack("edge-1")
			w.decide("a", "203.0.113.9")
			w.wait(5 * time.Second)
			w.expect()
			w.wait(time.Second)
			w.expect("lag edge-1")
			w.wait(time.Second)
			w.expect()
			w.ack("edge-1")
			w.expect()
			w.decide("b", "203.0.113.10")
			w.wait(6 * time.Second)
			w.expect("lag edge-1")
		},
		"lag is told again after ten minutes": func(w *world) {
			w.ack("edge-1")
			w.decide("a", "203.0.113.9")
			beat := func() { w.ack("edge-1", upTo(-1)) }
			w.pass(10*time.Second, beat)
			w.expect("lag edge-1")
			w.pass(590*time.Second, beat)
			w.expect()
			w.pass(10*time.Second, beat)
			w.expect("lag edge-1")
		},
		"records that are no decisions are acknowledged too": func(w *world) {
			w.ack("edge-1", upTo(-1))
			w.Passed(0, w.clock)
			w.wait(6 * time.Second)
			w.expect("lag edge-1")
		},
		"a gateway that starts has its time": func(w *world) {
			w.decide("a", "203.0.113.9")
			w.wait(time.Hour)
			w.ack("edge-1", upTo(-1))
			w.wait(4 * time.Second)
			w.expect()
			w.wait(2 * time.Second)
			w.expect("lag edge-1")
		},
		"silence": func(w *world) {
			w.ack("edge-1")
			w.ack("edge-2")
			w.ack("edge-3", leaving)
			w.wait(50 * time.Second)
			w.ack("edge-2")
			w.wait(11 * time.Second)
			w.expect("silent edge-1")
			w.ack("edge-1")
			w.expect()
		},
		"a gateway that is gone for good is missed for an hour": func(w *world) {
			w.ack("edge-1")
			told := 0
			for range 3 * 60 {
				w.wait(time.Minute)
				told += len(w.found())
			}
			if told != 6 {
				w.t.Errorf("told %d times, want 6", told)
			}
		},
		"an old acknowledgement on the topic": func(w *world) {
			w.ack("edge-1", func(a *decision.Ack) { a.At = w.clock.Add(-30 * time.Minute) })
			w.ack("edge-2", func(a *decision.Ack) { a.At = w.clock.Add(-30 * time.Hour) })
			w.expect()
			w.wait(61 * time.Second)
			w.expect("silent edge-1")
		},
		"a gateway whose clock is an hour behind": func(w *world) {
			w.pass(5*time.Minute, func() { w.ack("edge-1", func(a *decision.Ack) { a.At = w.clock.Add(-time.Hour) }) })
			w.expect()
		},
		"an error goes before the lag that it causes": func(w *world) {
			w.ack("edge-1")
			w.decide("a", "203.0.113.9")
			w.decide("b", "203.0.113.10")
			w.ack("edge-1", failing("no answer"))
			w.wait(6 * time.Second)
			w.expect("error edge-1")
			w.ack("edge-1")
			w.expect()
		},
		"repairs": func(w *world) {
			w.ack("edge-1", repairs(4)) // of its start
			w.expect()
			w.ack("edge-1", repairs(5))
			w.expect("repaired edge-1")
			w.ack("edge-1", repairs(9))
			w.expect()
			w.pass(11*time.Minute, func() { w.ack("edge-1", repairs(9)) })
			w.expect("repaired edge-1")
			w.ack("edge-1", repairs(2), upTo(-1)) // started again
			w.ack("edge-1", repairs(2))
			w.pass(11*time.Minute, func() { w.ack("edge-1", repairs(2)) })
			w.expect()
		},
		"repairs after an error are its consequence": func(w *world) {
			w.ack("edge-1", failing("half"))
			w.ack("edge-1", repairs(3))
			w.expect()
		},
		"nobody": func(w *world) {
			w.decide("a", "203.0.113.9")
			w.wait(6 * time.Second)
			w.expect("nobody")
			w.wait(50 * time.Minute)
			w.expect()
			w.wait(11 * time.Minute)
			w.expect("nobody")
			w.ack("edge-1")
			w.expect()
		},
		"nobody is left": func(w *world) {
			w.decide("a", "203.0.113.9")
			w.ack("edge-1", leaving)
			w.wait(59 * time.Second)
			w.expect()
			w.wait(2 * time.Second)
			w.expect("nobody")
		},
		"nothing is to be enforced": func(w *world) {
			w.decide("a", "203.0.113.9", func(d *decision.Decision) { d.Mode = decision.Observe })
			w.decide("b", "203.0.113.9", func(d *decision.Decision) { d.Action = decision.Log })
			w.decide("c", "203.0.113.8", func(d *decision.Decision) { d.State = decision.Proposed })
			w.decide("d", "203.0.113.7")
			w.decide("d", "203.0.113.7", func(d *decision.Decision) { d.State = decision.Revoked })
			w.wait(time.Minute)
			w.expect()
		},
		"the switch is on observe": func(w *world) {
			w.decide("a", "203.0.113.9")
			w.offset++
			w.Switched(decision.Switch{Mode: decision.Observe}, w.offset, w.clock)
			w.wait(time.Minute)
			w.request("203.0.113.9")
			w.expect()
		},
		"a forgotten gateway": func(w *world) {
			w.ack("edge-1")
			w.wait(2 * time.Minute)
			w.expect("silent edge-1")
			w.Forgotten("edge-1")
			w.expect()
		},
	} {
		t.Run(name, func(t *testing.T) { w := newWorld(t); run(w) })
	}
}

func TestLeaks(t *testing.T) {
	challenge := func(status int) func(*decision.Decision) {
		return func(d *decision.Decision) { d.Action, d.Status = decision.Challenge, status }
	}
	outcome := func(s string) func(*event.Event) { return func(e *event.Event) { e.Auth.Outcome = s } }
	plain := func(*event.Event) {}
	block := func(*decision.Decision) {}
	for _, c := range []struct {
		name   string
		decide func(*decision.Decision)
		event  func(*event.Event)
		after  time.Duration
		leak   bool
	}{
		{"success", block, plain, 3 * time.Second, true},
		{"within the grace", block, plain, 2 * time.Second, false},
		{"before the decision, seen late", block, func(e *event.Event) { e.Time = e.Time.Add(-time.Minute) }, 3 * time.Second, false},
		{"a tap whose clock is ahead", block, func(e *event.Event) { e.Time = e.Time.Add(time.Minute) }, time.Second, false},
		{"refused by somebody else", block, func(e *event.Event) { e.Response.Code = 403 }, 3 * time.Second, false},
		{"no code", block, func(e *event.Event) { e.Response.Code = 0 }, 3 * time.Second, false},
		{"marked", block, func(e *event.Event) { e.Enforced = event.Enforced{By: "a", Action: "observe:block"} }, 3 * time.Second, false},
		{"heartbeat", block, func(e *event.Event) { e.Kind = event.Heartbeat }, 3 * time.Second, false},
		{"somebody else", block, func(e *event.Event) { e.Source.Address = netip.MustParseAddr("192.0.2.1") }, 3 * time.Second, false},
		{"after its end", block, plain, 3 * time.Hour, false},
		{"observing", func(d *decision.Decision) { d.Mode = decision.Observe }, plain, 3 * time.Second, false},
		{"limit", func(d *decision.Decision) {
			d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: 1, Per: time.Second, Burst: 1}
		}, plain, 3 * time.Second, false},
		{"challenge 429", challenge(429), outcome("success"), 3 * time.Second, true},
		{"challenge 401, anonymous", challenge(401), outcome("anonymous"), 3 * time.Second, true},
		{"challenge 401, proven", challenge(401), outcome("success"), 3 * time.Second, false},
		{"challenge 401, unknown", challenge(401), plain, 3 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.ack("edge-1")
			w.decide("other", "203.0.113.77")
			w.decide("a", "203.0.113.9", c.decide)
			w.ack("edge-1")
			w.wait(c.after)
			w.request("203.0.113.9", c.event)
			if got := len(w.leaks) == 1; got != c.leak {
				t.Errorf("leak: %v, want %v", got, c.leak)
			}
		})
	}
}

func TestLeakIsToldOnceATapAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	w.decide("a", "203.0.113.9")
	w.decide("b", "203.0.113.10")
	w.ack("edge-1")
	w.wait(time.Minute)
	w.ack("edge-1")
	for range 3 {
		w.request("203.0.113.9")
	}
	w.request("203.0.113.10")
	due := w.look(w.clock)
	if len(due) != 1 || due[0].Decision != "a" || due[0].count != 4 || !strings.Contains(due[0].Text, "1 by 1 other") {
		t.Fatalf("got %+v", due)
	}
	w.tell(t.Context(), due[0], w.clock, func(context.Context, *alert.Alert) error { return errors.New("bus is gone") })
	w.request("203.0.113.10")
	due = w.look(w.clock)
	if len(due) != 1 || due[0].count != 5 {
		t.Fatalf("after an error: got %+v", due)
	}
	w.request("203.0.113.10") // while it is being told
	w.tell(t.Context(), due[0], w.clock, func(context.Context, *alert.Alert) error { return nil })
	w.expect()
	w.pass(11*time.Minute, func() { w.ack("edge-1") })
	due = w.look(w.clock)
	if len(due) != 1 || due[0].count != 1 || due[0].Decision != "b" {
		t.Fatalf("later: got %+v", due)
	}
	if got := testutil.ToFloat64(w.m.leaks); got != 6 {
		t.Errorf("metric %v, want 6", got)
	}
}

func TestApprovalStartsTheGrace(t *testing.T) {
	w := newWorld(t)
	w.decide("a", "203.0.113.9", func(d *decision.Decision) { d.State = decision.Proposed })
	w.wait(time.Minute)
	created := w.clock.Add(-time.Minute)
	w.decide("a", "203.0.113.9", func(d *decision.Decision) { d.Created = created })
	w.wait(time.Second)
	w.request("203.0.113.9")
	if len(w.leaks) != 0 {
		t.Error("a leak within the grace")
	}
	w.wait(2 * time.Second)
	w.request("203.0.113.9")
	if len(w.leaks) != 1 {
		t.Error("no leak after the grace")
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.ack("edge-1")
	w.ack("edge-2")
	w.ack("gone", leaving)
	w.decide("a", "203.0.113.9")
	w.wait(time.Second)
	w.ack("edge-1")
	first := w.clock
	w.wait(time.Second)
	w.decide("b", "203.0.113.10")
	w.ack("edge-1")
	for i := range 3 {
		w.request("203.0.113.9", func(e *event.Event) {
			e.Time = first.Add(time.Duration(2-i) * time.Second)
			e.Response.Code, e.Enforced = 403, event.Enforced{By: "a", Action: "block"}
		})
	}
	acks, refusals, since := w.Explain("a")
	want := []enforcer.Acknowledgement{{Gateway: "edge-1", Kind: "inline", Acked: true, At: first}, {Gateway: "edge-2", Kind: "inline"}}
	if diff := cmp.Diff(want, acks); diff != "" || refusals != 3 || !since.Equal(first) {
		t.Errorf("refusals %d since %s, acks (-want +got):\n%s", refusals, since, diff)
	}
	if acks, n, _ := w.Explain("nothing"); acks != nil || n != 0 {
		t.Errorf("unknown: %v, %d", acks, n)
	}
	w.ack("edge-1", upTo(-1)) // it started again and has nothing
	if acks, _, _ := w.Explain("a"); acks[0].Acked {
		t.Error("a watermark that fell still counts")
	}
	w.wait(10 * time.Second)
	states := map[string]string{}
	for _, g := range w.Gateways() {
		states[g.Gateway] = fmt.Sprint(g.State, " ", g.Behind)
	}
	if diff := cmp.Diff(map[string]string{"edge-1": "behind 2", "edge-2": "behind 2", "gone": "left 2"}, states); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
}

// Whatever comes in whichever order, what is counted is what a full count finds, and watermarks are sorted.
func TestCountsStayRight(t *testing.T) {
	w := newWorld(t)
	states := []decision.State{decision.Active, decision.Proposed, decision.Revoked, decision.Expired}
	for i := range 20_000 {
		x := uint32(i) * 2654435761 >> 8
		w.decide(fmt.Sprint(x%97), fmt.Sprintf("203.0.113.%d", x/97%50), func(d *decision.Decision) {
			d.State, d.Expires = states[x%5*uint32(i)%4], w.clock.Add(time.Duration(1+x%3000)*time.Second)
			if x%7 == 0 {
				d.Action, d.Status = decision.Challenge, 429
			}
		})
		w.wait(time.Second)
		w.ack("edge-1", upTo(w.offset-int64(x%3)))
		if i%10 == 0 {
			w.sweep(w.clock)
		}
		var refusing int64
		for _, r := range w.decisions.byID {
			if r.enforced && !r.limit {
				refusing++
			}
		}
		if refusing != w.refusing.Load() || len(w.decisions.byID) != w.decisions.order.Len() || len(w.decisions.byKey) > len(w.decisions.byID) {
			t.Fatalf("step %d: counted %d, there are %d", i, w.refusing.Load(), refusing)
		}
	}
	w.wait(4 * time.Hour)
	w.sweep(w.clock)
	w.sweep(w.clock.Add(2 * keepEnded))
	if n := len(w.decisions.byID) + len(w.decisions.byKey) + w.decisions.order.Len(); n != 0 || w.refusing.Load() != 0 {
		t.Errorf("%d left, %d refuse", n, w.refusing.Load())
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	for i := range maxDecisions + 10 {
		w.decide(fmt.Sprint(i), fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff))
	}
	if len(w.decisions.byID) != maxDecisions || w.decisions.byID["0"] != nil || w.refusing.Load() != maxDecisions {
		t.Errorf("%d decisions, %d refuse", len(w.decisions.byID), w.refusing.Load())
	}
	for i := range maxGateways + 10 {
		w.wait(150 * time.Millisecond)
		w.Passed(w.offset+1, w.clock)
		w.offset++
		w.ack(fmt.Sprint("edge-", i))
	}
	for range 2 * maxMarks {
		w.wait(150 * time.Millisecond)
		w.offset++
		w.Passed(w.offset, w.clock)
		w.ack("edge-1009")
	}
	if len(w.gateways) != maxGateways || w.gateways["edge-0"] != nil {
		t.Errorf("%d gateways", len(w.gateways))
	}
	if n, m := len(w.topic.marks), len(w.gateways["edge-1009"].steps); n > maxMarks || m > maxSteps {
		t.Errorf("%d marks, %d steps", n, m)
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now
		w.clock = time.Now()
		w.decide("a", "203.0.113.9")
		var got []*alert.Alert
		fail := true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- w.Run(ctx, func(_ context.Context, a *alert.Alert) error {
				if fail {
					fail = false
					return errors.New("bus is gone")
				}
				got = append(got, a)
				return nil
			})
		}()
		time.Sleep(2*time.Hour - time.Minute) // the decision expires then
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].ID == got[1].ID || got[0].Group["kind"] != "nobody" {
			t.Errorf("told %d: %v", len(got), got)
		}
		if n := testutil.ToFloat64(w.m.untold); n != 1 {
			t.Errorf("%v untold, want 1", n)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	d := w.decide("a", "203.0.113.9")
	at := w.clock.Add(time.Minute)
	e := &event.Event{Tap: "edge", Time: at, Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}, Response: event.ResponseInfo{Code: 200}}
	refused := *e
	refused.Enforced = event.Enforced{By: "a", Action: "block"}
	var g sync.WaitGroup
	for _, f := range []func(i int64){
		func(i int64) { w.Decided(d, i, at) },
		func(i int64) { w.Switched(decision.Switch{Mode: decision.Enforce}, i, at) },
		func(i int64) { w.Passed(i, at) },
		func(i int64) { w.Acked(&decision.Ack{Gateway: fmt.Sprint(i % 7), Offset: i - 5, At: at}, at) },
		func(i int64) { w.Forgotten(fmt.Sprint(i % 11)) },
		func(int64) { w.Seen(e, at) },
		func(int64) { w.Seen(&refused, at) },
		func(int64) { w.Explain("a"); w.Gateways() },
		func(int64) { w.sweep(at) },
		func(int64) {
			for _, d := range w.look(at) {
				w.tell(t.Context(), d, at, func(context.Context, *alert.Alert) error { return nil })
			}
		},
	} {
		g.Go(func() {
			for i := range int64(500) {
				f(i)
			}
		})
	}
	g.Wait()
	if _, n, _ := w.Explain("a"); n != 500 {
		t.Errorf("%d refusals, want 500", n)
	}
	if got := testutil.ToFloat64(w.m.leaks); got != 500 {
		t.Errorf("%v leaks, want 500", got)
	}
}

// What gateways and clients write is bounded, and cannot break out of a text.
func TestHostileTexts(t *testing.T) {
	w := newWorld(t)
	w.decide("a", "203.0.113.9")
	w.ack("edge\u202e", failing(strings.Repeat("ü\n", 5000)), func(a *decision.Ack) { a.Kind = "\n" + strings.Repeat("ü", 5000) })
	w.wait(10 * time.Second)
	due := w.look(w.clock)
	if len(due) != 1 || len(due[0].Text) > 2000 || strings.ContainsAny(due[0].Text, "\n\u202e") {
		t.Errorf("got %+v", due)
	}
	w.expect("error edge\u202e")
}

func TestTwoEnforcersTellOneAlert(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)
	a := (&Drift{Kind: Lag, Gateway: "edge-1", Since: at}).alert(at)
	b := (&Drift{Kind: Lag, Gateway: "edge-1", Since: at.Add(-time.Second)}).alert(at.Add(3 * time.Second))
	c := (&Drift{Kind: Lag, Gateway: "edge-1", Since: at}).alert(at.Add(10 * time.Minute))
	if a.ID != b.ID || a.ID == c.ID {
		t.Errorf("ids %s, %s, %s", a.ID, b.ID, c.ID)
	}
}

func TestConfig(t *testing.T) {
	c := Config{}
	err := c.Validate()
	for _, key := range []string{"ack_within", "silent_after", "grace"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
	if _, err := New(c, nil, slog.New(slog.DiscardHandler), nil); err == nil {
		t.Error("New takes a wrong configuration")
	}
}

// With the set that gateways use, combinations count, and limits lose no token.
func TestWithTheSet(t *testing.T) {
	set, err := active.Open(filepath.Join(t.TempDir(), "set"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	w := newWorld(t)
	w.clock = time.Now().Add(-time.Minute)
	w.govern = set.Refusing
	narrow := func(d *decision.Decision) { d.And = []decision.Term{{Scope: decision.Route, Value: "/login"}} }
	limit := func(d *decision.Decision) {
		d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: 1, Per: time.Hour, Burst: 1}
	}
	set.Apply(w.decide("a", "203.0.113.9", narrow), w.decide("b", "203.0.113.10", limit))
	w.wait(time.Minute)
	w.request("203.0.113.9")
	w.request("203.0.113.10")
	if len(w.leaks) != 0 {
		t.Errorf("got %v", w.leaks)
	}
	w.request("203.0.113.9", func(e *event.Event) { e.API.Route = "/login" })
	if len(w.leaks) != 1 {
		t.Errorf("got %v", w.leaks)
	}
	if v := set.Check(&decision.Subject{Address: netip.MustParseAddr("203.0.113.10")}, w.clock); v.Refused() {
		t.Error("a token was taken")
	}
}

func BenchmarkSeen(b *testing.B) {
	for _, n := range []int{0, 1, 100_000} {
		b.Run(fmt.Sprintf("decisions=%d", n), func(b *testing.B) {
			set, err := active.Open(filepath.Join(b.TempDir(), "set"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer set.Close()
			w := newWorld(b)
			w.clock = time.Now()
			w.govern = set.Refusing
			for i := range n {
				set.Apply(w.decide(fmt.Sprint(i), fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff)))
			}
			e := &event.Event{Tap: "edge", Time: w.clock, Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")},
				Response: event.ResponseInfo{Code: 200}, API: event.API{Route: "/login"}}
			b.ReportAllocs()
			for b.Loop() {
				w.Seen(e, w.clock)
			}
		})
	}
}
