package spool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTornTailAtEveryByte(t *testing.T) {
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg, osDisk{})
	mustAppend(t, s, 2)
	path := segmentPath(cfg.Dir, s.segments[0].id)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := os.ReadFile(filepath.Join(cfg.Dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole); cut++ {
		dir := t.TempDir()
		for name, b := range map[string][]byte{identityFile: identity, filepath.Base(path): whole[:cut]} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := open(testConfig(dir), "test", quiet(), nil, osDisk{}, "boot-1")
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		mustAppend(t, s, 1)
		if int64(cut) >= before.Size() {
			if diff := cmp.Diff(upTo(1, 3), take(t, s, 3)); diff != "" {
				t.Errorf("cut at %d (-want +got):\n%s", cut, diff)
			}
			torn := float64(0)
			if int64(cut) > before.Size() {
				torn = 1
			}
			if got := value(s.m.torn); got != torn {
				t.Errorf("cut at %d: torn counter is %v, want %v", cut, got, torn)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedRecordIsSkippedAndCounted(t *testing.T) {
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg, osDisk{})
	mustAppend(t, s, 3)
	path := segmentPath(cfg.Dir, s.segments[0].id)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := (len(b) - headerSize) / 3
	b[headerSize+size+20] ^= 1 // in the second record
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := take(t, s, 1); !cmp.Equal(got, []uint64{1}) {
		t.Errorf("got %v", got)
	}
	mustAppend(t, s, 1)
	if got := take(t, s, 2); !cmp.Equal(got, []uint64{3, 4}) {
		t.Errorf("got %v", got)
	}
	if got := value(s.m.corrupt); got != float64(size) {
		t.Errorf("corrupt bytes %v, want %d", got, size)
	}
}
