package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// killed opens what a spool left behind that was killed at this moment.
func killed(t *testing.T, s *Spool) *Spool {
	t.Helper()
	cfg := s.cfg
	cfg.Dir = t.TempDir()
	if err := os.CopyFS(cfg.Dir, os.DirFS(s.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, cfg, osDisk{})
}

// Numbers that went to the broker from memory are unknown to the disk. A successor that used them again under the same name would
// have its events dropped as repeats.
func TestNumbersOnlyMemoryKnew(t *testing.T) {
	d := &faultyDisk{}
	s := mustOpen(t, testConfig(t.TempDir()), d)
	s.mu.Lock()
	s.retry = time.Hour
	s.mu.Unlock()
	mustAppend(t, s, 2)
	if next := killed(t, s); next.Tap() != s.Tap() {
		t.Errorf("a working spool has another name after a crash: %s, was %s", next.Tap(), s.Tap())
	}
	d.set(func(d *faultyDisk) { d.fail = true })
	mustAppend(t, s, 3)
	take(t, s, 5)
	next := killed(t, s)
	mustAppend(t, next, 1)
	if next.Tap() == s.Tap() {
		t.Errorf("number %v was used twice as %s", take(t, next, 1), s.Tap())
	}

	d.set(func(d *faultyDisk) { d.fail = false })
	s.mu.Lock()
	s.retryAt = time.Time{}
	s.mu.Unlock()
	mustAppend(t, s, 1)
	waitUntil(t, s, func() bool { return !s.failing && !s.disowned })
	next = killed(t, s)
	mustAppend(t, next, 1)
	if diff := cmp.Diff(upTo(6, 7), take(t, next, 2)); diff != "" || next.Tap() != s.Tap() {
		t.Errorf("the working disk's spool is %s, was %s (-want +got):\n%s", next.Tap(), s.Tap(), diff)
	}
}

// A disk that takes no identity does not keep a gateway from starting.
func TestIdentityThatCannotBeWritten(t *testing.T) {
	cfg := testConfig(t.TempDir())
	inTheWay := filepath.Join(cfg.Dir, identityFile+".tmp")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, cfg, osDisk{})
	mustAppend(t, s, 1)
	if _, err := os.Stat(filepath.Join(cfg.Dir, identityFile)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("identity: %v", err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, 1)
	waitUntil(t, s, func() bool { return !s.disowned })
	next := killed(t, s)
	mustAppend(t, next, 1)
	if diff := cmp.Diff(upTo(1, 3), take(t, next, 3)); diff != "" || next.Tap() != s.Tap() {
		t.Errorf("%s, was %s (-want +got):\n%s", next.Tap(), s.Tap(), diff)
	}
}
