package detector

import (
	"slices"

	"github.com/warder/warder/rules"
)

// The forms of a span that are no window; the numbers follow those of the windows at a distance.
const (
	formSteps = iota + 16
	formPresence
	formKnown
	formPeers
)

// snapshotForm writes a span that is no window; false when it is one.
func (w *encoder) snapshotForm(s span) bool {
	switch s := s.(type) {
	case *steps:
		w.uint(formSteps)
		s.snapshot(w)
	case *presence:
		w.uint(formPresence)
		s.snapshot(w)
	case *known:
		w.uint(formKnown)
		s.snapshot(w)
	case *peers:
		w.uint(formPeers)
		s.snapshot(w)
	default:
		return false
	}
	return true
}

// restoreForm reads what snapshotForm wrote; nil when the table's rule has no such state.
func (t *table) restoreForm(kind uint64, r *decoder) span {
	switch {
	case kind == formSteps && t.plan != nil:
		q := &steps{plan: t.plan}
		q.restore(r)
		return q
	case kind == formPresence && t.is(rules.FormAbsence):
		p := &presence{span: t.size, need: int64(t.rule.Absence.After)}
		p.restore(r)
		return p
	case kind == formKnown && (t.memoryOnly || t.is(rules.FormFirstSeen)):
		k := new(known)
		k.restore(r)
		return k
	case kind == formPeers && t.is(rules.FormRare):
		p := newPeers(t.size, t.shard.cfg.ExactDistinct)
		p.restore(r)
		return p
	}
	return nil
}

// is tells whether the table holds the state of the rule's form itself.
func (t *table) is(form rules.Form) bool { return t.rule.Form == form && t.name == t.rule.ID }

func (w *encoder) refs(l []ref) {
	w.uint(uint64(len(l)))
	for _, r := range l {
		w.words([]uint64{uint64(r.time), r.id, r.id2})
	}
}

// refs reads at most limit references.
func (d *decoder) refs(limit int) []ref {
	n := d.count(24)
	if n > limit {
		d.fail()
		return nil
	}
	l := make([]ref, 0, n)
	for range n {
		r := ref{int64(d.fixed()), d.fixed(), d.fixed()}
		if !possible(r.time) {
			d.fail()
		}
		l = append(l, r)
	}
	return l
}

// possible tells whether a time is one that an event can have.
func possible(t int64) bool { return t > 0 && t <= maxTime }

func (q *steps) snapshot(w *encoder) {
	w.int(q.high)
	for _, l := range [][]attempt{q.beginnings, q.attempts} {
		w.uint(uint64(len(l)))
		for i := range l {
			a := &l[i]
			w.uint(uint64(a.step))
			w.uint(uint64(a.n))
			w.int(a.start)
			w.int(a.last)
			w.uint(uint64(a.total))
			w.words(a.kept)
			w.refs(a.refs)
		}
	}
}

func (q *steps) restore(d *decoder) {
	q.high = d.int()
	q.beginnings = q.restoreAttempts(d, rules.MaxCount)
	q.attempts = q.restoreAttempts(d, maxRefs)
	begun := func(a attempt) bool { return a.step == 0 }
	if !possible(q.high) || slices.ContainsFunc(q.beginnings, func(a attempt) bool { return a.step > 0 }) || slices.ContainsFunc(q.attempts, begun) {
		d.fail()
	}
}

func (q *steps) restoreAttempts(d *decoder, refs int) []attempt {
	n := d.count(5 + 8*q.kept)
	if n > maxRuns {
		d.fail()
		return nil
	}
	l := make([]attempt, 0, n)
	for range n {
		step, count := d.uint(), d.uint()
		a := attempt{start: d.int(), last: d.int(), total: int32(d.uint()), kept: make([]uint64, q.kept)}
		for i := range a.kept {
			a.kept[i] = d.fixed()
		}
		a.refs = d.refs(refs)
		waits := step == uint64(len(q.steps)) && len(q.trailing) > 0
		if step > uint64(len(q.steps)) || step == uint64(len(q.steps)) && !waits || !waits && count >= uint64(q.steps[step].Count) ||
			!possible(a.start) || !possible(a.last) || len(a.refs) == 0 {
			d.fail()
			return nil
		}
		a.step, a.n = int8(step), int8(count)
		l = append(l, a)
	}
	return l
}

func (p *presence) snapshot(w *encoder) {
	w.int(p.n)
	w.refs([]ref{p.last})
	w.refs(p.ahead)
}

func (p *presence) restore(d *decoder) {
	p.n = d.int()
	last := d.refs(1)
	p.ahead = d.refs(maxAhead)
	if len(last) != 1 || p.n < 0 || !slices.IsSortedFunc(p.ahead, func(a, b ref) int { return int(min(1, max(-1, a.time-b.time))) }) {
		d.fail()
		return
	}
	p.last = last[0]
}

func (k *known) snapshot(w *encoder) {
	w.int(k.since)
	w.int(k.high)
	w.uint(uint64(len(k.list)))
	for _, v := range k.list {
		w.fixed(v.hash)
		w.int(v.at)
	}
}

func (k *known) restore(d *decoder) {
	k.since, k.high = d.int(), d.int()
	n := d.count(9)
	if n > maxKnown || !possible(k.since) || !possible(k.high) {
		d.fail()
		return
	}
	k.list = make([]knownValue, 0, n)
	for i := range n {
		v := knownValue{d.fixed(), d.int()}
		if i > 0 && k.list[i-1].hash >= v.hash || !possible(v.at) {
			d.fail()
			return
		}
		k.list = append(k.list, v)
	}
}

func (p *peers) snapshot(w *encoder) {
	p.all.snapshot(w)
	w.uint(uint64(len(p.list)))
	for _, v := range p.list {
		w.fixed(v.hash)
		v.in.snapshot(w)
	}
}

func (p *peers) restore(d *decoder) {
	p.all.restore(d)
	n := d.count(12)
	if n > maxRareValues {
		d.fail()
		return
	}
	for range n {
		v := peerValue{d.fixed(), p.newSlices()}
		v.in.restore(d)
		if d.err != nil || len(p.list) > 0 && p.list[len(p.list)-1].hash >= v.hash {
			d.fail()
			return
		}
		p.list = append(p.list, v)
	}
}
