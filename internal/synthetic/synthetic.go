// Package synthetic makes up a history that looks like that of a busy API, for tests and benchmarks: the same one for the same seed.
//
// [Traffic] makes access events, and what the detector and the enforcer would have made of the attacks among them; [Fill] writes a
// whole history into a store. The distributions come from what is known of such traffic:
//
//   - Clients are drawn from Zipf's law (Breslau et al., "Web Caching and Zipf-like Distributions", INFOCOM 1999), in sessions of 25
//     requests on average, as page views of one visitor follow each other.
//   - Sizes and durations are log-normal (Downey, "The Structural Cause of File Size Distributions", MASCOTS 2001), with a median of
//     their own for each route.
//   - The rate follows the day and the week: the night has a third of the afternoon's, a Saturday three fifths of a Tuesday's.
//   - About 3 % of the requests belong to attacks: campaigns of one to forty sources that last minutes to hours. The rest has about
//     3 % client errors and 0.3 % server errors, and one route at a time that fails more often after a release.
//   - Addresses are of ranges that nobody owns (240.0.0.0/4 and 2001:db8::/32), AS numbers and names are those for documentation.
package synthetic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// Limits of a configuration.
const (
	MaxSpan    = 400 * 24 * time.Hour
	MaxClients = 1_000_000
)

// Config says what traffic to make.
type Config struct {
	Seed uint64
	// Start is inclusive, End exclusive. Both are needed.
	Start, End time.Time
	// Count is how many events there are between Start and End; with 0, Rate decides.
	Count int
	// Rate is events a second on average.
	Rate float64
	// Clients and Users bound the population; 0 is 40,000 clients and 30,000 users.
	Clients, Users int
	// Headers adds two captured headers to each request.
	Headers bool
}

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case !c.End.After(c.Start):
		return fmt.Errorf("end %s is not after start %s", c.End.Format(time.RFC3339), c.Start.Format(time.RFC3339))
	case c.End.Sub(c.Start) > MaxSpan:
		return fmt.Errorf("the span is longer than %s", MaxSpan)
	case c.Count < 0, c.Rate < 0, c.Clients < 0, c.Users < 0:
		return errors.New("a number is below zero")
	case c.Clients > MaxClients, c.Users > MaxClients:
		return fmt.Errorf("there are more than %d clients or users", MaxClients)
	case c.Count == 0 && c.Rate == 0:
		return errors.New("count and rate are both missing")
	}
	return nil
}

// resolved fills in what follows from the rest.
func (c Config) resolved() Config {
	c.Start, c.End = c.Start.UTC(), c.End.UTC()
	if c.Count == 0 {
		c.Count = max(1, int(c.Rate*c.End.Sub(c.Start).Seconds()))
	}
	if c.Clients == 0 {
		c.Clients = 40_000
	}
	if c.Users == 0 {
		c.Users = 30_000
	}
	return c
}

// Traffic makes events. It needs a few megabytes, however many it makes. It is not safe for concurrent use.
type Traffic struct {
	cfg    Config
	rnd    *rand.Rand
	clock  clock
	people people
	api    api
	taps   [2]tap
	made   int

	sessions  []session
	campaigns []*campaign // by start; those that are over are removed
	active    []*campaign
	rules     map[string]*Rule
	noise     noise
	findings  []Finding
}

// tap is one of the two gateways.
type tap struct {
	name    string
	seq     uint64
	dropped uint64
}

// New prepares the traffic.
func New(cfg Config) (*Traffic, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("synthetic: %w", err)
	}
	cfg = cfg.resolved()
	rnd := rand.New(rand.NewPCG(cfg.Seed, 0x77617264657221))
	t := &Traffic{cfg: cfg, rnd: rnd, clock: newClock(cfg.Start, cfg.End, cfg.Count), people: newPeople(rnd, cfg.Clients, cfg.Users), api: newAPI(),
		taps: [2]tap{{name: "edge-1"}, {name: "edge-2"}}, rules: rulesByID()}
	t.sessions = make([]session, min(1500, cfg.Count/sessionLength+8))
	t.campaigns = t.plan()
	t.noise = newNoise(t)
	return t, nil
}

// Count is how many events there are in all.
func (t *Traffic) Count() int { return t.cfg.Count }

// Next overwrites e with the next event, in the order of time, and tells whether there was one. Strings and lists may be shared
// between events; they are never changed.
func (t *Traffic) Next(e *event.Event) bool {
	if t.made == t.cfg.Count {
		return false
	}
	t.made++
	*e = event.Event{Kind: event.Request, Time: t.clock.next(t.rnd)}
	t.number(e)
	if c := t.attack(e.Time); c != nil {
		t.hostile(e, c)
	} else {
		t.ordinary(e)
		t.notice(e)
	}
	if t.cfg.Headers {
		e.Request.Headers = map[string]string{"accept": "application/json", "accept-language": acceptLanguage(e.Source.Country)}
	}
	return true
}

// Batch returns the next n events, fewer at the end and none after it.
func (t *Traffic) Batch(n int) []*event.Event {
	n = min(n, t.cfg.Count-t.made)
	events := make([]event.Event, n)
	out := make([]*event.Event, n)
	for i := range out {
		t.Next(&events[i])
		out[i] = &events[i]
	}
	return out
}

// number gives the event its tap, number and request id. Two requests in three come through the first gateway, which stands at the
// edge; before the second there is a load balancer.
func (t *Traffic) number(e *event.Event) {
	n := 0
	if t.rnd.Uint32N(3) == 0 {
		n = 1
		e.Source.Peer = balancers()[t.rnd.IntN(2)]
	} else {
		e.Source.Port = uint16(1024 + t.rnd.Uint32N(64512))
	}
	g := &t.taps[n]
	g.seq++
	if g.seq%1_500_000 == 1_400_000 {
		g.dropped += uint64(1 + t.rnd.IntN(40))
	}
	e.Tap, e.Seq, e.Dropped, e.ID = g.name, g.seq, g.dropped, event.NewID(g.name, g.seq)
	e.Request.ID = uuid(t.rnd)
	e.Request.Scheme = "https"
}

func acceptLanguage(country string) string { return strings.ToLower(country) + ",en;q=0.8" }
