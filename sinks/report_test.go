package sinks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/opsrecord"
)

// told collects what a dispatcher reports.
type told struct {
	mu  sync.Mutex
	all []opsrecord.Delivery
}

func (o *told) add(d opsrecord.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, d)
}

// results returns what was reported of each alert, in order.
func (o *told) results() map[string][]opsrecord.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string][]opsrecord.Result{}
	for _, d := range o.all {
		out[d.Alert] = append(out[d.Alert], d.Result)
	}
	return out
}

// alertSender is a sender of a dispatcher that reports to o.
func alertSender(t *testing.T, o *told, send func(context.Context, []*alert.Alert) (bool, error)) *sender[*alert.Alert] {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dispatcher{}
	d.Report(o.add)
	r := &Receiver{Common: Common{Name: "soc"}, Kind: "slack"}
	return &sender[*alert.Alert]{send: send, backoff: Backoff{Min: config.Duration(time.Second), Max: config.Duration(time.Minute)}, giveUp: time.Minute,
		tell: d.tellAlerts(r), log: slog.New(slog.DiscardHandler), metrics: m.of("soc")}
}

func TestReportsAttempts(t *testing.T) {
	down := errors.New("slack: 503")
	for name, c := range map[string]struct {
		answers []error // of the calls one after the other; nil from then on
		retry   bool
		alerts  int
		want    map[string][]opsrecord.Result
	}{
		"at once":       {nil, false, 2, map[string][]opsrecord.Result{id(0): {opsrecord.Delivered}, id(1): {opsrecord.Delivered}}},
		"third attempt": {[]error{down, down}, true, 1, map[string][]opsrecord.Result{id(0): {opsrecord.Retry, opsrecord.Retry, opsrecord.Delivered}}},
		"refused":       {[]error{down}, false, 1, map[string][]opsrecord.Result{id(0): {opsrecord.Failed}}},
		"one of two is refused": {[]error{down, down}, false, 2, map[string][]opsrecord.Result{id(0): {opsrecord.Retry, opsrecord.Failed},
			id(1): {opsrecord.Retry, opsrecord.Delivered}}},
		"given up": {[]error{down}, true, 1, map[string][]opsrecord.Result{id(0): {opsrecord.Failed}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, calls := new(told), 0
				s := alertSender(t, o, func(context.Context, []*alert.Alert) (bool, error) {
					time.Sleep(time.Millisecond)
					if calls++; calls <= len(c.answers) {
						return c.retry, c.answers[calls-1]
					}
					return false, nil
				})
				if name == "given up" {
					s.giveUp = 0
				}
				var alerts []*alert.Alert
				for i := range c.alerts {
					alerts = append(alerts, newAlert(i, nil))
				}
				s.deliver(t.Context(), alerts, time.Now())
				if d := gocmp.Diff(c.want, o.results()); d != "" {
					t.Errorf("reported (-want +got):\n%s", d)
				}
				first := o.all[0]
				if first.Sink != "soc" || first.Kind != "slack" || first.Records != 1 || first.Attempt != 1 || first.Duration != time.Millisecond ||
					(first.Error != "") != (len(c.answers) > 0) {
					t.Errorf("the first report is %+v", first)
				}
			})
		})
	}
}

func id(n int) string { return newAlert(n, nil).ID }

// Alerts that a sink would have got, and batches of events that fail, are told of too; events that arrive are not.
func TestReportsDroppedAndEvents(t *testing.T) {
	client := bustest.Client(t, bustest.Broker(t, t.TempDir(), 0))
	cfg := testConfig()
	cfg.Silences = []Silence{{Match: Matcher{Rules: []string{"quiet"}}, Until: newAlert(9, nil).Time.Add(time.Hour), Owner: "ines"}}
	f := &fake{}
	r := receiver("soc", f, func(c *Common) { c.MaxAge = config.Duration(time.Hour) })
	d, err := New(cfg, client, []Receiver{r}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := new(told)
	d.Report(o.add)
	produce(t, client, newAlert(1, func(a *alert.Alert) { a.Rule = "quiet" }), newAlert(2, nil), newAlert(3, func(a *alert.Alert) { a.Mode = alert.Shadow }))
	b, err := newAlert(4, nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	write(t, client, bus.Record{Topic: bus.TopicAlerts, Partition: bus.AnyPartition, Key: []byte("4"), Value: b, Time: time.Now().Add(-2 * time.Hour)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	await(t, "three reports", func() bool { return len(o.results()) == 3 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	want := map[string][]opsrecord.Result{id(1): {opsrecord.Dropped}, id(2): {opsrecord.Delivered}, id(4): {opsrecord.Dropped}}
	if d := gocmp.Diff(want, o.results()); d != "" {
		t.Errorf("reported (-want +got):\n%s", d)
	}
	slices.SortFunc(o.all, func(a, b opsrecord.Delivery) int { return cmp.Compare(a.Error, b.Error) })
	if o.all[1].Error != errOld.Error() || o.all[2].Error != errSilenced.Error() {
		t.Errorf("reasons are %q and %q", o.all[1].Error, o.all[2].Error)
	}
	tell := d.tellEvents(&r)
	tell(nil, attempt{number: 1, result: opsrecord.Delivered})
	tell(nil, attempt{number: 1, result: opsrecord.Retry, err: errors.New("down")})
	if n := len(o.all); n != 4 || o.all[3].Result != opsrecord.Retry || o.all[3].Alert != "" {
		t.Errorf("%d reports, the last %+v", n, o.all[n-1])
	}
}
