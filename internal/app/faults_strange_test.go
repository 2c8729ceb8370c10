package app_test

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// nasty are texts that break parsers, statements and terminals.
func nasty() []string {
	return []string{"'); DROP TABLE events; --", "\\", "a\x00b", "\x1b[31m", "\xff\xfe", "{ids:Array(String)}", "😀\u202e", strings.Repeat("x", 100_000), strings.Repeat("'\\", 20_000)}
}

// Records that can be decoded but mean nothing sensible: whatever becomes of each, no partition gets stuck at it.
func TestStrangeRecords(t *testing.T) {
	t.Parallel()
	broker := bustest.Broker(t, t.TempDir(), 0)
	client := bustest.Client(t, broker)
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers = broker.Addrs() })
	<-r.app.Up()
	r.closes("203.0.113.1")
	var recs []bus.Record
	for p := range bus.DefaultConfig().Partitions {
		recs = append(recs, strangeEvents(p)...)
		recs = append(recs, strangeAlerts(t, p)...)
	}
	recs = append(recs, strangeDecisions(t)...)
	produce(t, client, recs...)
	r.closes("203.0.113.2")
	r.stored()
	// Every group has read its topic to the end.
	for group, topic := range map[string]string{
		"warder.detector": bus.TopicEvents, "warder.detector.matches": bus.TopicMatches, "warder.enforcer": bus.TopicAlerts, "warder.sink.hook": bus.TopicAlerts,
		"warder.store.events": bus.TopicEvents, "warder.store.alerts": bus.TopicAlerts, "warder.store.decisions": bus.TopicDecisions,
	} {
		r.wait(group+" at the end of "+topic, func() bool {
			lag, err := client.Lag(t.Context(), group, topic)
			return err == nil && (lag == 0 || topic == bus.TopicEvents && lag < 10) // heartbeats go on
		})
	}
	if l := r.log.find("partition consumer failed"); l != "" {
		t.Errorf("a record was tried again and again: %s", l)
	}
	r.close()
}

// times are where clocks and calendars end, in what JSON can write.
func times() []time.Time {
	return []time.Time{{}, time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Now().Add(100 * 365 * 24 * time.Hour)}
}

func strangeEvents(partition int) (recs []bus.Record) {
	add := func(change func(e *event.Event)) {
		e := &event.Event{Tap: "strange", Seq: uint64(len(recs) + 1), Time: time.Now().UTC()}
		e.ID = event.NewID(e.Tap, e.Seq)
		change(e)
		e.Bound()
		recs = append(recs, bus.Record{Topic: bus.TopicEvents, Partition: partition, Value: e.Append(nil)})
	}
	for _, at := range append(times(), time.Unix(-1<<40, 0), time.Unix(1<<40, 0)) {
		add(func(e *event.Event) { e.Time, e.Request.Path = at, "/attack" })
		add(func(e *event.Event) { e.Kind, e.Time, e.Dropped = event.Heartbeat, at, math.MaxUint64 })
	}
	for _, s := range nasty() {
		add(func(e *event.Event) {
			e.Tap, e.Request.Method, e.Request.Path, e.Request.UserAgent, e.Principal.ID, e.Response.ContentType = s, s, s, s, s, s
			e.Request.Headers, e.Ext, e.Principal.Roles = map[string]string{s: s}, map[string]string{s: s}, []string{s, s}
		})
	}
	add(func(e *event.Event) { e.Seq = 0 })
	add(func(e *event.Event) { e.Tap, e.ID = "", event.ID{} })
	add(func(e *event.Event) { e.Kind = 99 })
	add(func(e *event.Event) {
		e.Response.Code, e.Response.Size, e.Request.Duration = math.MinInt32, math.MinInt64, math.MinInt64
	})
	add(func(e *event.Event) { e.Source.Address = netip.MustParseAddr("fe80::1%eth0") })
	add(func(e *event.Event) { e.Tap, e.Seq = "end", math.MaxUint64 })
	return recs
}

func strangeAlerts(t *testing.T, partition int) (recs []bus.Record) {
	t.Helper()
	add := func(change func(a *alert.Alert)) {
		a := &alert.Alert{Version: alert.Version, ID: fmt.Sprintf("%032x", partition*1000+len(recs)), Rule: "strange", Severity: alert.Low, Mode: alert.Enforce, Time: time.Now()}
		change(a)
		b, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, bus.Record{Topic: bus.TopicAlerts, Partition: partition, Value: b})
	}
	respond := func(action, scope string, ttl time.Duration) []alert.Response {
		return []alert.Response{{Action: action, Scope: scope, TTL: ttl, Requests: -1, Per: -1, Burst: -1}}
	}
	for _, at := range times() {
		add(func(a *alert.Alert) {
			a.Time, a.Window, a.Respond, a.Group = at, alert.Window{Start: at, End: at}, respond("block", "source.address", time.Hour), map[string]string{"source.address": "203.0.113.77"}
		})
	}
	for _, s := range nasty() {
		add(func(a *alert.Alert) { a.ID = s + strconv.Itoa(partition) })
		s = s[:min(len(s), 5000)]
		add(func(a *alert.Alert) {
			a.Rule, a.RuleVersion, a.Title, a.Description, a.Tags, a.Events = s, s, s, s, []string{s}, []string{s}
			a.Group, a.Values, a.Mode = map[string]string{s: s}, map[string]float64{s: math.MaxFloat64}, alert.Mode(s)
			a.Respond = respond(s, s, math.MinInt64)
			a.Sample = &alert.Sample{Path: s, UserAgent: s}
		})
		add(func(a *alert.Alert) {
			a.Group, a.Respond = map[string]string{"source.address": s, "principal.id": s}, append(respond("block", "source.address", math.MaxInt64), respond("limit", "principal.id", time.Hour)...)
		})
	}
	return recs
}

func strangeDecisions(t *testing.T) (recs []bus.Record) {
	t.Helper()
	add := func(key string, change func(d *decision.Decision)) {
		d := &decision.Decision{Version: decision.Version, ID: "strange", Action: decision.Block, Scope: decision.Address, Value: "203.0.113.78", Mode: decision.Enforce,
			State: decision.Active, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
		change(d)
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, bus.Record{Topic: bus.TopicDecisions, Partition: 0, Key: []byte(key), Value: b})
	}
	for _, s := range nasty() {
		add("id", func(d *decision.Decision) { d.ID = s })
		s = s[:min(len(s), 5000)]
		add(s, func(d *decision.Decision) {
			d.Scope, d.Value, d.Creator, d.Note, d.Reason.Rule = decision.Principal, s, s, s, s
		})
	}
	for _, at := range times() {
		add("time", func(d *decision.Decision) { d.Created, d.Expires = at.Add(time.Nanosecond-time.Second), at })
		add("time", func(d *decision.Decision) { d.Created, d.Expires = time.Time{}, at })
	}
	add("zone", func(d *decision.Decision) { d.Value = "fe80::1%eth0" })
	return recs
}
