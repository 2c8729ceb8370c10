package active

import (
	"net/netip"
	"time"

	"github.com/warder/warder/internal/decision"
)

// entity is the canonical form of decision.Key: one address or prefix has one spelling here, however the decision writes it.
type entity struct {
	action decision.Action
	scope  decision.Scope
	addr   netip.Addr
	prefix netip.Prefix
	name   string
}

// entityOf validates the decision and finds its entity. IPv4-mapped IPv6 is IPv4, an address has no zone, a prefix is masked.
func entityOf(d *decision.Decision) (entity, error) {
	if err := d.Validate(); err != nil {
		return entity{}, err
	}
	e := entity{action: d.Action, scope: d.Scope}
	switch d.Scope {
	case decision.Address:
		a, err := netip.ParseAddr(d.Value)
		if err != nil {
			return entity{}, err
		}
		e.addr = a.Unmap().WithZone("")
	case decision.CIDR:
		p, err := netip.ParsePrefix(d.Value)
		if err != nil {
			return entity{}, err
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		e.prefix = p.Masked()
	case decision.Principal:
		e.name = d.Value
	}
	return e, nil
}

// batch collects changes, so that a shard is copied once however many of its entries change.
type batch struct {
	addresses map[int]map[[16]byte]slot
	names     map[int]map[string]slot
	buckets   map[int]map[string]*bucket
	prefixes  bool
	added     int64
	changes   []Change // for the followers
}

// add takes one decision into the batch. Prefixes go to their trie at once.
func (b *batch) add(s *Set, e entity, d *decision.Decision, now time.Time) {
	next := func(had *decision.Decision) *decision.Decision { return successor(had, d, now) }
	var had *decision.Decision
	var taken bool
	switch e.scope {
	case decision.Address:
		k := e.addr.As16()
		if b.addresses == nil {
			b.addresses = map[int]map[[16]byte]slot{}
		}
		had, taken = swap(s, b, s.addresses, b.addresses, k, d.Action, next)
	case decision.Principal:
		if b.names == nil {
			b.names = map[int]map[string]slot{}
		}
		had, taken = swap(s, b, s.names, b.names, e.name, d.Action, next)
	case decision.CIDR:
		had, taken = b.swapPrefix(s, e.prefix, d.Action, next)
	}
	if taken {
		b.limit(s, had, false)
		b.limit(s, next(had), true)
		if want := next(had); want != had && len(s.followers) > 0 {
			b.changes = append(b.changes, Change{Old: s.effective(had), New: s.effective(want)})
		}
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
func (b *batch) full(s *Set, had, want *decision.Decision) bool {
	if want == nil || had != nil || s.count.Load()+b.added < MaxEntries {
		return false
	}
	if s.refused.Add(1)%1000 == 1 {
		s.log.Error("decision ignored: the set is full", "decision", want.ID, "limit", MaxEntries)
	}
	return true
}

func (b *batch) counted(had, want *decision.Decision) {
	if had != nil {
		b.added--
	}
	if want != nil {
		b.added++
	}
}

// swap puts what succeeds it (nil removes) in the place of the entity's decision of that action and returns what was there. It
// is not taken when the set is full.
func swap[K comparable](s *Set, b *batch, in *shards[K, slot], edits map[int]map[K]slot, k K, action decision.Action,
	next func(*decision.Decision) *decision.Decision) (had *decision.Decision, taken bool) {
	i := in.index(k)
	m, ok := edits[i]
	if !ok {
		m = in.edit(i)
		edits[i] = m
	}
	sl := m[k]
	place := &sl.block
	if action == decision.Limit {
		place = &sl.limit
	}
	had = place.d
	want := next(had)
	if b.full(s, had, want) {
		return nil, false
	}
	*place = held{}
	if want != nil {
		*place = hold(want)
	}
	b.counted(had, want)
	if sl == (slot{}) {
		delete(m, k)
	} else {
		m[k] = sl
	}
	return had, true
}

// swapPrefix is swap for prefixes: the same prefix and action may have been in the enforced or the observed trie.
func (b *batch) swapPrefix(s *Set, p netip.Prefix, action decision.Action, next func(*decision.Decision) *decision.Decision) (had *decision.Decision, taken bool) {
	enforced, observed := enforceBlock, observeBlock
	if action == decision.Limit {
		enforced, observed = enforceLimit, observeLimit
	}
	was := s.prefixes[enforced].get(p)
	if was.d == nil {
		was = s.prefixes[observed].get(p)
	}
	had = was.d
	want := next(had)
	if b.full(s, had, want) {
		return nil, false
	}
	b.prefixes = b.prefixes || had != nil || want != nil
	if want != nil {
		// The new one goes in before the old one goes out: no reader finds the prefix free in between.
		s.prefixes[rank(want)].put(p, hold(want))
	}
	if had != nil && (want == nil || rank(want) != was.rank) {
		s.prefixes[was.rank].remove(p)
	}
	b.counted(had, want)
	return had, true
}

// limit makes or drops the rate bucket of a decision. A decision that is renewed under the same id keeps its bucket.
func (b *batch) limit(s *Set, d *decision.Decision, on bool) {
	if d == nil || d.Action != decision.Limit {
		return
	}
	if b.buckets == nil {
		b.buckets = map[int]map[string]*bucket{}
	}
	i := s.buckets.index(d.ID)
	m, ok := b.buckets[i]
	if !ok {
		m = s.buckets.edit(i)
		b.buckets[i] = m
	}
	if !on {
		delete(m, d.ID)
		return
	}
	if live, ok := s.buckets.get(d.ID); ok {
		m[d.ID] = live
	} else if m[d.ID] == nil {
		m[d.ID] = new(bucket)
	}
}

// commit publishes the shards. Buckets go first, so that whoever finds a limit finds its bucket. It reports whether there was
// anything.
func (b *batch) commit(s *Set) bool {
	for i, m := range b.buckets {
		s.buckets.store(i, m)
	}
	for i, m := range b.addresses {
		s.addresses.store(i, m)
	}
	for i, m := range b.names {
		s.names.store(i, m)
	}
	s.count.Add(b.added)
	return len(b.addresses)+len(b.names) > 0 || b.prefixes
}
