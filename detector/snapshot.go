package detector

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/warder/warder/rules"
)

// snapshotVersion is the first number of a snapshot. Restore reads this one.
const snapshotVersion = 2

// Snapshot appends the shard's state to dst. The encoding is deterministic: equal histories give equal bytes. It takes about as
// long as processing one event per remembered group.
func (s *Shard) Snapshot(dst []byte) []byte {
	w := &encoder{dst}
	w.uint(snapshotVersion)
	w.b = append(w.b, s.observed[:]...)
	w.uint(uint64(s.sweep))
	w.uint(uint64(len(s.clocks.taps)))
	for _, k := range slices.Sorted(maps.Keys(s.clocks.taps)) {
		c := s.clocks.taps[k]
		w.fixed(k)
		w.int(c.now)
		w.int(c.jump)
		w.uint(uint64(c.runs))
		w.uint(c.dropped)
		w.int(c.told)
		w.uint(uint64(len(c.reports)))
		for _, at := range c.reports {
			w.int(at)
		}
	}
	w.uint(uint64(len(s.losses)))
	for _, l := range s.losses {
		w.int(l.at)
		w.uint(l.n)
	}
	w.uint(uint64(len(s.tables)))
	for _, t := range s.tables {
		w.text(t.name)
		w.text(t.rule.Version)
		at := len(w.b)
		w.b = append(w.b, 0, 0, 0, 0) // length, so that a rule that is gone can be skipped
		t.snapshot(w)
		binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at-4))
	}
	s.snapshotHealth(w)
	return w.b
}

// Restore puts back what Snapshot wrote, into a shard that has processed nothing. Rules that are not loaded any more, or in
// another version, lose their windows; all others keep theirs. After an error the shard must not be used.
func (s *Shard) Restore(b []byte) error {
	r := &decoder{b: b}
	if v := r.uint(); r.err == nil && v != snapshotVersion {
		return fmt.Errorf("restore detector: snapshot version %d, this program reads %d", v, snapshotVersion)
	}
	if len(r.b) < len(s.observed) {
		return fmt.Errorf("restore detector: %w", errSnapshot)
	}
	r.b = r.b[copy(s.observed[:], r.b):]
	s.sweep = int(r.uint() % uint64(max(1, len(s.tables))))
	for range r.count(12) {
		c := s.clocks.byKey(r.fixed())
		c.now, c.jump, c.runs, c.dropped = r.int(), r.int(), int(r.uint()%confirmations), r.uint()
		if c.now < 0 || c.now > maxTime || c.jump < 0 || c.jump > maxTime {
			r.fail()
		}
		c.told, c.reports = r.int(), nil
		for range min(r.count(1), maxSources) {
			c.reports = append(c.reports, r.int())
		}
	}
	for range min(r.count(2), maxLosses) {
		s.losses = append(s.losses, loss{r.int(), r.uint()})
	}
	for range r.count(6) {
		s.restoreTable(r)
	}
	if r.err == nil && len(r.b) > 0 { // snapshots of earlier programs end here
		s.restoreHealth(r)
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	if r.err != nil {
		return fmt.Errorf("restore detector: %w", r.err)
	}
	return nil
}

func (s *Shard) restoreTable(r *decoder) {
	id, version := r.text(), r.text()
	if len(r.b) < 4 {
		r.fail()
		return
	}
	n := binary.BigEndian.Uint32(r.b)
	if uint64(n) > uint64(len(r.b)-4) {
		r.fail()
		return
	}
	body := &decoder{b: r.b[4 : 4+n]}
	r.b = r.b[4+n:]
	t := s.byID[id]
	if t == nil || t.rule.Version != version {
		return
	}
	t.restore(body)
	if body.err != nil || len(body.b) > 0 {
		r.fail()
	}
}

func (t *table) snapshot(w *encoder) {
	for _, l := range []*list{&t.active, &t.quiet} {
		w.uint(uint64(l.len))
		for n := l.back; n != nil; n = n.prev {
			w.text(n.seat.key)
			w.fixed(n.tap.key)
			w.int(n.touched)
			w.int(n.alerted[0])
			w.int(n.alerted[1])
			w.span(n.cur)
			w.span(n.other)
			if n.other != nil {
				w.fixed(n.otherTap.key)
			}
		}
	}
}

func (t *table) restore(r *decoder) {
	for _, l := range []*list{&t.active, &t.quiet} {
		for range r.count(14) {
			n, key := t.newEntity(), []byte(r.text())
			n.tap, n.touched = t.shard.clocks.byKey(r.fixed()), r.int()
			n.alerted = [2]int64{r.int(), r.int()}
			n.cur, n.other = t.span(r, n), t.span(r, n)
			if n.other != nil {
				n.otherTap = t.shard.clocks.byKey(r.fixed())
			}
			if r.err != nil || t.grouping.find(key, t.place) != nil || l == &t.active && n.cur == nil {
				r.fail()
				return
			}
			t.grouping.add(key, t.place, n)
			l.pushFront(n)
			t.shard.entities++
			t.arm(n)
			t.settle(n)
		}
	}
}

// The forms of a span.
const (
	formNone = iota
	formRing
	formSliced
)

func (w *encoder) span(s span) {
	if w.snapshotForm(s) {
		return
	}
	switch s := s.(type) {
	case *ring:
		w.uint(formRing)
		s.snapshot(w)
	case *sliced:
		w.uint(formSliced)
		s.snapshot(w)
	default:
		w.uint(formNone)
	}
}

func (t *table) span(r *decoder, n *entity) span {
	switch kind := r.uint(); kind {
	case formNone:
		return nil
	case formRing:
		if t.rings() {
			s := t.newSpan(n).(*ring)
			s.restore(r)
			return s
		}
	case formSliced:
		if t.rule.Window.Type != rules.None {
			s := t.slices()
			s.restore(r)
			return s
		}
	default:
		if s := t.restoreForm(kind, r); s != nil {
			return s
		}
	}
	r.fail()
	return nil
}

func (r *ring) snapshot(w *encoder) {
	w.int(r.last)
	w.uint(uint64(r.len()))
	for i, k := range r.kinds {
		if k == kindTop {
			w.texts(&r.totals[i])
		}
	}
	w.words(r.words[r.head:])
}

// restore adds the entries again: their totals are exact, so they come out the same.
func (r *ring) restore(d *decoder) {
	last := d.int()
	n := d.count(8 * r.stride)
	r.words = make([]uint64, 0, n*r.stride)
	entry := make([]uint64, r.stride)
	texts := d.ringTexts(r.layout)
	for range n {
		for i := range entry {
			entry[i] = d.fixed()
		}
		if t := int64(entry[wordTime]); t < r.last || t <= 0 || t > last || !r.near(t) {
			d.fail()
			return
		}
		r.add(entry, texts.of(r.layout, entry))
	}
	if n == 0 || last != r.last || !texts.used(r.totals) {
		d.fail()
	}
}
