package detector

import (
	"cmp"
	"slices"

	"github.com/warder/warder/internal/alert"
)

// maxKnown is how many values a group's memory has; above it the one seen longest ago is forgotten, and counted.
const maxKnown = 256

// known is a group's memory of values, for first_seen and seenBefore.
type known struct {
	unwindowed
	since, high int64 // the group's first and newest event
	list        []knownValue
}

// knownValue is a value and when it was seen last; the list is in the order of the hashes.
type knownValue struct {
	hash uint64
	at   int64
}

var _ span = (*known)(nil)

func (k *known) newest() int64 { return k.high }
func (k *known) cost() int     { return costSpan + 16*len(k.list)*5/4 }

func (k *known) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(k.list, hash, func(v knownValue, h uint64) int { return cmp.Compare(v.hash, h) })
}

// within tells whether the value was seen at most so long before.
func (k *known) within(hash uint64, at, age int64) bool {
	i, ok := k.find(hash)
	return ok && k.list[i].at+age >= at
}

// see remembers a value and returns how many others were forgotten for lack of room.
func (k *known) see(hash uint64, at int64) (forgot int) {
	i, ok := k.find(hash)
	if ok {
		k.list[i].at = max(k.list[i].at, at)
		return 0
	}
	if len(k.list) >= maxKnown {
		old := 0
		for j := range k.list {
			if k.list[j].at < k.list[old].at {
				old = j
			}
		}
		k.list = slices.Delete(k.list, old, old+1)
		if old < i {
			i--
		}
		forgot = 1
	}
	k.list = grow(k.list, knownValue{})
	copy(k.list[i+1:], k.list[i:])
	k.list[i] = knownValue{hash, at}
	return forgot
}

// memory returns the group's memory, which begins anew when the group was silent for so long that all is forgotten. A wrong
// time does not make it older or younger.
func (t *table) memory(n *entity, at int64, tap *tapClock) *known {
	trusted := t.trusted(at, tap)
	k, ok := n.cur.(*known)
	switch {
	case !ok || trusted && at-k.high > t.size:
		k = &known{since: at, high: at}
		if !trusted && at < tap.now {
			k.since, k.high = tap.now, tap.now
		}
		n.cur = k
	case at < k.since && trusted:
		k.since = at
	}
	if trusted || at <= tap.now {
		k.high = max(k.high, at)
	}
	return k
}

// firstSeen takes one event's value.
func (s *Shard) firstSeen(t *table, tap *tapClock, group []string, args []Arg, d detail, o *Origin, dst []*alert.Alert) []*alert.Alert {
	at, form := o.Time.UnixNano(), t.rule.FirstSeen
	s.key = groupKey(s.key[:0], group)
	n := t.touch(s.key, tap)
	k := t.memory(n, at, tap)
	hash := t.formArgs(args)[0].Bits
	s.tracedValue(t, k, group, hash, at, d.value, o)
	if !k.within(hash, at, int64(form.Forget)) && at-k.since >= int64(form.Learn) {
		f := finding{start: at, end: at, count: 1, refs: []ref{refOf(o.ID, at)},
			named: map[string]float64{"known": float64(len(k.list))}, texts: map[string]string{"value": d.value}}
		dst = s.say(t, n, group, o, f, dst)
	}
	s.stats.Forgotten += uint64(k.see(hash, at))
	t.settle(n)
	s.shrink(n)
	return dst
}

// recall asks the group's memory what the rule's seenBefore conditions want to know, and remembers the event's values. t is the
// table of the memory.
func (s *Shard) recall(t *table, tap *tapClock, group []string, args []Arg, o *Origin) bool {
	seen := t.rule.Seen
	args = args[len(args)-len(seen):]
	for i := range args {
		if !args[i].In {
			return false
		}
	}
	at := o.Time.UnixNano()
	s.key = groupKey(s.key[:0], group)
	n := t.touch(s.key, tap)
	k := t.memory(n, at, tap)
	s.tracedSeen(t, k, group, args, at, o)
	holds := true
	for i := range seen {
		holds = holds && k.within(saltedHash(args[i].Bits, i), at, int64(seen[i].Within)) != seen[i].Not
	}
	for i := range seen {
		s.stats.Forgotten += uint64(k.see(saltedHash(args[i].Bits, i), at))
	}
	t.settle(n)
	s.shrink(n)
	return holds
}

// saltedHash keeps the values of a filter's conditions apart.
func saltedHash(h uint64, i int) uint64 { return h + uint64(i)*0x9e3779b97f4a7c15 }
