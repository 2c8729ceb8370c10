package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// position is a place in the spool: the next record to ship.
type position struct {
	segment uint64
	offset  int64
}

// cursor is the file that holds the position. It is written after every batch, on the way of every event to the bus, so it
// is one write into an open file and not a new file each time: a line of fixed length, in one page. Should a machine's crash
// tear it, its checksum says so, and what is in the spool is shipped again.
type cursor struct {
	path string
	f    *os.File // nil until the first write, and after one that failed
}

func openCursor(dir string) *cursor { return &cursor{path: filepath.Join(dir, cursorFile)} }

// write replaces the position.
func (c *cursor) write(p position) (err error) {
	if c.f == nil {
		if c.f, err = os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			c.f = nil
			return err
		}
	}
	if _, err = c.f.WriteAt(p.encode(), 0); err != nil {
		return errors.Join(err, c.close())
	}
	return nil
}

// read returns the zero position when there is no usable cursor: then everything is shipped again.
func (c *cursor) read() position {
	b, err := os.ReadFile(c.path)
	if err != nil {
		return position{}
	}
	var p position
	var sum uint32
	if _, err := fmt.Sscanf(string(b), "%d %d %x", &p.segment, &p.offset, &sum); err != nil || p.offset < 0 || sum != p.sum() {
		return position{}
	}
	return p
}

func (c *cursor) close() error {
	if c.f == nil {
		return nil
	}
	err := c.f.Close()
	c.f = nil
	return err
}

func (p position) sum() uint32 { return checksum(fmt.Appendf(nil, "%d %d", p.segment, p.offset)) }

// encode returns "segment offset checksum", always of the same length.
func (p position) encode() []byte {
	return fmt.Appendf(nil, "%020d %020d %08x\n", p.segment, p.offset, p.sum())
}
