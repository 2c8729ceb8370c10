package ledger

// Place says how an entry stands to its chain.
type Place int

// The places.
const (
	// Linked: the entry follows the chain's head, and is the head now. It counts.
	Linked Place = iota
	// Repeat: the entry is there already, byte for byte; its writer tried again. It does not count.
	Repeat
	// Fork: the entry follows an earlier one that has another follower by now, or an entry that is a fork itself: its writer did not know
	// the head. It does not count.
	Fork
	// Gap: entries before this one are missing. The chain goes on from it.
	Gap
	// Broken: the entry has the next number and does not follow the head. The chain goes on from it.
	Broken
	// Astray: the entry's number is behind the head, and it follows nothing that is known. It does not count.
	Astray
)

// Counts tells whether an entry in this place is part of the chain.
func (p Place) Counts() bool { return p == Linked || p == Gap || p == Broken }

// remembered is how many of the newest entries a chain knows by hash; what a writer that was asleep for longer writes is Astray.
const remembered = 1 << 16

// Chain follows one chain of a ledger. Every reader and writer places entries by it, so that all agree on which ones count. The zero
// value is an empty chain. It is not safe for concurrent use.
type Chain struct {
	seq   uint64
	hash  string
	alias string // the other name of an altered head: the sum of its bytes
	known recent // hashes of the newest entries
}

// Head returns the number and hash of the last entry that counts; 0 and [Zero] before the first.
func (c *Chain) Head() (seq uint64, hash string) {
	if c.seq == 0 {
		return 0, Zero()
	}
	return c.seq, c.hash
}

// Take places the next entry. An altered entry is known by what it states and by what it is, so that one alteration is one fault.
func (c *Chain) Take(l *Line) Place {
	p := c.place(l)
	c.known.add(l.Hash, p.Counts())
	if l.sum != l.Hash {
		c.known.add(l.sum, p.Counts())
	}
	if p.Counts() {
		c.seq, c.hash, c.alias = l.Entry.Seq, l.Hash, l.sum
	}
	return p
}

func (c *Chain) place(l *Line) Place {
	seq, hash := c.Head()
	e := l.Entry
	follows := e.Prev == hash || c.seq > 0 && e.Prev == c.alias
	_, known := c.known.set[l.Hash]
	_, hangs := c.known.set[e.Prev]
	switch {
	case follows && e.Seq == seq+1:
		return Linked
	case known:
		return Repeat
	case hangs && !follows, e.Seq == 1 && e.Prev == Zero() && seq > 0:
		return Fork
	case e.Seq > seq+1:
		return Gap
	case e.Seq == seq+1:
		return Broken
	}
	return Astray
}

// recent remembers the last ids, each with whether it counts. The zero value is empty.
type recent struct {
	set  map[string]bool
	ring []string
	next int
}

func (r *recent) add(id string, counts bool) {
	if r.set == nil {
		r.set = make(map[string]bool)
	}
	if old, ok := r.set[id]; ok {
		r.set[id] = old || counts
		return
	}
	r.set[id] = counts
	if len(r.ring) < remembered {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % remembered
}
