package app_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/bus"
)

// logbook keeps what is logged, one line a record. The test's output shows it when the test fails.
type logbook struct {
	t     *testing.T
	mu    sync.Mutex
	lines []string
}

func newLogbook(t *testing.T) *logbook {
	b := &logbook{t: t}
	t.Cleanup(func() {
		if t.Failed() {
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Log("the log:\n" + strings.Join(b.lines, ""))
		}
	})
	return b
}

func (b *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// Write implements io.Writer; slog calls it once for each record.
func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	return len(p), nil
}

// find returns the first line that has all the texts.
func (b *logbook) find(texts ...string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if containsAll(l, texts...) {
			return l
		}
	}
	return ""
}

// says waits for a line with all the texts.
func (b *logbook) says(texts ...string) string {
	b.t.Helper()
	wait(b.t, "a line in the log with "+strings.Join(texts, " … "), func() bool { return b.find(texts...) != "" })
	return b.find(texts...)
}

func containsAll(s string, texts ...string) bool {
	for _, t := range texts {
		if !strings.Contains(s, t) {
			return false
		}
	}
	return true
}

// admin asks the admin listener.
func (r *rig) admin(path string) (code int, body string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.app.Admin()+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metric returns the sum of a metric's series that have all the labels, each written name="value".
func (r *rig) metric(name string, labels ...string) (sum float64) {
	r.Helper()
	_, body := r.admin("/metrics")
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' || !containsAll(rest, labels...) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
		if err != nil {
			r.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// counts waits until the metric has at least the value.
func (r *rig) counts(atLeast float64, name string, labels ...string) {
	r.Helper()
	r.wait(name+" "+strings.Join(labels, ","), func() bool { return r.metric(name, labels...) >= atLeast })
}

// notReady waits until /readyz fails and says all the texts; ready until it is content.
func (r *rig) notReady(texts ...string) {
	r.Helper()
	r.wait("/readyz to say "+strings.Join(texts, " … "), func() bool {
		code, body := r.admin("/readyz")
		return code == http.StatusServiceUnavailable && containsAll(body, texts...)
	})
}

func (r *rig) ready() {
	r.Helper()
	r.wait("/readyz", func() bool { code, _ := r.admin("/readyz"); return code == http.StatusOK })
}

// requestIDs counts the rows of each request id as anybody would who looks into the table: without FINAL. It is empty before
// the table is there.
func requestIDs(t *testing.T, conn clickhouse.Conn) map[string]uint64 {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT request_id, count() FROM events WHERE request_id != '' GROUP BY request_id")
	if err != nil {
		return nil
	}
	defer rows.Close()
	out := map[string]uint64{}
	for rows.Next() {
		var id string
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		out[id] = n
	}
	return out
}

// deadLetters counts the dead letters by the stage that wrote them and the topic that they come from: "detector warder.events".
func deadLetters(t *testing.T, c *bus.Client) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := map[string]int{}
	err := c.ReadPartition(ctx, bus.TopicDeadLetters, 0, func(r bus.Record) error {
		header := func(key string) (v string) {
			for _, h := range r.Headers {
				if h.Key == key {
					v = string(h.Value)
				}
			}
			return v
		}
		if header(bus.HeaderReason) == "" || header(bus.HeaderSourceOffset) == "" {
			t.Errorf("a dead letter says neither why nor where from: %v", r.Headers)
		}
		out[header(bus.HeaderStage)+" "+header(bus.HeaderSourceTopic)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forward passes connections to an address on to another one: a server that appears late. It ends with the test.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { pass(ctx, in, to) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
}

func pass(ctx context.Context, in net.Conn, to string) {
	defer in.Close()
	out, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	_, _ = io.Copy(out, in)
	_ = out.Close()
	<-back
}

// std returns a logger for parts that take one of the standard library.
func (b *logbook) std() *log.Logger { return log.New(b, "", 0) }
