package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// Prefix begins the pseudonym of a principal.
const Prefix = "pseudonym:"

// maxKnown bounds the pseudonyms that are kept ready; beyond it they are worked out again.
const maxKnown = 100_000

// Pseudonyms replaces identifiers. The same identifier has the same pseudonym for as long as the key stays the same, so that rows of one person
// still belong together; without the key nobody can tell whose they are, nor try out who it might be (HMAC-SHA256, RFC 2104).
// It is safe for concurrent use. A nil *Pseudonyms replaces nothing.
type Pseudonyms struct {
	key                   []byte
	principals, addresses bool

	mu    sync.Mutex
	known map[string]string
	seen  map[netip.Addr]netip.Addr
}

// New returns nil when the configuration asks for no pseudonyms.
func New(cfg Config) (*Pseudonyms, error) {
	if len(cfg.Pseudonymise) == 0 {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	key, err := cfg.key()
	if err != nil {
		return nil, fmt.Errorf("privacy: key: %w", err)
	}
	p := &Pseudonyms{key: key, known: make(map[string]string), seen: make(map[netip.Addr]netip.Addr)}
	for _, f := range cfg.Pseudonymise {
		p.principals = p.principals || f == Principals
		p.addresses = p.addresses || f == Addresses
	}
	return p, nil
}

// Principal returns the pseudonym of a principal, or the principal itself where those are not replaced. "" stays "".
func (p *Pseudonyms) Principal(id string) string {
	if p == nil || !p.principals || id == "" {
		return id
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[id]; ok {
		return known
	}
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	sum := p.sum("principal", []byte(id))
	out := Prefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	p.known[strings.Clone(id)] = out
	return out
}

// Address returns the pseudonym of an address: one of fd00::/8, the locally assigned addresses of RFC 4193, which no client of the internet
// has. No address stays none.
func (p *Pseudonyms) Address(a netip.Addr) netip.Addr {
	if p == nil || !p.addresses || !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.seen[a]; ok {
		return known
	}
	if len(p.seen) >= maxKnown {
		clear(p.seen)
	}
	sum := p.sum("address", a.AsSlice())
	sum[0] = 0xfd
	out := netip.AddrFrom16([16]byte(sum[:16]))
	p.seen[a] = out
	return out
}

// sum is over the kind, too, so that an address and a user of the same bytes differ.
func (p *Pseudonyms) sum(kind string, value []byte) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(kind + "\x00"))
	h.Write(value)
	return h.Sum(nil)
}

// address replaces an address that is written as text; what is none stays.
func (p *Pseudonyms) address(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return p.Address(a).String()
	}
	return text
}

// forwarded are headers that carry client addresses.
var forwarded = [...]string{"x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip"}

// Event replaces the identifiers in place. The caller owns the event. Headers that tell client addresses are removed with them.
// Paths, queries and other headers stay: what must not be kept of those is for the tap to redact.
func (p *Pseudonyms) Event(e *event.Event) {
	if p == nil {
		return
	}
	e.Principal.ID = p.Principal(e.Principal.ID)
	e.Source.Address, e.Source.Peer = p.Address(e.Source.Address), p.Address(e.Source.Peer)
	if p.addresses {
		for _, h := range forwarded {
			delete(e.Request.Headers, h)
		}
		e.Source.Port = 0 // with it, a provider could name the subscriber behind a shared address
	}
}

// Alert replaces the identifiers in place: those of the group, of the sample and of texts that name principals or addresses.
func (p *Pseudonyms) Alert(a *alert.Alert) {
	if p == nil {
		return
	}
	for field, value := range a.Group {
		a.Group[field] = p.field(field, value)
	}
	if s := a.Sample; s != nil {
		s.Principal, s.Address = p.Principal(s.Principal), p.address(s.Address)
	}
	for name, value := range a.Texts {
		a.Texts[name] = p.address(value)
	}
}

func (p *Pseudonyms) field(name, value string) string {
	switch name {
	case "source.address", "source.peer":
		return p.address(value)
	case "principal.id":
		return p.Principal(value)
	}
	return value
}

// Decision replaces the identifiers in place.
func (p *Pseudonyms) Decision(d *decision.Decision) {
	if p == nil {
		return
	}
	d.Value = p.term(d.Scope, d.Value)
	for i, t := range d.And {
		d.And[i].Value = p.term(t.Scope, t.Value)
	}
}

func (p *Pseudonyms) term(s decision.Scope, value string) string {
	switch s {
	case decision.Address:
		return p.address(value)
	case decision.Principal, decision.APIKey:
		return p.Principal(value)
	}
	return value
}
