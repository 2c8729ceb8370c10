package bus_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
)

// childDir makes the test binary a broker on the directory that it names; see TestKilled.
const childDir = "WARDER_TEST_BROKER_DIR"

// runChild is the child's main: it prints its address and serves until it is killed.
func runChild(dir string) {
	cfg := bus.DefaultEmbeddedConfig()
	cfg.Dir = dir
	b, err := bus.StartEmbedded(cfg, bustest.Log())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(b.Addrs()[0])
	select {}
}

// startChild runs a broker in a process of its own.
func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), kill
}

// TestKilled: what was acknowledged and committed before a kill -9 is there after it.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	cfg := bus.DefaultConfig()
	acked, handled := 0, 0
	for range 3 {
		addr, kill := startChild(t, dir)
		cfg.Brokers = []string{addr}
		c, _ := client(t, cfg)
		if err := c.EnsureTopics(within(t)); err != nil {
			t.Fatal(err)
		}
		l := newLog()
		stop := start(t, func(ctx context.Context) error { return c.Consume(ctx, "g", bus.TopicDecisions, each(l.handle)) })
		produce(t, c, numbered(bus.TopicDecisions, 0, acked, 500)...)
		acked += 500
		l.await(t, "the last record", func() bool {
			got := l.partition(0)
			return len(got) > 0 && got[len(got)-1] == strconv.Itoa(acked-1)
		})
		if d := cmp.Diff(want(handled, acked-handled), l.partition(0)); d != "" {
			t.Errorf("not resumed at the committed offset: %s", d)
		}
		if err := stop(); err != nil { // commits
			t.Fatal(err)
		}
		handled = acked
		kill()
	}
	addr, _ := startChild(t, dir)
	cfg.Brokers = []string{addr}
	c, _ := client(t, cfg)
	var got []string
	for _, r := range read(t, c, bus.TopicDecisions, 0) {
		got = append(got, string(r.Value))
	}
	if d := cmp.Diff(want(0, acked), got); d != "" {
		t.Error(d)
	}
}

// TestRestart: the broker goes away and comes back under a producer and consumers. Nothing acknowledged is lost, and records
// come again only where at-least-once allows it.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	b := bustest.Broker(t, dir, 0)
	_, portText, err := net.SplitHostPort(b.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	c := bustest.Client(t, b)
	consumed, tailed := newLog(), newLog()
	start(t, func(ctx context.Context) error { return c.Consume(ctx, "g", bus.TopicDecisions, each(consumed.handle)) })
	start(t, func(ctx context.Context) error {
		return c.Tail(ctx, bus.TopicDecisions, func(recs []bus.Record) error { return tailed.handle(ctx, recs) }, nil)
	})
	const total = 600
	progress := make(chan int, total)
	start(t, func(context.Context) error {
		defer close(progress)
		for i := range total {
			if err := c.Produce(within(t), numbered(bus.TopicDecisions, 0, i, 1)...); err != nil {
				return err
			}
			progress <- i
		}
		return nil
	})
	for i := range progress {
		if i == total/3 || i == 2*total/3 {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b = bustest.Broker(t, dir, port)
		}
	}
	for name, l := range map[string]*log{"consumer": consumed, "tail": tailed} {
		l.await(t, "the last record at the "+name, func() bool { return seen(l)[strconv.Itoa(total-1)] > 0 })
		if got := len(seen(l)); got != total {
			t.Errorf("%s: %d different records, want %d", name, got, total)
		}
		// An interrupted request may be repeated, and so may what was not committed; no more.
		if repeats := l.count() - total; repeats > total/10 {
			t.Errorf("%s: %d records came again", name, repeats)
		}
	}
}

func seen(l *log) map[string]int {
	out := make(map[string]int)
	for _, v := range l.partition(0) {
		out[v]++
	}
	return out
}

func TestDirectoryIsLocked(t *testing.T) {
	cfg := bus.DefaultEmbeddedConfig()
	cfg.Dir = t.TempDir()
	b := bustest.Broker(t, cfg.Dir, 0)
	_, err := bus.StartEmbedded(cfg, bustest.Log())
	if err == nil {
		t.Fatal("a second broker opened the directory")
	}
	wantWords(t, err, "another process", cfg.Dir)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	bustest.Broker(t, cfg.Dir, 0)
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cfg := bus.DefaultEmbeddedConfig()
	cfg.Dir, cfg.Port = t.TempDir(), ln.Addr().(*net.TCPAddr).Port
	_, err = bus.StartEmbedded(cfg, bustest.Log())
	if err == nil {
		t.Fatal("two listeners on one port")
	}
	wantWords(t, err, "address already in use", "another port")
}

func TestDamagedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := bus.DefaultEmbeddedConfig()
	cfg.Dir = dir
	if _, err := bus.StartEmbedded(cfg, bustest.Log()); err == nil || !strings.Contains(err.Error(), "meta.json") {
		t.Errorf("StartEmbedded = %v, want an error that names the file", err)
	}
}

func TestInMemory(t *testing.T) {
	b := bustest.Broker(t, "", 0)
	c := bustest.Client(t, b)
	produce(t, c, numbered(bus.TopicDecisions, 0, 0, 1)...)
	if n := len(read(t, c, bus.TopicDecisions, 0)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

func TestClosedClient(t *testing.T) {
	c := bustest.New(t)
	produce(t, c, numbered(bus.TopicDecisions, 0, 0, 1)...)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Produce(within(t), numbered(bus.TopicDecisions, 0, 0, 1)...); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Produce after Close = %v, want an error at once", err)
	}
}
