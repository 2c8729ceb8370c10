package active

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// trie holds the prefixes of one rank. lookup takes no lock; put and remove need the caller to be the only writer.
type trie struct {
	root atomic.Pointer[bart.Table[held]]
}

func (t *trie) table() *bart.Table[held] {
	if p := t.root.Load(); p != nil {
		return p
	}
	return new(bart.Table[held])
}

// lookup returns the decision of the longest prefix that covers addr and still applies.
func (t *trie) lookup(addr netip.Addr, now int64) held {
	p := t.root.Load()
	if p == nil {
		return held{}
	}
	h, ok := p.Lookup(addr)
	if !ok || now < h.until {
		return h
	}
	// The longest one has expired and waits for the sweep; a shorter one may still apply. Rare, so it may be slow.
	for _, h := range p.Supernets(netip.PrefixFrom(addr, addr.BitLen())) {
		if now < h.until {
			return h
		}
	}
	return held{}
}

func (t *trie) get(p netip.Prefix) held {
	if root := t.root.Load(); root != nil {
		h, _ := root.Get(p)
		return h
	}
	return held{}
}

func (t *trie) put(p netip.Prefix, h held) { t.root.Store(t.table().InsertPersist(p, h)) }

func (t *trie) remove(p netip.Prefix) {
	next := t.table().DeletePersist(p)
	if next.Size() == 0 {
		next = nil
	}
	t.root.Store(next)
}
