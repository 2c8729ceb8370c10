package detector

import (
	"maps"
	"slices"

	"github.com/axiomhq/hyperloglog"

	"github.com/warder/warder/internal/alert"
)

// maxTime is the last usable time, in nanoseconds since 1970.
const maxTime = 7258118400 * 1e9

func (s *sliced) snapshot(w *encoder) {
	w.int(s.last)
	w.uint(uint64(len(s.cells)))
	for i := range s.cells {
		c := &s.cells[i]
		w.int(c.no)
		w.int(c.first)
		w.int(c.events)
		for i, k := range s.kinds {
			if k != kindDistinct {
				w.share(k, &c.sums[i])
				continue
			}
			var sk *hyperloglog.Sketch
			if c.sketch != nil {
				sk = c.sketch[i]
			}
			w.sketch(sk)
		}
	}
	for i, k := range s.kinds {
		switch k {
		case kindDistinct:
			s.snapshotDistinct(w, i)
		case kindTop:
			w.flag(s.totals[i].more != nil && s.totals[i].more.top.summary)
			w.texts(&s.totals[i])
		}
	}
	tail := s.tail[max(0, len(s.tail)-alert.MaxEvents):]
	w.uint(uint64(len(tail)))
	for _, r := range tail {
		w.words([]uint64{uint64(r.time), r.id, r.id2})
	}
}

func (s *sliced) snapshotDistinct(w *encoder, i int) {
	if s.estimated(i) {
		w.uint(1)
		w.uint(uint64(s.sketches[i].since))
		w.int(s.totals[i].n)
		w.sketch(s.sketches[i].all)
		return
	}
	w.uint(0)
	seen := s.totals[i].seen()
	w.uint(uint64(len(seen)))
	for _, h := range slices.Sorted(maps.Keys(seen)) {
		w.fixed(h)
		w.int(seen[h])
	}
}

func (s *sliced) restore(d *decoder) {
	s.last = d.int()
	if s.last <= 0 || s.last > maxTime {
		d.fail()
		return
	}
	for range d.count(3) {
		c := cell{no: d.int(), first: d.int(), events: d.int(), sums: make([]total, len(s.kinds))}
		for i, k := range s.kinds {
			if k != kindDistinct {
				d.share(k, &c.sums[i])
			} else if sk := d.sketch(); sk != nil {
				if c.sketch == nil {
					c.sketch = make([]*hyperloglog.Sketch, len(s.kinds))
				}
				c.sketch[i] = sk
			}
		}
		newest := s.slot64(s.last)
		if d.err != nil || c.no > newest || c.no <= newest-s.keep || s.slot64(c.first) != c.no ||
			len(s.cells) > 0 && s.cells[len(s.cells)-1].no >= c.no {
			d.fail()
			return
		}
		s.cells = append(s.cells, c)
	}
	for i, k := range s.kinds {
		s.restoreTotal(d, i, k)
	}
	for range d.count(24) {
		s.tail = append(s.tail, ref{int64(d.fixed()), d.fixed(), d.fixed()})
	}
	if len(s.cells) == 0 || len(s.tail) > alert.MaxEvents {
		d.fail()
	}
}

func (s *sliced) restoreDistinct(d *decoder, i int) {
	if d.uint() == 1 {
		if s.sketches == nil {
			s.sketches = make([]sketch, len(s.kinds))
		}
		s.sketches[i].since = int(d.uint() % sketchRefresh)
		s.totals[i].n = d.int()
		if s.sketches[i].all = d.sketch(); s.sketches[i].all == nil {
			d.fail()
		}
		return
	}
	n := d.count(9)
	seen := make(map[uint64]int64, n)
	for range n {
		h := d.fixed()
		seen[h] = d.int()
	}
	s.totals[i].extra().seen, s.totals[i].n = seen, int64(len(seen))
}

func (w *encoder) sketch(sk *hyperloglog.Sketch) {
	if sk == nil {
		w.bytes(nil)
		return
	}
	b, err := sk.MarshalBinary()
	if err != nil {
		panic("detector: " + err.Error()) // fails only for a sketch without a precision; newSketch gives one
	}
	w.bytes(b)
}

// sketch reads one of ours: dense and of our precision. Its size is known before it is allocated.
func (d *decoder) sketch() *hyperloglog.Sketch {
	b := d.bytes()
	if len(b) == 0 {
		return nil
	}
	if len(b) != 8+1<<sketchPrecision || b[1] != sketchPrecision || b[3] != 0 {
		d.fail()
		return nil
	}
	sk := newSketch()
	if err := sk.UnmarshalBinary(b); err != nil {
		d.fail()
		return nil
	}
	return sk
}
