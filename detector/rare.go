package detector

import (
	"cmp"
	"slices"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

const (
	// rareSlices is the resolution of the span that rare looks back over.
	rareSlices = 8
	// rareExact is how many entities of one value, and of all, are told apart exactly; above it they are estimated.
	rareExact = 1024
	// maxRareValues bounds the values that are told apart among one group of peers; above it the one not seen for longest is
	// forgotten, and counted.
	maxRareValues = 512
	// costSliced is what a value's slices and their map take before there is an entity in them, as measured.
	costSliced = 300
)

// An entry of rare has the hash of the value and that of the entity where aggregates have theirs.
const (
	wordValue = headWords + iota
	wordEntity
)

// peers is a window over entities that are compared with each other: how many there are, and how many have each value.
type peers struct {
	width, exact int64
	all          *sliced
	list         []peerValue // in the order of the hashes
	share        float64     // of the value that was added last
	forgot       int         // values for lack of room, not yet counted
}

type peerValue struct {
	hash uint64
	in   *sliced
}

var _ span = (*peers)(nil)

// entitiesLayout is a window with one distinct.
func entitiesLayout() *layout {
	return &layout{kinds: []kind{kindDistinct}, slot: []int{headWords}, stride: headWords + 1}
}

func newPeers(size int64, exact int) *peers {
	p := &peers{width: size / rareSlices, exact: int64(min(exact, rareExact))}
	p.all = p.newSlices()
	return p
}

func (p *peers) newSlices() *sliced {
	s := newSliced(entitiesLayout(), p.width, rareSlices, int(p.exact))
	s.untailed = true
	return s
}

func (p *peers) near(t int64) bool  { return p.all.near(t) }
func (p *peers) holds(t int64) bool { return p.all.holds(t) }
func (p *peers) newest() int64      { return p.all.last }

// add counts an entity for a value.
func (p *peers) add(e []uint64, _ []Arg) {
	entry := [headWords + 1]uint64{e[wordTime], e[wordID], e[wordID2], 1, e[wordEntity]}
	p.all.add(entry[:], nil)
	i, ok := slices.BinarySearchFunc(p.list, e[wordValue], func(v peerValue, h uint64) int { return cmp.Compare(v.hash, h) })
	if !ok {
		p.list = slices.Insert(p.list, i, peerValue{e[wordValue], p.newSlices()})
	}
	v := p.list[i].in
	v.add(entry[:], nil)
	if p.all.last > v.last {
		v.last = p.all.last
		v.prune()
	}
	p.share = float64(v.totals[0].n) / max(1, float64(p.all.totals[0].n))
	if !ok && len(p.list) > maxRareValues {
		p.shrink(i)
	}
}

// shrink forgets the values that nobody has any more, or when there are none the one seen longest ago, but for the one in hand.
func (p *peers) shrink(hand int) {
	keep, old := p.list[hand].hash, -1
	for i := range p.list {
		if i != hand && (old < 0 || p.list[i].in.last < p.list[old].in.last) {
			old = i
		}
	}
	oldest := p.list[old].hash
	gone := p.all.slot64(p.all.last) - rareSlices
	p.list = slices.DeleteFunc(p.list, func(v peerValue) bool {
		passed := p.all.slot64(v.in.last) <= gone
		if v.hash == oldest && !passed {
			p.forgot++
		}
		return v.hash != keep && (passed || v.hash == oldest)
	})
}

// values is the share of the entities that have the value.
func (p *peers) values(dst []rules.Value) []rules.Value {
	return append(dst, rules.Value{Number: min(1, p.share)})
}

func (p *peers) evidence() (int64, int64, []ref) { return p.all.evidence() }

func (p *peers) cost() int {
	n := costSpan + costEntities(p.all)
	for i := range p.list {
		n += 16 + costEntities(p.list[i].in)
	}
	return n
}

// costEntities is sliced.cost by what the slices hold, so that restored ones cost as much.
func costEntities(s *sliced) int {
	n := costSpan + costSliced + len(s.cells)*(72+costTotal) + costSeen*len(s.totals[0].seen())
	if s.estimated(0) {
		n += (len(s.cells) + 1) * sketchBytes
	}
	return n
}

// rare takes one event's value. State is kept by the peers; who was alerted on by group_by.
func (s *Shard) rare(t *table, tap *tapClock, group []string, args []Arg, d detail, o *Origin, dst []*alert.Alert) []*alert.Alert {
	at, form := o.Time.UnixNano(), t.rule.Rare
	who := groupKey(nil, group)
	entity := [headWords + 2]uint64{wordValue: t.formArgs(args)[0].Bits, wordEntity: s.hashes.of(string(who))}
	r := refOf(o.ID, at)
	entity[wordTime], entity[wordID], entity[wordID2] = uint64(at), r.id, r.id2
	s.key = groupKey(s.key[:0], d.peers)
	n := t.touch(s.key, tap)
	if t.window(n, at) {
		s.stats.Late++
	}
	p := n.cur.(*peers)
	p.add(entity[:], nil)
	s.stats.Forgotten += uint64(p.forgot)
	p.forgot = 0
	share, count := min(1, p.share), p.all.totals[0].n
	start, _, _ := p.evidence()
	s.tracedRare(t, group, share, count, d.value, o)
	t.settle(n)
	s.shrink(n)
	if count < int64(form.Least) || share >= form.Share {
		return dst
	}
	f := finding{start: min(start, at), end: at, count: 1, refs: []ref{r}, texts: map[string]string{"value": d.value},
		named: map[string]float64{"share": share, "peers": float64(count)}}
	return s.once(t.said, tap, group, o, f, dst)
}
