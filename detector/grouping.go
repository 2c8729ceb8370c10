package detector

import (
	"strings"

	"github.com/warder/warder/rules"
)

// grouping is the groups of all rules with the same group_by: most rules are grouped by client, and an event's client is then
// looked up once for all of them.
type grouping struct {
	seats  map[string]*seat
	last   *seat // that was found; nil when it is gone
	places int32
}

// seat is one group, with its entities in the rules that remember it.
type seat struct {
	key     string
	members []member
	next    int // where the entity after the one found last is; rules ask in the same order for each event
}

type member struct {
	place  int32 // the rule's in the grouping
	entity *entity
}

// grouping returns the grouping for a group_by and a place in it.
func (s *Shard) grouping(by []string) (*grouping, int32) {
	k := strings.Join(by, " ")
	g := s.groups[k]
	if g == nil {
		g = &grouping{seats: map[string]*seat{}}
		s.groups[k] = g
	}
	g.places++
	return g, g.places - 1
}

func (g *grouping) seat(key []byte) *seat {
	if g.last != nil && g.last.key == string(key) {
		return g.last
	}
	if s := g.seats[string(key)]; s != nil {
		g.last = s
		return s
	}
	return nil
}

// find returns the group's entity of the rule at the place; nil when there is none.
func (g *grouping) find(key []byte, place int32) *entity {
	s := g.seat(key)
	if s == nil {
		return nil
	}
	if i := s.index(place); i >= 0 {
		s.next = i + 1
		return s.members[i].entity
	}
	return nil
}

func (s *seat) index(place int32) int {
	if s.next < len(s.members) && s.members[s.next].place == place {
		return s.next
	}
	for i := range s.members {
		if s.members[i].place == place {
			return i
		}
	}
	return -1
}

// add remembers an entity that find did not find. The key is copied.
func (g *grouping) add(key []byte, place int32, n *entity) {
	s := g.seat(key)
	if s == nil {
		s = &seat{key: string(key)}
		g.seats[s.key] = s
		g.last = s
	}
	s.members = append(s.members, member{place, n})
	n.seat = s
}

// remove forgets an entity.
func (g *grouping) remove(n *entity, place int32) {
	s := n.seat
	i := s.index(place)
	s.members = append(s.members[:i], s.members[i+1:]...)
	s.members[:cap(s.members)][len(s.members)] = member{}
	if len(s.members) > 0 {
		return
	}
	delete(g.seats, s.key)
	if g.last == s {
		g.last = nil
	}
}

// home is an entity together with its first window, in one piece of memory.
type home struct {
	entity entity
	ring   ring
	totals [3]total
}

// Bounds of what is kept of entities that are gone, for new ones.
const (
	maxSpare      = 256 // a rule's
	maxSpareWords = 64  // of a window
)

// newEntity returns an empty entity.
func (t *table) newEntity() *entity {
	var h *home
	if n := len(t.spare); n > 0 {
		h, t.spare[n-1] = t.spare[n-1], nil
		t.spare = t.spare[:n-1]
	} else if t.ringed() {
		h = &home{}
	} else {
		return &entity{}
	}
	h.entity.home, h.entity.own = h, &h.ring
	h.ring.layout, h.ring.size, h.ring.totals = t.layout, t.ringSize(), h.totals[:len(t.kinds)]
	return &h.entity
}

// recycle keeps the memory of an entity that nothing refers to any more.
func (t *table) recycle(n *entity) {
	h := n.home
	if h == nil || len(t.spare) == maxSpare {
		return
	}
	words := h.ring.words[:0]
	if cap(words) > maxSpareWords {
		words = nil
	}
	*h = home{ring: ring{words: words}}
	t.spare = append(t.spare, h)
}

// ringed tells whether the rule's entities have a first window that fits into their home.
func (t *table) ringed() bool {
	return t.rings() && len(t.kinds) <= len(home{}.totals)
}

// rings tells whether the rule's windows begin as rings.
func (t *table) rings() bool {
	return t.rule.Window.Type == rules.Sliding || t.rule.Window.Type == rules.Session
}
