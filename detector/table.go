package detector

import (
	"encoding/binary"

	"github.com/warder/warder/rules"
)

// table holds the entities of one rule.
type table struct {
	*layout
	name     string // the rule's id, and for a table beside the rule's own what it is for
	rule     *rules.Rule
	shard    *Shard
	forward  bool  // its groups are counted elsewhere
	linger   int64 // how long after its newest event a window may still count one: its size, or the gap of a session
	suppress int64 // the window's size when the rule says nothing

	grouping *grouping
	place    int32 // in the grouping
	active   list  // with a window
	quiet    list  // remembered only to suppress
	bytes    int64
	health   health
	spare    []*home // of entities that are gone

	extra      int    // arguments of the rule's form
	plan       *plan  // of a sequence
	memoryOnly bool   // it holds what seenBefore remembers
	seen, said *table // what seenBefore remembers; who rare alerted on
}

func newTable(s *Shard, r *rules.Rule) *table {
	suppress := int64(r.Suppress)
	if suppress == 0 {
		suppress = formSuppress(r)
	}
	t := &table{
		layout: newLayout(r.Aggregates, formSize(r), int64(r.Window.Gap)), name: r.ID, rule: r, shard: s, linger: formSize(r), suppress: suppress,
		forward: s.cfg.Forward != nil && !local(r), extra: r.FormArgs(),
	}
	if r.Window.Type == rules.Session {
		t.linger = int64(r.Window.Gap)
	}
	by := r.GroupBy
	if r.Form == rules.FormRare {
		by = r.Rare.Peers
	}
	t.grouping, t.place = s.grouping(by)
	t.beside()
	return t
}

func (t *table) len() int { return t.active.len + t.quiet.len }

// local tells whether all events of a group are in one partition of the events topic, which is keyed by client address. A rule
// that keeps no state at all is local, too.
func local(r *rules.Rule) bool {
	by := r.GroupBy
	if r.Form == rules.FormRare {
		by = r.Rare.Peers
	}
	for _, f := range by {
		if f == "source.address" {
			return true
		}
	}
	return r.Window.Type == rules.None && r.Suppress == 0 && r.Form == rules.FormEvents && len(r.Seen) == 0
}

// groupKey is a group's values in one string: the value itself when there is one, else each with its length in front.
func groupKey(dst []byte, group []string) []byte {
	if len(group) == 1 {
		return append(dst, group[0]...)
	}
	for _, v := range group {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// touch returns the entity of the key, made when it is new, as the one used last.
func (t *table) touch(key []byte, tap *tapClock) *entity {
	n := t.grouping.find(key, t.place)
	if n == nil {
		t.expire(2) // so that idle groups cannot become more as new ones come
		if t.len() >= t.shard.cfg.MaxRuleEntities {
			t.evict(nil)
		}
		n = t.newEntity()
		t.grouping.add(key, t.place, n)
		t.shard.entities++
	}
	n.last, n.tap, n.touched = n.tap, tap, tap.now
	t.active.moveFront(n)
	return n
}

// window makes n.cur the span that an event at time at belongs to. late tells that the group was already further.
func (t *table) window(n *entity, at int64) (late bool) {
	if n.other != nil && t.passed(n.other, n.otherTap) {
		n.other, n.otherTap = nil, nil
	}
	for _, s := range []span{n.cur, n.other} {
		late = late || s != nil && at < s.newest() && s.newest() <= n.tap.now && !s.near(at)
	}
	inCur, inOther := n.cur != nil && n.cur.near(at), n.other != nil && n.other.near(at)
	switch {
	case inCur && (!inOther || t.prefer(n.cur, n.other, at)):
	case inOther:
		n.cur, n.other, n.otherTap = n.other, n.cur, n.last
	default:
		if n.cur != nil && !t.passed(n.cur, n.last) {
			n.other, n.otherTap = n.cur, n.last
		}
		n.cur = t.newSpan(n)
	}
	return late
}

// passed tells whether the tap that filled a span has come so far that the span can be forgotten.
func (t *table) passed(s span, tap *tapClock) bool {
	return s.newest()+t.linger+t.shard.maxJump < tap.now
}

func (t *table) newSpan(n *entity) span {
	if t.rule.Form == rules.FormRare {
		return newPeers(t.size, t.shard.cfg.ExactDistinct)
	}
	if t.rule.Window.Type == rules.Tumbling {
		return t.slices()
	}
	if r := n.own; r != nil {
		n.own = nil
		return r
	}
	return newRing(t.layout, t.ringSize())
}

// ringSize is the size of a ring for the rule's windows.
func (t *table) ringSize() int64 {
	if t.gap > 0 {
		return forever
	}
	return t.size
}

// slices returns an empty window of the rule that is made of slices.
func (t *table) slices() *sliced {
	exact := t.shard.cfg.ExactDistinct
	switch t.rule.Window.Type {
	case rules.Tumbling:
		return newSliced(t.layout, t.size, 1, exact)
	case rules.Session:
		return newSliced(t.layout, forever, 1, exact)
	}
	return newSliced(t.layout, t.size/slicesPerWindow, slicesPerWindow, exact)
}

// count adds the entry to the entity's current window. args has the texts of tops.
func (t *table) count(n *entity, entry []uint64, args []Arg) {
	if r, ok := n.cur.(*ring); ok && r.len() >= t.shard.cfg.ExactEvents && r.size >= slicesPerWindow {
		n.cur = r.slice(t.slices())
	}
	n.cur.add(entry, args)
}

// settle brings the estimate of the memory up to date after the entity changed.
func (t *table) settle(n *entity) {
	c := n.cost()
	d := int64(c - n.bytes)
	n.bytes = c
	t.bytes += d
	t.shard.bytes += d
}

func (t *table) remove(n *entity) {
	t.disarm(n)
	n.list.remove(n)
	t.grouping.remove(n, t.place)
	t.bytes -= int64(n.bytes)
	t.shard.bytes -= int64(n.bytes)
	t.shard.entities--
	t.recycle(n)
}

// evict lets go of the entity that was idle longest: of one that still has a window if there is any, because the others are
// small. It spares the entity in hand and reports whether there was another.
func (t *table) evict(hand *entity) bool {
	n := t.active.back
	if n == nil || n == hand {
		n = t.quiet.back
	}
	if n == nil || n == hand {
		return false
	}
	t.remove(n)
	t.shard.stats.Evicted++
	return true
}

// expire lets go of a few entities whose window and suppression have passed.
func (t *table) expire(limit int) {
	slack := t.shard.maxJump
	for range limit {
		n := t.active.back
		if n == nil || n.idle() <= t.linger+slack {
			break
		}
		if n.waits() {
			n.touched = n.tap.now
			t.active.moveFront(n)
			continue
		}
		if n.alerted[0] == 0 || n.idle() > t.suppress+slack {
			t.remove(n)
			t.shard.stats.Expired++
			continue
		}
		t.disarm(n)
		n.cur, n.other, n.otherTap = nil, nil, nil
		t.quiet.moveFront(n)
		t.settle(n)
	}
	for range limit {
		n := t.quiet.back
		if n == nil || n.idle() <= t.suppress+slack {
			break
		}
		t.remove(n)
		t.shard.stats.Expired++
	}
}
