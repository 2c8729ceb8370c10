package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink collects events as the rest of Warder would: repeats of one tap's numbers are dropped.
type sink struct {
	mu      sync.Mutex
	high    map[string]uint64
	paths   []string
	repeats int
	beats   int
	changed chan struct{}
	t       *testing.T
}

func newSink(t *testing.T) *sink {
	return &sink{high: map[string]uint64{}, changed: make(chan struct{}, 1), t: t}
}

func (s *sink) emit(_ context.Context, e *event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Kind == event.Heartbeat:
		s.beats++
	case e.Seq <= s.high[e.Tap]:
		s.repeats++
	default:
		s.high[e.Tap] = e.Seq
		s.paths = append(s.paths, e.Request.Path)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// wait waits until the wanted paths, in any order between files, have come, each once.
func (s *sink) wait(want ...string) {
	s.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		got := slices.Sorted(slices.Values(s.paths))
		s.mu.Unlock()
		if len(got) >= len(want) {
			if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
				s.t.Fatalf("(-want +got):\n%s", diff)
			}
			return
		}
		select {
		case <-s.changed:
		case <-deadline.C:
			s.t.Fatalf("got %v, want %v", got, want)
		}
	}
}

type tapTest struct {
	*testing.T
	dir  string
	path string
	cfg  Config
	sink *sink
	seq  int
	want []string
	stop func()
}

func newTapTest(t *testing.T) *tapTest {
	dir := t.TempDir()
	x := &tapTest{T: t, dir: dir, path: filepath.Join(dir, "access.log"), sink: newSink(t), stop: func() {}}
	x.cfg = DefaultConfig()
	x.cfg.Path, x.cfg.Format, x.cfg.State = x.path, "combined", t.TempDir()
	x.cfg.Poll = config.Duration(10 * time.Millisecond)
	return x
}

func (x *tapTest) start() {
	x.Helper()
	tap, err := New(x.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		x.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tap.Run(ctx, x.sink.emit) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			x.Error(err)
		}
	})
	x.Cleanup(x.stop)
}

// line makes the next line.
func (x *tapTest) line() string {
	x.seq++
	p := fmt.Sprintf("/%d", x.seq)
	x.want = append(x.want, p)
	return fmt.Sprintf("203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] \"GET %s HTTP/1.1\" 200 5 \"-\" \"-\"\n", p)
}

func (x *tapTest) write(path string, n int) {
	x.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		x.Fatal(err)
	}
	defer f.Close()
	for range n {
		// In two writes: half a line must not be taken for one.
		l := x.line()
		for _, part := range []string{l[:20], l[20:]} {
			if _, err := f.WriteString(part); err != nil {
				x.Fatal(err)
			}
		}
	}
}

func (x *tapTest) rename(from, to string) {
	x.Helper()
	if err := os.Rename(from, to); err != nil {
		x.Fatal(err)
	}
}

func TestFollowsRename(t *testing.T) {
	x := newTapTest(t)
	x.write(x.path, 3)
	x.start()
	x.sink.wait(x.want...)
	old, err := os.OpenFile(x.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	x.rename(x.path, x.path+".1")
	x.write(x.path, 2)
	x.sink.wait(x.want...)
	if _, err := old.WriteString(x.line()); err != nil { // the server has not reopened its log yet
		t.Fatal(err)
	}
	x.sink.wait(x.want...)
	x.write(x.path, 1)
	x.sink.wait(x.want...)
}

func TestFollowsCopyTruncate(t *testing.T) {
	x := newTapTest(t)
	x.write(x.path, 3)
	x.start()
	x.sink.wait(x.want...)
	for range 3 {
		b, err := os.ReadFile(x.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(x.path+".1", b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(x.path, 0); err != nil {
			t.Fatal(err)
		}
		x.write(x.path, 4) // longer than before, too
		x.sink.wait(x.want...)
	}
}

func TestFileAppearsLater(t *testing.T) {
	x := newTapTest(t)
	x.start()
	x.write(x.path, 2)
	x.sink.wait(x.want...)
}

func TestRestartOverRotations(t *testing.T) {
	for _, how := range []string{"none", "rename", "copytruncate"} {
		t.Run(how, func(t *testing.T) {
			x := newTapTest(t)
			x.write(x.path, 3)
			x.start()
			x.sink.wait(x.want...)
			x.stop()
			x.write(x.path, 2) // unread when it is rotated away
			switch how {
			case "rename":
				x.rename(x.path, x.path+".1")
			case "copytruncate":
				b, err := os.ReadFile(x.path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(x.path+".1", b, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(x.path, 0); err != nil {
					t.Fatal(err)
				}
			}
			x.write(x.path, 2)
			x.start()
			x.sink.wait(x.want...)
			x.stop()
			if x.sink.repeats != 0 {
				t.Errorf("%d lines were emitted twice", x.sink.repeats)
			}
		})
	}
}

// A lost checkpoint gives repeats with the same numbers, which everything behind drops.
func TestLostCheckpoint(t *testing.T) {
	x := newTapTest(t)
	x.write(x.path, 3)
	x.start()
	x.sink.wait(x.want...)
	x.stop()
	x.cfg.State = t.TempDir()
	x.write(x.path, 1)
	x.start()
	x.sink.wait(x.want...)
	x.stop()
	if x.sink.repeats != 3 || len(x.sink.high) != 1 {
		t.Errorf("%d repeats, taps %v", x.sink.repeats, slices.Collect(maps.Keys(x.sink.high)))
	}
}

func TestFromEnd(t *testing.T) {
	x := newTapTest(t)
	x.cfg.From = "end"
	x.write(x.path, 3)
	x.want = nil
	x.start()
	// Only when the file was opened may the next line be written: the checkpoint tells.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if files, _ := filepath.Glob(filepath.Join(x.cfg.State, "*.json")); len(files) == 1 {
			break
		}
	}
	x.write(x.path, 2)
	x.sink.wait(x.want...)
}

func TestOnceAndLongLines(t *testing.T) {
	x := newTapTest(t)
	x.cfg.Follow, x.cfg.State = false, ""
	text := x.line() + strings.Repeat("x", 3*chunkSize) + "\n" + x.line() + strings.Repeat("y", MaxLine+10) + "\nnonsense\n" +
		strings.TrimSuffix(x.line(), "\n")
	if err := os.WriteFile(x.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tap, err := New(x.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.Run(context.Background(), x.sink.emit); err != nil {
		t.Fatal(err)
	}
	x.sink.wait(x.want...)

	again := newSink(t)
	tap.cfg.Path, tap.stdin = Stdin, strings.NewReader(text)
	if err := tap.Run(context.Background(), again.emit); err != nil {
		t.Fatal(err)
	}
	again.wait(x.want...)
}

func TestStdinIsInterrupted(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	x := newTapTest(t)
	x.cfg.Path = Stdin
	tap, err := New(x.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	tap.stdin = r
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tap.Run(ctx, x.sink.emit) }()
	if _, err := w.WriteString(x.line()); err != nil {
		t.Fatal(err)
	}
	x.sink.wait(x.want...)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	x := newTapTest(t)
	x.cfg.Follow = false
	tap, err := New(x.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.Run(context.Background(), x.sink.emit); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}
