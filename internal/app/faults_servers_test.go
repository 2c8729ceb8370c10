package app_test

import (
	"fmt"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/closedport"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks/email"
)

// A broker that cannot be reached at start: the gateway serves, and what was answered meanwhile is detected, blocked, told and
// stored, once each, when the broker appears.
func TestUnreachableBroker(t *testing.T) {
	t.Parallel()
	address, port := closedport.Reserve(t)
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers = []string{address} })
	r.serves(20)
	r.attack("203.0.113.1")
	r.log.says("level=ERROR", "kafka is not ready", address, "connection refused", "check that the broker runs")
	r.notReady("kafka", address, "connection refused")
	r.serves(20)

	bustest.Broker(t, t.TempDir(), port)
	r.blocked("203.0.113.1")
	r.alerted("203.0.113.1")
	r.ready()
	r.closes("203.0.113.2")
	r.stored()
	r.close() // before the broker goes
}

// A broker that goes away under traffic and comes back: requests are answered, blocks hold, nothing is lost or doubled.
func TestBrokerGoesAndComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, port := closedport.Reserve(t)
	broker := bustest.Broker(t, dir, port)
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers = []string{address} })
	<-r.app.Up()
	r.closes("203.0.113.1")
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	r.serves(50)
	r.attack("203.0.113.2")
	r.blocked("203.0.113.1")
	r.notReady("kafka", address)
	r.log.says("trying again", address)

	bustest.Broker(t, dir, port)
	r.blocked("203.0.113.2")
	r.alerted("203.0.113.2")
	r.ready()
	r.closes("203.0.113.3")
	r.stored()
	r.close()
}

// A ClickHouse that cannot be reached: blocks and alerts go on, and the events arrive when it appears, once each.
func TestUnreachableStore(t *testing.T) {
	t.Parallel()
	address, _ := closedport.Reserve(t)
	r := newRig(t, func(c *app.Config) { c.Store.Addrs = []string{address} })
	r.closes("203.0.113.1")
	r.log.says("level=ERROR", "clickhouse is not ready", address, "cannot be reached", "store.addrs")
	r.notReady("clickhouse", address)
	select {
	case <-r.app.Up():
		t.Error("it says that it is up without a store")
	default:
	}
	forward(t, address, r.server.Addrs[0])
	<-r.app.Up()
	r.stored()
	r.ready()
	r.closes("203.0.113.2")
	r.stored()
	r.close() // before the server goes
}

// A mail server that cannot be reached: the webhook has the alert at once, and the mail comes when the server does, once.
func TestUnreachableMailServer(t *testing.T) {
	t.Parallel()
	address, _ := closedport.Reserve(t)
	r := newRig(t, func(c *app.Config) { c.Sinks.Email = []email.Config{mailTo(address, email.Plaintext)} })
	r.closes("203.0.113.1")
	r.log.says("sink failed, will try again", "sink=mail", address+" cannot be reached", "connection refused", "check smarthost")
	r.counts(1, "warder_sinks_attempts_total", `sink="mail"`, `result="retry"`)

	smtp, err := receivers.NewSMTP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = smtp.Close() })
	forward(t, address, smtp.Addr())
	r.wait("the mail", func() bool { return smtp.Count() > 0 })
	r.closes("203.0.113.2")
	r.wait("the second mail", func() bool { return smtp.Count() > 1 })
	if smtp.Repeats() > 0 || len(smtp.Problems()) > 0 {
		t.Errorf("%d repeats, problems %v", smtp.Repeats(), smtp.Problems())
	}
	r.stored()
	r.close()
}

func mailTo(address string, s email.Security) email.Config {
	m := email.DefaultConfig()
	m.Name, m.Smarthost, m.Security, m.From, m.To = "mail", address, s, "warder@example.com", []string{"soc@example.com"}
	m.GroupWait = config.Duration(0)
	return m
}

// The engine killed with -9 while requests come in: it is started again, and every event is in the store once.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownEngine)
	<-r.app.Up()
	r.server = r.app.EngineConfig()
	var wg sync.WaitGroup
	half := make(chan struct{}, 4)
	for range 4 {
		wg.Go(func() {
			r.serves(100)
			half <- struct{}{}
			r.serves(100)
		})
	}
	<-half
	if err := syscall.Kill(r.app.EnginePID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.closes("203.0.113.1")
	wg.Wait()
	r.counts(1, "warder_engine_restarts_total")
	r.log.says("level=ERROR", "embedded store engine died; starting it again")
	r.log.says("embedded store engine is back")
	r.stored()
	if n := len(r.answered); n < 800 {
		t.Errorf("only %d requests were answered", n)
	}
}

// A disk that is full of events which the broker did not take: requests are answered all the same, the losses are counted, and
// afterwards an alert tells what its window could not see.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	address, port := closedport.Reserve(t)
	r := newRig(t, func(c *app.Config) {
		c.Kafka.Brokers = []string{address}
		c.Collector.Spool.SegmentSize, c.Collector.Spool.MaxMemory, c.Collector.Spool.MaxSize = 1<<20, 1<<20, 2<<20
		c.Collector.Heartbeat = config.Duration(100 * time.Millisecond)
		c.Rules.Paths = append(c.Rules.Paths, file(t, t.TempDir(), "window.yaml", windowRule))
	})
	r.get("203.0.113.7", "/window") // the window begins before the losses
	for n := 0; r.metric("warder_gateway_events_lost_total") < 5; n++ {
		if n > 20_000 {
			t.Fatal("the spool never became full")
		}
		if code := r.get("198.51.100.1", "/"+fmt.Sprintf("%02000d", n)); code != 200 {
			t.Fatalf("a request was answered with %d while the spool is full", code)
		}
	}
	lost := r.metric("warder_gateway_events_lost_total")
	if n := r.metric("warder_collector_spool_dropped_total", `reason="full"`); n != lost {
		t.Errorf("the gateway lost %v events, the spool dropped %v", lost, n)
	}
	r.log.says("level=ERROR", "an access event was lost; requests go on", "spool is full")

	bustest.Broker(t, t.TempDir(), port)
	<-r.app.Up()
	r.wait("room in the spool", func() bool { r.get("203.0.113.7", "/window"); return r.hook.Count() > 0 })
	found := false
	for _, m := range r.hook.Messages() {
		found = found || regexp.MustCompile(`"coverage":\{"dropped":[1-9]`).Match(m.Body)
	}
	if !found {
		t.Errorf("no alert says that its window is not complete: %s", r.hook.Messages()[0].Body)
	}
	r.closes("203.0.113.2")
	r.close()
}

// windowRule counts over the time in which events were lost.
const windowRule = `
id: window
title: Requests in a window
severity: low
filter: request.path == "/window"
group_by: [source.address]
mode: enforce
window: {size: 10m}
aggregates:
  n: count()
condition: n >= 3
tests:
  - {name: none, events: [], expect: []}
`
