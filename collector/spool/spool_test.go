package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Dir = dir
	return c
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func mustOpen(t testing.TB, cfg Config, d disk) *Spool {
	t.Helper()
	s, err := open(cfg, "test", quiet(), nil, d, "boot-1")
	if err != nil {
		t.Fatal(err)
	}
	s.retry = time.Millisecond
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func testEvent(path string) *event.Event {
	e := &event.Event{Time: time.Unix(1_700_000_000, 0).UTC()}
	e.Request.Path = path
	e.Source.Address = netip.MustParseAddr("203.0.113.7")
	return e
}

func mustAppend(t testing.TB, s *Spool, n int) {
	t.Helper()
	for i := range n {
		if err := s.Append(context.Background(), testEvent(fmt.Sprint("/", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// take reads until n records have come, acknowledging all, and returns their numbers.
func take(t testing.TB, s *Spool, n int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b Batch
	var seqs []uint64
	for len(seqs) < n {
		if err := s.Next(ctx, &b); err != nil {
			t.Fatalf("after %d of %d records: %v", len(seqs), n, err)
		}
		for _, r := range b.Records {
			seqs = append(seqs, r.Seq)
		}
		s.Ack(&b)
	}
	return seqs
}

func upTo(from, to uint64) (out []uint64) {
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

func TestAppendNextAck(t *testing.T) {
	s := mustOpen(t, testConfig(t.TempDir()), osDisk{})
	mustAppend(t, s, 3)
	var b Batch
	if err := s.Next(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	first := b.Records[0]
	e, err := event.Decode(first.Value)
	if err != nil {
		t.Fatal(err)
	}
	if e.Tap != s.Tap() || e.Seq != 1 || e.ID != event.NewID(s.Tap(), 1) || e.Request.Path != "/0" || !first.Own {
		t.Errorf("got %+v of %+v", e, first)
	}
	if !bytes.Equal(first.Key, testEvent("").Key()) {
		t.Errorf("key %x", first.Key)
	}
	if diff := cmp.Diff(upTo(1, 3), take(t, s, 3)); diff != "" {
		t.Errorf("not acknowledged, so handed out again (-want +got):\n%s", diff)
	}
	if n := s.Backlog(); n != 0 {
		t.Errorf("backlog is %d bytes", n)
	}
	if err := s.Empty(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestConcurrentAppendersShareOrder(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SegmentSize, cfg.MaxMemory = 1<<20, 1<<20
	s := mustOpen(t, cfg, osDisk{})
	const workers, each = 16, 1500
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := s.Append(context.Background(), testEvent("/"+string(make([]byte, 100)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := take(t, s, workers*each)
	wg.Wait()
	if diff := cmp.Diff(upTo(1, workers*each), got); diff != "" {
		t.Errorf("numbers are not in order: %.400s", diff)
	}
	if files, _ := filepath.Glob(filepath.Join(cfg.Dir, "*.seg")); len(files) != 1 {
		t.Errorf("acknowledged segments are still there: %v", files)
	}
}

func TestReopenGoesOn(t *testing.T) {
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg, osDisk{})
	tap := s.Tap()
	mustAppend(t, s, 5)
	take(t, s, 5)
	mustAppend(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(context.Background(), testEvent("/late")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	for range 3 { // restarts without traffic keep the numbers too
		s = mustOpen(t, cfg, osDisk{})
		if s.Tap() != tap {
			t.Fatalf("tap was %s and is %s", tap, s.Tap())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, cfg, osDisk{})
	mustAppend(t, s, 1)
	if diff := cmp.Diff(upTo(6, 8), take(t, s, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	cfg := testConfig(t.TempDir())
	mustOpen(t, cfg, osDisk{})
	_, err := open(cfg, "test", quiet(), nil, osDisk{}, "boot-1")
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("locked by another process")) {
		t.Errorf("got %v", err)
	}
}

func TestEpochAfterMachineCrash(t *testing.T) {
	for _, tc := range []struct {
		name  string
		clean bool
		same  bool
	}{{"closed in good order", true, true}, {"cut off", false, false}} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			s := mustOpen(t, cfg, osDisk{})
			mustAppend(t, s, 3)
			tap := s.Tap()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if !tc.clean {
				if err := os.Remove(filepath.Join(cfg.Dir, cleanFile)); err != nil {
					t.Fatal(err)
				}
			}
			s, err := open(cfg, "test", quiet(), nil, osDisk{}, "boot-2")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if (s.Tap() == tap) != tc.same {
				t.Errorf("tap was %s and is %s", tap, s.Tap())
			}
			want := uint64(4)
			if !tc.same {
				want = 1
			}
			mustAppend(t, s, 1)
			if got := take(t, s, 4); got[3] != want {
				t.Errorf("next number is %d, want %d", got[3], want)
			}
		})
	}
}

func TestFullDropsNewest(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SegmentSize, cfg.MaxMemory, cfg.MaxSize = 1<<20, 1<<20, 2<<20
	s := mustOpen(t, cfg, osDisk{})
	taken, dropped := 0, 0
	for dropped < 5 {
		e := testEvent("/")
		e.Request.Query = string(bytes.Repeat([]byte("q"), 8000))
		switch err := s.Append(context.Background(), e); {
		case err == nil:
			taken++
		case errors.Is(err, ErrFull):
			dropped++
			if e.Tap != "" || e.Seq != 0 {
				t.Fatalf("a dropped event keeps the number %s %d", e.Tap, e.Seq)
			}
		default:
			t.Fatal(err)
		}
	}
	if s.Dropped() != 5 || value(s.m.dropped.WithLabelValues("full")) != 5 {
		t.Errorf("dropped %d", s.Dropped())
	}

	// An event that can be read again waits for room.
	waited := make(chan error, 1)
	go func() {
		e := testEvent("/file")
		e.Tap, e.Seq, e.Request.Query = "file:x", 1, string(bytes.Repeat([]byte("q"), 8000))
		waited <- s.Append(context.Background(), e)
	}()
	got := take(t, s, taken)
	if diff := cmp.Diff(upTo(1, uint64(taken)), got[:taken]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}

	mustAppend(t, s, 1)
	var b Batch
	for {
		if err := s.Next(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		last := b.Records[len(b.Records)-1]
		s.Ack(&b)
		if last.Own {
			if e, err := event.Decode(last.Value); err != nil || e.Dropped != 5 || e.Seq != uint64(taken)+1 {
				t.Errorf("the next event tells of %d dropped as number %d, %v", e.Dropped, e.Seq, err)
			}
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s := mustOpen(t, cfg, osDisk{}); s.Dropped() != 5 {
		t.Errorf("after a restart %d dropped", s.Dropped())
	}
}

func TestHeartbeat(t *testing.T) {
	s := mustOpen(t, testConfig(t.TempDir()), osDisk{})
	mustAppend(t, s, 2)
	if err := s.Heartbeat(time.Unix(1_700_000_100, 0)); err != nil {
		t.Fatal(err)
	}
	var b Batch
	for n := 0; n < 3; n += len(b.Records) {
		if err := s.Next(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		s.Ack(&b)
	}
	r := b.Records[len(b.Records)-1]
	e, err := event.Decode(r.Value)
	if err != nil || !r.Heartbeat || e.Kind != event.Heartbeat || e.Seq != 2 || e.Time.Unix() != 1_700_000_100 {
		t.Errorf("%+v %+v %v", r, e, err)
	}
	mustAppend(t, s, 1)
	if got := take(t, s, 1); got[0] != 3 {
		t.Errorf("a heartbeat used a number: the next is %d", got[0])
	}
}

func TestTooLarge(t *testing.T) {
	s := mustOpen(t, testConfig(t.TempDir()), osDisk{})
	e := testEvent("/")
	e.Ext = map[string]string{"x": string(make([]byte, event.MaxEncoded))} // not bounded
	if err := s.Append(context.Background(), e); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"dir":          func(c *Config) { c.Dir = "" },
		"segment_size": func(c *Config) { c.SegmentSize = 10 },
		"max_size":     func(c *Config) { c.MaxSize = 1 << 20 },
		"max_memory":   func(c *Config) { c.MaxMemory = 1 },
		"stall":        func(c *Config) { c.Stall = 0 },
	} {
		c := testConfig("x")
		change(&c)
		var f *config.FieldError
		if err := c.Validate(); !errors.As(err, &f) || f.Key != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
