package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
)

// garbage is what a broken or hostile producer may write: noise, another schema version in both of our encodings, text, and more
// than any of our records holds.
func garbage() [][]byte {
	noise := make([]byte, 300)
	_, _ = rand.Read(noise) // never fails
	noise[0] = 0xff         // no field of Protocol Buffers begins so
	version := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 99)
	return [][]byte{noise, version, []byte(`{"v": 99, "id": "x", "rule": "y", "severity": "low"}`), []byte("hello\n"),
		bytes.Repeat([]byte(`[`), 200_000), bytes.Repeat([]byte{0xff}, 900_000)}
}

// Records that nobody can decode, on every topic, before the start and while it runs: set aside or passed over, counted, and the
// loop closes all the same.
func TestUndecodableRecords(t *testing.T) {
	t.Parallel()
	broker := bustest.Broker(t, t.TempDir(), 0)
	client := bustest.Client(t, broker)
	spoil := func() {
		for i, value := range garbage() {
			for _, topic := range []string{bus.TopicEvents, bus.TopicMatches, bus.TopicAlerts, bus.TopicDecisions} {
				produce(t, client, bus.Record{Topic: topic, Partition: bus.AnyPartition, Key: fmt.Appendf(nil, "key %d", i), Value: value})
			}
			for p := range bus.DefaultConfig().Partitions {
				produce(t, client,
					bus.Record{Topic: bus.TopicCheckpoints, Partition: p, Key: fmt.Appendf(nil, "%s/%d/a/%d", bus.TopicEvents, p, i), Value: value},
					bus.Record{Topic: bus.TopicCheckpoints, Partition: p, Key: fmt.Appendf(nil, "nobody's %d", i), Value: value},
					bus.Record{Topic: bus.TopicDeliveries, Partition: p, Key: fmt.Appendf(nil, "hook/%d", i), Value: value})
			}
		}
	}
	spoil()
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers = broker.Addrs() })
	<-r.app.Up()
	r.closes("203.0.113.1")
	spoil()
	r.closes("203.0.113.2")
	r.stored()

	n := 2 * len(garbage())
	want := map[string]int{
		"detector warder.events": n, "detector warder.matches": n, "store warder.events": n, "store warder.alerts": n,
		"store warder.decisions": n, "enforcer warder.alerts": n, "warder.sink.hook warder.alerts": n,
	}
	var got map[string]int
	r.wait("every dead letter", func() bool { got = deadLetters(t, client); return cmp.Equal(want, got) })
	for _, c := range []struct {
		want float64
		name string
		in   string
	}{
		{float64(2 * n), "warder_detector_records_dropped_total", `reason="undecodable"`},
		{float64(3 * n), "warder_store_dropped_total", `reason="undecodable"`},
		{float64(2 * n), "warder_enforcer_skipped_total", `reason="undecodable"`}, // alerts and decisions
		{float64(n), "warder_sinks_alerts_total", `outcome="undecodable"`},
		{float64(n), "warder_gateway_decisions_undecodable_total", ""},
		{float64(7 * n), "warder_bus_dead_letters_total", ""},
	} {
		if v := r.metric(c.name, c.in); v != c.want {
			t.Errorf("%s{%s} is %v, want %v", c.name, c.in, v, c.want)
		}
	}
	r.counts(1, "warder_detector_checkpoints_total", `result="unreadable"`)
	r.counts(1, "warder_sinks_deliveries_undecodable_total", `sink="hook"`)
	r.log.says("level=ERROR", "checkpoints topic cannot be read", "partition=0")
	r.log.says("level=ERROR", "decision on the topic cannot be read", "topic=warder.decisions", "offset=0")
	r.close()
}

func produce(t *testing.T, c *bus.Client, recs ...bus.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Produce(ctx, recs...); err != nil {
		t.Fatal(err)
	}
}

