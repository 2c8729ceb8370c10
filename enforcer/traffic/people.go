package traffic

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"slices"
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
	maxPrograms  = 8       // that a principal is remembered with on one address

	secondChances = 8 // of shared addresses, each time that one has to go
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

// forget drops the address that was quiet longest. One that several share gets a second chance: a flood of addresses with one account must
// not hide an office.
func (s *shard) forget() {
	for range secondChances {
		if !s.recent.Back().Value.(*place).shared() {
			break
		}
		s.recent.MoveToFront(s.recent.Back())
	}
	last := s.recent.Back()
	pl := last.Value.(*place)
	s.count -= len(pl.people)
	delete(s.places, pl.address)
	s.recent.Remove(last)
}

// shared tells whether there is more than one principal.
func (pl *place) shared() bool {
	return slices.ContainsFunc(pl.people, func(q person) bool { return q.principal != pl.people[0].principal })
}

// note adds the person. A principal with many programs replaces its own oldest one, and when the place is full somebody makes room who has
// most: nobody can push the others out.
func (pl *place) note(who person) {
	of := map[uint64]int{}
	for i := range pl.people {
		q := &pl.people[i]
		if q.principal == who.principal && q.fingerprint == who.fingerprint && q.agent == who.agent {
			q.last = max(q.last, who.last)
			return
		}
		of[q.principal]++
	}
	switch {
	case of[who.principal] >= maxPrograms:
		pl.people[pl.oldest(who.principal)] = who
	case len(pl.people) < maxPeople:
		pl.people = append(pl.people, who)
	default:
		most := who.principal
		for p, n := range of {
			if n > of[most] || n == of[most] && pl.people[pl.oldest(p)].last < pl.people[pl.oldest(most)].last {
				most = p
			}
		}
		pl.people[pl.oldest(most)] = who
	}
}

// oldest returns the number of the principal's entry that was seen longest ago; 0 when it has none.
func (pl *place) oldest(principal uint64) int {
	found := -1
	for i, q := range pl.people {
		if q.principal == principal && (found < 0 || q.last < pl.people[found].last) {
			found = i
		}
	}
	return max(found, 0)
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
