package spool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
)

// faultyDisk fails or hangs as told.
type faultyDisk struct {
	mu    sync.Mutex
	fail  bool          // writes leave half of what they got and fail
	stuck bool          // truncating fails too
	hang  chan struct{} // writes wait for it to be closed
}

func (d *faultyDisk) set(change func(*faultyDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *faultyDisk) state() (fail, stuck bool, hang chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fail, d.stuck, d.hang
}

func (d *faultyDisk) create(path string) (file, error) {
	if fail, _, _ := d.state(); fail {
		return nil, errors.New("no space left on device")
	}
	f, err := osDisk{}.create(path)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	d *faultyDisk
}

func (f *faultyFile) Write(b []byte) (int, error) {
	fail, _, hang := f.d.state()
	if hang != nil {
		<-hang
	}
	if fail {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, errors.New("no space left on device")
	}
	return f.file.Write(b)
}

func (f *faultyFile) Truncate(size int64) error {
	if _, stuck, _ := f.d.state(); stuck {
		return errors.New("read-only file system")
	}
	return f.file.Truncate(size)
}

func TestFailingDisk(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		d := &faultyDisk{}
		cfg := testConfig(t.TempDir())
		s := mustOpen(t, cfg, d)
		mustAppend(t, s, 2)
		d.set(func(d *faultyDisk) { d.fail, d.stuck = true, stuck })
		mustAppend(t, s, 3) // held in memory
		if got := value(s.m.volatile); got != 3 {
			t.Errorf("stuck %v: %v events held in memory, want 3", stuck, got)
		}
		d.set(func(d *faultyDisk) { d.fail, d.stuck = false, false })
		waitUntil(t, s, func() bool { return !s.failing })
		mustAppend(t, s, 2)
		if diff := cmp.Diff(upTo(1, 7), take(t, s, 7)); diff != "" {
			t.Errorf("stuck %v (-want +got):\n%s", stuck, diff)
		}
		if got := value(s.m.corrupt); got != 0 {
			t.Errorf("stuck %v: reader met %v damaged bytes", stuck, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, cfg, osDisk{})
		mustAppend(t, s, 1)
		if got := take(t, s, 1); got[len(got)-1] != 8 {
			t.Errorf("stuck %v: after a restart the next number is %d", stuck, got[len(got)-1])
		}
	}
}

// With a failing disk the reader goes on from memory, so a working broker still gets everything in order.
func TestReadFromMemory(t *testing.T) {
	d := &faultyDisk{}
	s := mustOpen(t, testConfig(t.TempDir()), d)
	s.mu.Lock()
	s.retry = time.Hour
	s.mu.Unlock()
	mustAppend(t, s, 2)
	d.set(func(d *faultyDisk) { d.fail = true })
	mustAppend(t, s, 3)
	if diff := cmp.Diff(upTo(1, 5), take(t, s, 5)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var b Batch
	mustAppend(t, s, 1)
	if err := s.Next(context.Background(), &b); err != nil || !b.memory { // lent, never acknowledged
		t.Fatal(err, b)
	}
	mustAppend(t, s, 1)
	d.set(func(d *faultyDisk) { d.fail = false })
	if err := s.Close(); err != nil { // writes both
		t.Fatal(err)
	}
	s = mustOpen(t, s.cfg, osDisk{})
	if got := take(t, s, 2); !cmp.Equal(got[len(got)-2:], upTo(6, 7)) {
		t.Errorf("got %v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d := &faultyDisk{}
	cfg := testConfig(t.TempDir())
	cfg.MaxMemory = 1 << 20
	s := mustOpen(t, cfg, d)
	d.set(func(d *faultyDisk) { d.fail = true })
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		err = s.Append(context.Background(), testEvent("/"))
	}
	if !errors.Is(err, ErrFull) || s.Dropped() != 1 {
		t.Fatalf("got %v, dropped %d", err, s.Dropped())
	}
	if err := s.Close(); err == nil {
		t.Error("close lost events and said nothing")
	}
}

// A hanging disk holds an appender no longer than the bound, and the next ones not at all.
func TestHangingDisk(t *testing.T) {
	d := &faultyDisk{}
	cfg := testConfig(t.TempDir())
	cfg.Stall = config.Duration(20 * time.Millisecond)
	s := mustOpen(t, cfg, d)
	hang := make(chan struct{})
	d.set(func(d *faultyDisk) { d.hang = hang })
	start := time.Now()
	mustAppend(t, s, 200)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("200 appends took %s", took)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	e := testEvent("/file")
	e.Tap, e.Seq = "file:x", 1
	if err := s.Append(ctx, e); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an event that can be read again did not wait: %v", err)
	}
	d.set(func(d *faultyDisk) { d.hang = nil })
	close(hang)
	if got := take(t, s, 201); len(got) != 201 {
		t.Errorf("%d records", len(got))
	}
}

// waitUntil waits for the writer to reach a state.
func waitUntil(t *testing.T, s *Spool, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("the state was not reached in 10s")
		}
	}
}
