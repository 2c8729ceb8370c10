package traffic

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/warder/warder/internal/event"
)

// The bounds of what is remembered of addresses.
const (
	shards       = 64
	maxAddresses = 100_000 // in all; the one that was quiet longest makes room
	maxPeople    = 128     // principals with their programs, of one address
	maxPersons   = 500_000 // of all addresses: 16 MB
)

// people remembers which principals were seen on an address, with what program. It is safe for concurrent use.
type people struct {
	remember time.Duration
	seed     maphash.Seed
	shards   [shards]shard
}

type shard struct {
	mu     sync.Mutex
	places map[netip.Addr]*list.Element
	recent list.List // of *place, the one that was heard of last in front
	count  int       // persons of all places
}

// place is one address.
type place struct {
	address netip.Addr
	people  []person
}

// person is a principal with the program that it used, as hashes.
type person struct {
	principal, fingerprint, agent uint64
	last                          int64 // Unix nanoseconds
}

func newPeople(remember time.Duration) *people {
	p := &people{remember: remember, seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].places = map[netip.Addr]*list.Element{}
	}
	return p
}

func (p *people) shard(a netip.Addr) *shard {
	b := a.As16()
	return &p.shards[maphash.Bytes(p.seed, b[:])%shards]
}

func (p *people) hash(s string) uint64 { return maphash.String(p.seed, s) }

// note remembers the event's principal on its address.
func (p *people) note(e *event.Event, at time.Time) {
	a := e.Source.Address.Unmap().WithZone("")
	if !a.IsValid() {
		return
	}
	who := person{p.hash(e.Principal.ID), p.hash(e.TLS.Fingerprint), p.hash(e.Request.UserAgent), at.UnixNano()}
	s := p.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.place(a)
	had := len(pl.people)
	pl.note(who)
	s.count += len(pl.people) - had
	for s.count > maxPersons/shards && s.recent.Len() > 1 {
		s.forget()
	}
}

// place returns the address's place, in front of the others.
func (s *shard) place(a netip.Addr) *place {
	if e, ok := s.places[a]; ok {
		s.recent.MoveToFront(e)
		return e.Value.(*place)
	}
	if len(s.places) >= maxAddresses/shards {
		s.forget()
	}
	pl := &place{address: a}
	s.places[a] = s.recent.PushFront(pl)
	return pl
}

// forget drops the address that was quiet longest.
func (s *shard) forget() {
	last := s.recent.Back()
	pl := last.Value.(*place)
	s.count -= len(pl.people)
	delete(s.places, pl.address)
	s.recent.Remove(last)
}

// note adds the person, or replaces the one that was seen longest ago.
func (pl *place) note(who person) {
	oldest := 0
	for i := range pl.people {
		q := &pl.people[i]
		if q.principal == who.principal && q.fingerprint == who.fingerprint && q.agent == who.agent {
			q.last = max(q.last, who.last)
			return
		}
		if q.last < pl.people[oldest].last {
			oldest = i
		}
	}
	if len(pl.people) < maxPeople {
		pl.people = append(pl.people, who)
		return
	}
	pl.people[oldest] = who
}

// count returns how many principals were seen on the address, with the program where one is named.
func (p *people) count(a netip.Addr, fingerprint, agent string, now time.Time) int {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return 0
	}
	s := p.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.places[a]
	if !ok {
		return 0
	}
	after := now.Add(-p.remember).UnixNano()
	seen := map[uint64]bool{}
	for _, q := range e.Value.(*place).people {
		if q.last > after && (fingerprint == "" || q.fingerprint == p.hash(fingerprint)) && (agent == "" || q.agent == p.hash(agent)) {
			seen[q.principal] = true
		}
	}
	return len(seen)
}

func (p *people) len() (n int) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.places)
		s.mu.Unlock()
	}
	return n
}