// Requests that break the rules of HTTP or the limits: refused, counted, and the next one is fine, on the same port.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *app.Config) { c.Gateway.MaxBody = 64 << 10 })
	<-r.app.Up()
	post := func(size int, chunked bool) string {
		body := strings.Repeat("x", size)
		if chunked {
			return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)
		}
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, body)
	}
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"oversized header", "GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431},
		{"too many headers", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-N: 1\r\n", 200) + "\r\n", 431},
		{"oversized body", post(1<<20, false), 413},
		{"oversized chunked body", post(1<<20, true), 413},
		{"body at the limit", post(64<<10, false), 200},
		{"malformed request line", "GET\r\n\r\n", 400},
		{"noise", "\x16\x03\x01\x00\xee\x01\x00\r\n\r\n", 400},
		{"bad header", "GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
	} {
		if got := raw(t, r.app.Gateway().Addr().String(), c.request); got != c.want {
			t.Errorf("%s: answered with %d, want %d", c.name, got, c.want)
		}
		r.serves(1)
	}
	if n := r.metric("warder_gateway_refused_total", `reason="malformed"`); n != 4 {
		t.Errorf("%v malformed requests were counted, want 4", n)
	}
	if n := r.metric("warder_gateway_refused_total", `reason="header_too_large"`); n != 1 {
		t.Errorf("%v oversized headers were counted, want 1", n)
	}
	r.closes("203.0.113.1")
	r.stored()
}

// raw sends bytes and returns the status of the answer. The server may answer, and hang up, before it has them all.
func raw(t *testing.T, address, request string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, request)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0
	}
	defer resp.Body.Close()
	_ = conn.Close()
	<-sent
	return resp.StatusCode
}

// Lines of a followed log that are no access records: counted, and the good ones around them arrive.
func TestMalformedLogLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := file(t, dir, "access.log", "")
	r := newRig(t, func(c *app.Config) { c.AccessLogs = []accesslog.Config{followed(path)} })
	<-r.app.Up()
	good := func(n int) string {
		return fmt.Sprintf("198.51.100.7 - - [%s] \"GET /logged/%d HTTP/1.1\" 200 5 \"-\" \"curl/8\"\n", time.Now().Format("02/Jan/2006:15:04:05 -0700"), n)
	}
	bad := []string{"nonsense\n", "\xff\xfe\x00\x01\n", strings.Repeat("x", 200<<10) + "\n", "{\"a\": 1}\n", "198.51.100.7 - - [yesterday] \"GET / HTTP/1.1\" 200 5\n"}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := range 20 {
		if _, err := f.WriteString(good(n) + bad[n%len(bad)]); err != nil {
			t.Fatal(err)
		}
	}
	r.closes("203.0.113.1")
	r.counts(20, "warder_collector_accesslog_refused_total")
	r.log.says("level=WARN", "access log line refused", path, "offset=")
	conn := r.conn()
	count := func() (n uint64) {
		_ = conn.QueryRow(t.Context(), "SELECT count() FROM events WHERE startsWith(path, '/logged/')").Scan(&n)
		return n
	}
	r.wait("the good lines in the store", func() bool { return count() >= 20 })
	if n := count(); n != 20 {
		t.Errorf("%d events came of 20 good lines", n)
	}
	r.stored()
}

// A log that cannot be read stops neither the gateway nor another log, and is read once it can be.
func TestUnreadableLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.Mkdir(path, 0o700); err != nil { // as root one can read everything but a folder
		t.Fatal(err)
	}
	r := newRig(t, func(c *app.Config) { c.AccessLogs = []accesslog.Config{followed(path)} })
	r.closes("203.0.113.1")
	r.log.says("level=ERROR", "access log cannot be read; trying again", path)
	r.counts(1, "warder_collector_accesslog_failures_total")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	file(t, filepath.Dir(path), "access.log", fmt.Sprintf("203.0.113.9 - - [%s] \"GET /attack HTTP/1.1\" 200 5 \"-\" \"curl/8\"\n",
		time.Now().Format("02/Jan/2006:15:04:05 -0700")))
	r.alerted("203.0.113.9")
	r.stored()
}

func followed(path string) accesslog.Config {
	c := accesslog.DefaultConfig()
	c.Path, c.Format, c.Poll = path, "combined", config.Duration(20*time.Millisecond)
	return c
}

// A rule whose evaluation fails matches nothing and is counted; the others go on.
func TestRuleFailsAtRunTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *app.Config) {
		c.Rules.Paths = append(c.Rules.Paths, file(t, t.TempDir(), "failing.yaml", failingRule))
	})
	<-r.app.Up()
	r.closes("203.0.113.1")
	r.counts(3, "warder_detector_rule_errors_total", `rule="failing"`)
	if n := r.metric("warder_detector_rule_errors_total", `rule="attack"`); n != 0 {
		t.Errorf("the good rule has %v errors", n)
	}
	r.stored()
}

// failingRule asks for a part of the path that no request has.
const failingRule = `
id: failing
title: A rule that cannot be evaluated
severity: low
filter: request.path.split("/")[9] == "1"
group_by: [source.address]
mode: enforce
tests:
  - {name: none, events: [], expect: []}
`
