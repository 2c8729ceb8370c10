package spool

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCursor(t *testing.T) {
	dir := t.TempDir()
	c := openCursor(dir)
	if p := c.read(); p != (position{}) {
		t.Errorf("no cursor reads as %v", p)
	}
	for _, p := range []position{{1, headerSize}, {7, 1 << 40}, {8, 16}} {
		if err := c.write(p); err != nil {
			t.Fatal(err)
		}
		if got := openCursor(dir).read(); got != p {
			t.Errorf("wrote %v, read %v", p, got)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole[:len(whole)-1] { // any torn or changed cursor is none
		for _, torn := range [][]byte{whole[:i], append(append(append([]byte{}, whole[:i]...), whole[i]^1), whole[i+1:]...)} {
			if err := os.WriteFile(filepath.Join(dir, cursorFile), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			if p := openCursor(dir).read(); p != (position{}) {
				t.Errorf("torn cursor %q reads as %v", torn, p)
			}
		}
	}
}
