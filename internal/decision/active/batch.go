package active

import (
	"time"

	"github.com/warder/warder/internal/decision"
)

// batch collects changes, so that a shard is copied once however many of its entries change. The caller holds Set.write from newBatch
// to commit.
type batch struct {
	set        *Set
	addresses  edits[[16]byte, slot]
	principals edits[string, slot]
	names      edits[name, slot]
	nodes      edits[place, node]
	buckets    edits[string, *bucket]
	levels     [64]int // nodes of each level: how many more
	anchored   [scopeCount]int64
	used       [scopeCount]int64
	added      int64
	changed    bool
	changes    []Change // for the followers
}

func newBatch(s *Set) *batch {
	return &batch{
		set:       s,
		addresses: edits[[16]byte, slot]{in: s.addresses}, principals: edits[string, slot]{in: s.principals},
		names: edits[name, slot]{in: s.names}, nodes: edits[place, node]{in: s.prefixes.nodes}, buckets: edits[string, *bucket]{in: s.buckets},
	}
}

// add takes one decision about the entity into the batch.
func (b *batch) add(e *entity, d *decision.Decision, now time.Time) {
	chain := b.chain(e)
	had := chain.find(e)
	want := successor(had, d, now)
	if want != had && !b.full(had, want) {
		b.replace(e, chain, had, want)
	}
}

// remove takes the decision of the entity out.
func (b *batch) remove(e *entity, had *decision.Decision) { b.replace(e, b.chain(e), had, nil) }

// replace puts want (nil: nothing) in had's place in the entity's chain.
func (b *batch) replace(e *entity, chain *slot, had, want *decision.Decision) {
	b.changed = true
	b.put(e, chain.replace(e, want))
	b.count(had, -1)
	b.count(want, 1)
	b.limit(had, false)
	b.limit(want, true)
	if want != nil {
		b.set.endings.push(untilOf(want), want)
	}
	if len(b.set.followers) > 0 {
		b.changes = append(b.changes, Change{Old: b.set.effective(had), New: b.set.effective(want)})
	}
}

// successor returns what stands in had's place once the topic says d; nil is nothing. The expiry of an earlier decision about
// the entity does not end the one in force: whoever wrote it had not seen that one yet.
func successor(had, d *decision.Decision, now time.Time) *decision.Decision {
	switch {
	case d.Applies(now):
		return d
	case !d.Replaces(had, now):
		return had
	}
	return nil
}

// full counts and logs a decision that the set has no room for.
func (b *batch) full(had, want *decision.Decision) bool {
	s := b.set
	if want == nil || had != nil || s.count.Load()+b.added < MaxEntries {
		return false
	}
	if s.refused.Add(1)%1000 == 1 {
		s.log.Error("decision ignored: the set is full", "decision", want.ID, "limit", MaxEntries)
	}
	return true
}

func (b *batch) count(d *decision.Decision, n int64) {
	if d == nil {
		return
	}
	b.added += n
	b.anchored[d.Scope.Rank()] += n
	b.used[d.Scope.Rank()] += n
	for _, t := range d.And {
		b.used[t.Scope.Rank()] += n
	}
}

// chain returns the decisions that stand where the entity belongs; nil for none.
func (b *batch) chain(e *entity) *slot {
	switch e.scope {
	case decision.Address:
		return b.addresses.find(e.prefix.Addr().As16())
	case decision.Principal:
		return b.principals.find(e.name.text)
	case decision.CIDR:
		pl, bit := placeOf(e.prefix)
		if n := b.nodes.find(pl); n != nil {
			return n.chain(bit)
		}
		return nil
	}
	return b.names.find(e.name)
}

// put makes the chain what stands where the entity belongs.
func (b *batch) put(e *entity, head *slot) {
	switch e.scope {
	case decision.Address:
		b.addresses.put(e.prefix.Addr().As16(), head)
	case decision.Principal:
		b.principals.put(e.name.text, head)
	case decision.CIDR:
		b.putPrefix(e, head)
	default:
		b.names.put(e.name, head)
	}
}

func (b *batch) putPrefix(e *entity, head *slot) {
	pl, bit := placeOf(e.prefix)
	var n node
	old := b.nodes.find(pl)
	if old != nil {
		n = *old
	} else {
		b.levels[pl.level]++
	}
	n = n.with(bit, head)
	if !n.empty() {
		b.nodes.put(pl, &n)
		return
	}
	b.nodes.put(pl, nil)
	b.levels[pl.level]--
}

// limit makes or drops the rate bucket of a decision. A decision that is renewed under the same id keeps its bucket.
func (b *batch) limit(d *decision.Decision, on bool) {
	if d == nil || d.Action != decision.Limit {
		return
	}
	if !on {
		b.buckets.put(d.ID, nil)
		return
	}
	bu := new(bucket)
	if live := b.set.buckets.find(d.ID); live != nil {
		bu = *live
	} else if mine := b.buckets.find(d.ID); mine != nil {
		bu = *mine
	}
	b.buckets.put(d.ID, &bu)
}

// commit publishes the shards. What leads to an entry goes before it: counts that tell readers to look, and buckets, so that whoever
// finds a limit finds its bucket; and is taken away after it. It reports whether there was anything.
func (b *batch) commit() bool {
	if !b.changed {
		return false
	}
	s := b.set
	b.open()
	b.buckets.commit()
	b.addresses.commit()
	b.principals.commit()
	b.names.commit()
	b.nodes.commit()
	b.shut()
	s.count.Add(b.added)
	s.forget()
	return true
}

// open raises the counts that grow.
func (b *batch) open() {
	s := b.set
	for i := range scopeCount {
		s.anchored[i].Add(max(0, b.anchored[i]))
		s.used[i].Add(max(0, b.used[i]))
	}
	for l, n := range b.levels {
		s.prefixes.count[l] += n
		if s.prefixes.count[l] > 0 {
			s.prefixes.levels.Or(1 << l)
		}
	}
}

// shut lowers those that shrink.
func (b *batch) shut() {
	s := b.set
	for i := range scopeCount {
		s.anchored[i].Add(min(0, b.anchored[i]))
		s.used[i].Add(min(0, b.used[i]))
	}
	for l, n := range s.prefixes.count {
		if n == 0 {
			s.prefixes.levels.And(^uint64(1 << l))
		}
	}
}
