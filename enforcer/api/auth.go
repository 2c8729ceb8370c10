package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Limits on wrong tokens: a peer may send maxFailures at once, and one more every failureEvery; maxPeers are remembered.
const (
	maxFailures  = 10
	failureEvery = 6 * time.Second
	maxPeers     = 4096
)

// person is who a request comes from.
type person struct {
	name string
	role Role
}

// by is how decisions name the person.
func (p person) by() string { return "person:" + p.name }

// known is a token as it is kept: only its hash.
type known struct {
	hash [sha256.Size]byte
	who  person
}

// guard finds out who sends a request. It is safe for concurrent use.
type guard struct {
	tokens []known
	now    func() time.Time

	mu    sync.Mutex
	peers map[netip.Prefix]debt
}

// debt is a leaky bucket: how many wrong tokens count against a peer, as of a time.
type debt struct {
	failures float64
	at       time.Time
}

func newGuard(tokens []Token, now func() time.Time) *guard {
	g := &guard{now: now, peers: map[netip.Prefix]debt{}}
	for _, t := range tokens {
		g.tokens = append(g.tokens, known{sha256.Sum256([]byte(t.Token.Reveal())), person{t.Name, t.Role}})
	}
	return g
}

// identify returns who sends the request, or why it is refused. A peer that has sent too many wrong tokens is not looked at.
func (g *guard) identify(r *http.Request) (person, *problem) {
	peer := peerOf(r.RemoteAddr)
	if wait := g.wait(peer); wait > 0 {
		return person{}, tooManyFailures(wait)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return person{}, unauthenticated("there is no bearer token: send the header \"Authorization: Bearer TOKEN\"; " +
			"the token is one of api.tokens, or the one in the file api.token of the data directory when none is configured")
	}
	if who, ok := g.find(strings.TrimSpace(token)); ok {
		return who, nil
	}
	g.failed(peer)
	return person{}, unauthenticated("no token of this API is the one that was sent; compare it with api.tokens, " +
		"or with the file api.token of the data directory when none is configured")
}

// find compares with every token, in a time that does not depend on them.
func (g *guard) find(token string) (person, bool) {
	hash := sha256.Sum256([]byte(token))
	var who person
	found := false
	for i := range g.tokens {
		if subtle.ConstantTimeCompare(hash[:], g.tokens[i].hash[:]) == 1 {
			who, found = g.tokens[i].who, true
		}
	}
	return who, found
}

// wait is how long the peer must keep quiet; 0 when it may try.
func (g *guard) wait(peer netip.Prefix) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	over := g.peers[peer].leaked(g.now()) - (maxFailures - 1)
	if over <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(over * float64(failureEvery)))
}

// failed counts a wrong token. When too many peers are remembered, the one with the least to its account is forgotten.
func (g *guard) failed(peer netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if _, ok := g.peers[peer]; !ok && len(g.peers) >= maxPeers {
		g.forget(now)
	}
	g.peers[peer] = debt{g.peers[peer].leaked(now) + 1, now}
}

// forget removes the peers that owe nothing, or else the one that owes least.
func (g *guard) forget(now time.Time) {
	var least netip.Prefix
	lowest := math.Inf(1)
	for peer, d := range g.peers {
		left := d.leaked(now)
		if left == 0 {
			delete(g.peers, peer)
		}
		if left < lowest {
			least, lowest = peer, left
		}
	}
	delete(g.peers, least)
}

// leaked is what is left of the debt at the time now.
func (d debt) leaked(now time.Time) float64 {
	return max(0, d.failures-float64(now.Sub(d.at))/float64(failureEvery))
}

// peerOf is whom failures are counted against: an IPv4 address, or the /64 network that one IPv6 host has to itself.
func peerOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a, bits := ap.Addr().Unmap().WithZone(""), 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
