package offline

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
)

// match parses chunks and matches them with the rules until there are no more.
func (r *run) match(ctx context.Context) error {
	var m matcher
	for {
		select {
		case c, ok := <-r.work:
			if !ok {
				return nil
			}
			if err := m.chunk(r, c); err != nil {
				return err
			}
			c.done <- struct{}{}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// matcher has what one goroutine needs.
type matcher struct {
	parser
	e event.Event
}

// parser is a goroutine's Parse for the input that it last worked on.
type parser struct {
	in    *input
	parse Parse
}

func (p *parser) use(in *input) (err error) {
	if p.in == in {
		return nil
	}
	p.in = in
	if p.parse, err = in.parse(); err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	return nil
}

func (m *matcher) chunk(r *run, c *chunk) error {
	if c.huge {
		c.refuse(c.first, fmt.Sprintf("line is longer than %d bytes", MaxLine), c.buf)
		return nil
	}
	if c.blank {
		return nil
	}
	if err := m.use(c.in); err != nil {
		return err
	}
	no := c.first
	for at := 0; at < len(c.buf); no++ {
		end := bytes.IndexByte(c.buf[at:], '\n')
		if end < 0 {
			end = len(c.buf)
		} else {
			end += at
		}
		m.line(r, c, no, at, at+len(trim(c.buf[at:end])))
		at = end + 1
	}
	return nil
}

// line parses and matches one line. Blank lines are no records, and nobody's loss.
func (m *matcher) line(r *run, c *chunk, no uint64, from, to int) {
	if from == to {
		return
	}
	line := c.buf[from:to]
	if err := m.event(line, no); err != nil {
		c.refuse(no, err.Error(), line)
		return
	}
	c.parsed++
	before := len(c.matches)
	c.matches = r.Set.MatchIn(&c.memory, &m.e, c.matches)
	if failed := len(c.memory.Failures()); len(c.matches) > before || failed > c.failed || r.timed {
		c.failed = failed
		c.hits = append(c.hits, hit{c.parsed, failed, m.e.Time, no, [2]int{from, to}, len(c.matches)})
	}
}

// event reads a line into m.e.
func (m *matcher) event(line []byte, no uint64) error {
	m.e = event.Event{}
	if err := m.parse(line, &m.e); err != nil {
		return err
	}
	m.e.Tap, m.e.Seq, m.e.ID = m.in.tap, no, m.in.lineID(no)
	m.e.Bound()
	return nil
}

func (in *input) lineID(no uint64) event.ID {
	id := in.id
	binary.BigEndian.PutUint64(id[8:], no)
	return id
}

func (c *chunk) refuse(no uint64, why string, line []byte) {
	c.refused++
	if len(c.samples) < MaxSamples {
		c.samples = append(c.samples, RefusedLine{fmt.Sprintf("%s:%d", c.in.name, no), shown(why), quote(line)})
	}
}

// quote shows the beginning of a line so that nothing in it steers a terminal.
func quote(line []byte) string {
	if len(line) <= shownText {
		return fmt.Sprintf("%+q", line)
	}
	return fmt.Sprintf("%+q…", line[:shownText])
}

// shown bounds a parser's message, which may quote the line.
func shown(why string) string {
	if len(why) > 2*shownText {
		why = strings.ToValidUTF8(why[:2*shownText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '.'
		}
		return r
	}, why)
}

// detect keeps the windows, chunk by chunk in the order of the input.
func (r *run) detect(ctx context.Context) error {
	d := &detection{run: r}
	for {
		var c *chunk
		select {
		case next, ok := <-r.order:
			if !ok {
				return nil
			}
			c = next
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := d.chunk(c); err != nil {
			return err
		}
		r.free <- c // has room for all chunks
	}
}

// detection has what the detecting goroutine needs.
type detection struct {
	*run
	matcher matcher
	in      *input // of the chunk before
	alerts  []*alert.Alert
}

func (d *detection) chunk(c *chunk) error {
	d.summary.Lines += c.lines
	d.summary.Refused += c.refused
	d.summary.Detector.Events += c.parsed // the shard only sees matches
	d.summary.Samples = append(d.summary.Samples, c.samples[:min(len(c.samples), MaxSamples-len(d.summary.Samples))]...)
	var h *hit
	o := detector.Origin{Sample: func() *alert.Sample { return d.sample(c, h) }}
	if d.in != nil && d.in != c.in {
		d.shard.EndTap(&detector.Origin{ID: d.in.lineID(0)})
	}
	d.in = c.in
	from, failed, record := 0, 0, uint64(0)
	for i := range c.hits {
		h = &c.hits[i]
		o.Time, o.ID = h.time, c.in.lineID(h.seq)
		d.alerts = d.alerts[:0]
		d.shard.Count(h.record - record)
		d.alerts = d.shard.Failed(c.memory.Failures()[failed:h.failuresEnd], &o, d.alerts)
		record, failed = h.record, h.failuresEnd
		if from == h.matchesEnd { // only time passes
			d.alerts = d.shard.Advance(&o, d.alerts)
		}
		for j := from; j < h.matchesEnd; j++ {
			d.alerts = d.shard.Apply(&c.matches[j], &o, d.alerts)
		}
		from = h.matchesEnd
		for _, a := range d.alerts {
			d.summary.Alerts[a.Rule]++
			if err := d.Out(a); err != nil {
				return fmt.Errorf("write alert: %w", err)
			}
		}
	}
	d.shard.Count(c.parsed - record)
	return nil
}

// sample parses the line again: alerts are rare, and events are not kept for them.
func (d *detection) sample(c *chunk, h *hit) *alert.Sample {
	if d.matcher.use(c.in) != nil || d.matcher.event(c.buf[h.line[0]:h.line[1]], h.seq) != nil {
		return nil
	}
	return detector.NewSample(&d.matcher.e)
}
