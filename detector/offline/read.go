package offline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/warder/warder/internal/event"
)

// input is one file that is being read.
type input struct {
	name  string
	tap   string
	id    event.ID // of line 0
	parse func() (Parse, error)
}

func newInput(name string) *input {
	e := event.Event{Tap: "file:" + name}
	e.Bound()
	return &input{name: name, tap: e.Tap, id: event.NewID(e.Tap, 0)}
}

// read cuts the inputs into chunks.
func (r *run) read(ctx context.Context) error {
	defer close(r.work)
	defer close(r.order)
	p := &progress{report: r.Progress, total: r.total()}
	for _, name := range r.Inputs {
		if err := r.readInput(ctx, newInput(name), p); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.broken = append(r.broken, err)
		}
	}
	p.tell()
	return nil
}

// total sums up the sizes of the files; -1 when one is not known.
func (r *run) total() int64 {
	n := int64(0)
	for _, name := range r.Inputs {
		st, err := os.Stat(name)
		switch {
		case name == "-" || err == nil && !st.Mode().IsRegular():
			return -1
		case err == nil:
			n += st.Size()
		}
	}
	return n
}

// progress counts the bytes that were read from files, before decompression.
type progress struct {
	report func(done, total int64)
	total  int64
	done   atomic.Int64 // decompressors may read ahead in a goroutine of their own
}

func (p *progress) tell() {
	if p.report != nil {
		p.report(p.done.Load(), p.total)
	}
}

type countingReader struct {
	io.Reader
	p *progress
}

func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.p.done.Add(int64(n))
	return n, err
}

func (r *run) readInput(ctx context.Context, in *input, p *progress) error {
	var src io.Reader = r.Stdin
	if in.name != "-" {
		f, err := os.Open(in.name)
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		defer f.Close()
		src = f
	} else if src == nil {
		return errors.New("open log: there is no standard input")
	}
	src, done, err := decompress(countingReader{src, p})
	if err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	defer done()
	l := &liner{run: r, in: in, src: src, next: 1, progress: p}
	if err := l.read(ctx); err != nil {
		return fmt.Errorf("read %s, line %d: %w", in.name, l.next, err)
	}
	return nil
}

// maxWindow bounds what a zstd frame may ask for as its window, in bytes.
const maxWindow = 32 << 20

// decompress looks at the first bytes for gzip or zstd.
func decompress(src io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(src, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// liner cuts one input into chunks of whole lines.
type liner struct {
	*run
	in       *input
	src      io.Reader
	next     uint64 // number of the next line
	rest     []byte // the beginning of a line, from the chunk before
	progress *progress
}

func (l *liner) read(ctx context.Context) error {
	for {
		var c *chunk
		select {
		case c = <-l.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.reset(l.in, l.next)
		err := l.fill(c)
		if sendErr := l.finish(ctx, c); sendErr != nil {
			return sendErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l.progress.tell()
	}
}

// fill reads until the chunk is full. A line that does not fit makes it grow, up to MaxLine. Standard input is taken as it comes,
// because it may be a pipe that is written slowly.
func (l *liner) fill(c *chunk) error {
	c.buf = append(c.buf, l.rest...)
	l.rest = l.rest[:0]
	for {
		if len(c.buf) > MaxLine {
			return l.skip(c)
		}
		if len(c.buf) == cap(c.buf) {
			c.buf = append(c.buf, 0)[:len(c.buf)]
		}
		err := l.more(c)
		end := bytes.LastIndexByte(c.buf, '\n') + 1
		if err != nil {
			end = len(c.buf) // the last line may lack its end
		}
		if end > 0 || err != nil {
			l.rest = append(l.rest, c.buf[end:]...)
			c.buf = c.buf[:end]
			c.lines = uint64(bytes.Count(c.buf, []byte{'\n'}))
			if end > 0 && c.buf[end-1] != '\n' {
				c.lines++
			}
			return err
		}
	}
}

// more reads into the room that the chunk has.
func (l *liner) more(c *chunk) error {
	for limit := min(cap(c.buf), MaxLine+1); len(c.buf) < limit; {
		n, err := l.src.Read(c.buf[len(c.buf):limit])
		fresh := c.buf[len(c.buf) : len(c.buf)+n]
		c.buf = c.buf[:len(c.buf)+n]
		if err != nil {
			return err
		}
		if l.in.name == "-" && bytes.IndexByte(fresh, '\n') >= 0 {
			return nil
		}
	}
	return nil
}

// skip passes over the rest of a line that is too long. The chunk then stands for that line alone.
func (l *liner) skip(c *chunk) error {
	c.buf, c.huge, c.lines = c.buf[:2*shownText], true, 1
	buf := make([]byte, 64<<10)
	for {
		n, err := l.src.Read(buf)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			l.rest = append(l.rest, buf[end+1:n]...)
			return nil // an error comes again
		}
		if err != nil {
			return err
		}
	}
}

// finish sends the chunk, or gives it back when there is nothing in it.
func (l *liner) finish(ctx context.Context, c *chunk) error {
	if c.lines == 0 {
		l.free <- c
		return nil
	}
	if l.in.parse == nil && !c.huge {
		sample := c.sample()
		if c.blank = len(sample) == 0; !c.blank {
			parse, err := l.Format(l.in.name, sample)
			if err != nil {
				l.free <- c
				return err
			}
			l.in.parse = parse
		}
	}
	l.next += c.lines
	return l.send(ctx, c)
}

// sample returns the chunk's first lines.
func (c *chunk) sample() [][]byte {
	var out [][]byte
	for line := range bytes.Lines(c.buf) {
		if line = trim(line); len(line) > 0 {
			out = append(out, line)
		}
		if len(out) == sampleLines {
			break
		}
	}
	return out
}

func trim(line []byte) []byte { return bytes.TrimRight(line, "\r\n") }
