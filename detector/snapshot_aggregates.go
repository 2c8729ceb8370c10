package detector

import (
	"maps"
	"slices"
)

// texts writes the texts of a top's values.
func (w *encoder) texts(t *total) {
	if t.more == nil {
		w.uint(0)
		return
	}
	w.uint(uint64(len(t.more.top.list)))
	for _, v := range t.more.top.sorted() {
		w.fixed(v.hash)
		w.text(v.text)
	}
}

// texts reads them; their hashes ascend.
func (r *decoder) texts() map[uint64]string {
	n := r.count(9)
	out := make(map[uint64]string, n)
	last := uint64(0)
	for i := range n {
		h, text := r.fixed(), r.text()
		if r.err != nil || i > 0 && h <= last || len(text) > maxTopText {
			r.fail()
			return nil
		}
		out[h], last = text, h
	}
	return out
}

// ringTexts has the texts of a ring's tops, by aggregate, while its entries are added again.
type ringTexts struct {
	by   map[int]map[uint64]string
	args []Arg
}

func (r *decoder) ringTexts(l *layout) ringTexts {
	var t ringTexts
	if !l.tops {
		return t
	}
	t.by, t.args = map[int]map[uint64]string{}, make([]Arg, len(l.kinds))
	for i, k := range l.kinds {
		if k == kindTop {
			t.by[i] = r.texts()
		}
	}
	return t
}

// of returns the texts of an entry.
func (t ringTexts) of(l *layout, e []uint64) []Arg {
	for i, texts := range t.by {
		t.args[i].Text = texts[e[l.slot[i]]]
	}
	return t.args
}

// used tells whether the entries had all of the texts, and no other values.
func (t ringTexts) used(totals []total) bool {
	for i, texts := range t.by {
		n := 0
		if m := totals[i].more; m != nil {
			n = len(m.top.list)
			for _, v := range m.top.list {
				if _, ok := texts[v.hash]; !ok {
					return false
				}
			}
		}
		if n != len(texts) {
			return false
		}
	}
	return true
}

// share writes one aggregate of one slice.
func (w *encoder) share(k kind, t *total) {
	w.int(t.n)
	switch {
	case k.additive() || k == kindMin || k == kindMax:
		w.int(t.micro)
		return
	case k == kindQuantile:
		w.histogram(t)
		return
	}
	seen := t.seen()
	w.uint(uint64(len(seen)))
	for _, h := range slices.Sorted(maps.Keys(seen)) {
		w.fixed(h)
		w.int(seen[h])
	}
}

func (w *encoder) histogram(t *total) {
	if t.more == nil {
		w.uint(0)
		return
	}
	w.uint(uint64(len(t.more.hist)))
	for _, b := range t.more.hist {
		w.int(int64(b.no))
		w.uint(uint64(b.n))
	}
}

// share reads one aggregate of one slice.
func (r *decoder) share(k kind, t *total) {
	t.n = r.int()
	switch {
	case k.additive():
		t.micro = r.int()
	case k == kindMin || k == kindMax:
		t.micro = r.int() &^ 1
	case k == kindQuantile:
		r.histogram(t)
	default:
		n := r.count(9)
		for range n {
			h := r.fixed()
			have := r.int()
			if have <= 0 || t.seen()[h] != 0 {
				r.fail()
				return
			}
			t.slot(h, have)
		}
	}
}

// histogram reads buckets; they ascend.
func (r *decoder) histogram(t *total) {
	n := r.count(2)
	sum := int64(0)
	for i := range n {
		no, many := r.int(), r.uint()
		if r.err != nil || no < -mostBucket || no > mostBucket || many == 0 || many > 1<<32-1 {
			r.fail()
			return
		}
		h := &t.extra().hist
		if i > 0 && int16(no) <= (*h)[i-1].no {
			r.fail()
			return
		}
		*h = append(*h, bucket{int16(no), uint32(many)})
		sum += int64(many)
	}
	if sum != t.n {
		r.fail()
	}
}

// restoreTotal puts one aggregate of the whole window together from its slices.
func (s *sliced) restoreTotal(d *decoder, i int, k kind) {
	tot := &s.totals[i]
	switch {
	case k == kindDistinct:
		s.restoreDistinct(d, i)
	case k == kindMin || k == kindMax:
		s.extremes(i, k)
	case k == kindTop:
		s.restoreTop(d, i)
	default:
		for j := range s.cells {
			part := &s.cells[j].sums[i]
			tot.addTotal(k, part, 1)
			if k != kindQuantile || part.more == nil {
				continue
			}
			for _, b := range part.more.hist {
				tot.extra().hist.add(b.no, b.n)
			}
		}
	}
}

func (s *sliced) restoreTop(d *decoder, i int) {
	tot := &s.totals[i]
	summary := d.uint() == 1
	texts := d.texts()
	for j := range s.cells {
		part := &s.cells[j].sums[i]
		seen := part.seen()
		tot.n += part.n
		if summary && len(seen) > topCounters {
			d.fail()
			return
		}
		for h, n := range seen {
			text, ok := texts[h]
			if !ok {
				d.fail()
				return
			}
			tot.extra().top.add(h, text, n)
		}
		if len(seen) > 0 {
			tot.more.top.kept += len(seen)
		}
	}
	if summary {
		tot.extra().top.summary = true
	}
	if tot.more != nil && len(tot.more.top.list) != len(texts) || tot.more == nil && len(texts) > 0 {
		d.fail()
	}
}
