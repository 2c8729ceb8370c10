package synthetic

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/warder/warder/internal/event"
)

// The kinds of clients.
const (
	home   = iota // one or two people
	mobile        // a carrier's address, which hundreds share
	office        // one address, many people
	server        // a partner's program
	robot         // a crawler or a monitor, nobody's
)

// client is an address and who is behind it: users[first : first+count].
type client struct {
	addr         netip.Addr
	place        uint8
	kind         uint8
	listed       bool // on a threat-intelligence list
	first, count int32
}

// user is somebody with a token.
type user struct {
	principal event.Principal
	agent     uint8
	models    bool // may ask language models
}

// place is a network.
type place struct {
	country string
	asn     uint32
	share   float64
	kind    uint8
}

// places are networks of carriers, companies and clouds. Countries have shares as a European service might see them; AS numbers are
// those that RFC 5398 sets aside for documentation.
func places() []place {
	return []place{
		{"DE", 64496, 20, home}, {"DE", 64497, 9, mobile}, {"US", 64498, 12, home}, {"US", 64499, 6, mobile}, {"US", 64500, 3, server},
		{"GB", 64501, 7, home}, {"GB", 64502, 3, mobile}, {"FR", 64503, 6, home}, {"FR", 64504, 3, mobile}, {"NL", 64505, 4, home},
		{"NL", 64506, 2, server}, {"IN", 64507, 5, mobile}, {"BR", 64508, 3, home}, {"JP", 64509, 2.5, home}, {"PL", 64510, 2.5, home},
		{"ES", 64511, 2.5, home}, {"IT", 65536, 2.5, home}, {"AT", 65537, 2, home}, {"CH", 65538, 2, home}, {"SE", 65539, 1, home},
		{"IE", 65540, 1.5, server}, {"SG", 65541, 1, server}, {"CA", 65542, 1.5, home}, {"AU", 65543, 1, home}, {"VN", 65544, 0.6, mobile},
		{"ID", 65545, 0.7, mobile}, {"TR", 65546, 0.7, home}, {"UA", 65547, 0.5, home}, {"ZA", 65548, 0.4, home}, {"RO", 65549, 0.4, home},
		{"CN", 65550, 0.3, home}, {"RU", 65551, 0.3, home},
	}
}

// people are the clients and users. They are never changed.
type people struct {
	places  []place
	clients []client
	users   []user
	agents  []agent
	popular alias // over clients
	kinds   [robot + 1]alias
}

func newPeople(rnd *rand.Rand, clients, users int) people {
	p := people{places: places(), agents: agents(), clients: make([]client, clients), users: make([]user, users)}
	for i := range p.kinds {
		p.kinds[i] = p.agentsOf(uint8(i))
	}
	weights := make([]float64, len(p.places))
	for i, pl := range p.places {
		weights[i] = pl.share
	}
	where, tenants := newAlias(weights), newAlias(zipf(150, 1))
	kinds := make([]uint8, users)
	next := 0
	for i := range p.clients {
		c := p.client(rnd, uint8(where.draw(rnd)))
		c.first, c.count = int32(next%users), min(c.count, int32(users-next%users))
		for j := c.first; j < c.first+c.count; j++ {
			kinds[j] = c.kind
		}
		next += int(c.count)
		p.clients[i] = c
	}
	for i := range p.users {
		p.users[i] = p.user(rnd, i, kinds[i], tenants.draw(rnd))
	}
	p.popular = newAlias(zipf(clients, 0.95))
	return p
}

// client makes one of the place; count is how many users it would like to have.
func (p *people) client(rnd *rand.Rand, at uint8) client {
	c := client{place: at, kind: p.places[at].kind, listed: rnd.IntN(500) == 0}
	c.addr = address(rnd, int(at), c.kind == mobile && rnd.IntN(10) < 4 || c.kind == home && rnd.IntN(10) < 3)
	roll := rnd.IntN(100)
	switch {
	case c.kind == server && roll < 25:
		c.kind = robot
	case c.kind == server:
		c.count = 1
	case c.kind == mobile:
		c.count = int32(1 + rnd.IntN(4))
	case roll < 2:
		c.kind, c.count = office, int32(20+rnd.IntN(180))
	default:
		c.count = int32(rnd.IntN(3)) // some never log in
	}
	return c
}

// address returns one of the place's: 240.place.x.y or 2001:db8:place::/48 with a random end. No user is on such an address.
func address(rnd *rand.Rand, at int, six bool) netip.Addr {
	if !six {
		n := rnd.Uint32()
		return netip.AddrFrom4([4]byte{240 + byte(n>>16&1), byte(at), byte(n >> 8), byte(n)})
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(at)}
	put64(b[6:], rnd.Uint64())
	put64(b[8:], rnd.Uint64())
	return netip.AddrFrom16(b)
}

func (p *people) user(rnd *rand.Rand, i int, kind uint8, tenant int) user {
	id := mix(uint64(i))
	u := user{agent: uint8(p.kinds[kind].draw(rnd)), models: tenant%4 == 0}
	u.principal = event.Principal{ID: "usr_" + hexOf(id)[:12], Type: "jwt", Tenant: fmt.Sprintf("t-%03d", tenant+1), Roles: roles()[pick(rnd, 88, 7, 4, 1)]}
	if kind == server {
		var b [16]byte
		put64(b[:8], id)
		put64(b[8:], mix(id))
		u.principal.ID, u.principal.Type, u.principal.Roles = "key:"+hex.EncodeToString(b[:]), "api_key", nil // as the gateway hashes keys
	}
	return u
}

func roles() [4][]string {
	return [4][]string{{"member"}, {"member", "editor"}, {"viewer"}, {"admin"}}
}

// pick returns an index with the weights, which are whole numbers.
func pick(rnd *rand.Rand, weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := rnd.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

// agent is a program and what its connections look like.
type agent struct {
	name        string
	kind        uint8
	share       float64
	fingerprint string // JA4
	tls         string
	protocol    string
	browser     bool
}

// agents lists some 200 programs. Shares follow what browsers have: most run one of the newest versions.
func agents() []agent {
	var out []agent
	add := func(kind uint8, share float64, family int, name string) {
		a := agent{name: name, kind: kind, share: share, tls: "1.3", protocol: "HTTP/2.0", browser: kind == home || kind == mobile}
		a.fingerprint = fmt.Sprintf("t13d15%02dh2_%s_%s", 10+family%8, hexOf(mix(uint64(family)))[:12], hexOf(mix(uint64(family + 100)))[:12])
		if family >= 8 {
			a.tls, a.protocol = "1.2", "HTTP/1.1"
			a.fingerprint = "t12d" + a.fingerprint[4:8] + "h1" + a.fingerprint[10:]
		}
		out = append(out, a)
	}
	for v := range 25 {
		newest := 1 / float64(1+v)
		for i, system := range []string{"Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"} {
			add(home, newest*[]float64{30, 12, 3}[i], 0, fmt.Sprintf("Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", system, 146-v))
		}
		add(home, newest*6, 1, fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:%d.0) Gecko/20100101 Firefox/%d.0", 148-v, 148-v))
		add(home, newest*5, 0, fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36 Edg/%d.0.0.0", 146-v, 146-v))
	}
	for v := range 20 {
		newest := 1 / float64(1+v)
		add(mobile, newest*14, 2, fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS %d_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.%d Mobile/15E148 Safari/604.1", 19-v/5, v%5, 19-v/5, v%5))
		add(mobile, newest*9, 3, fmt.Sprintf("ExampleShop/7.%d.0 (iOS; build 70%02d)", 20-v, 20-v))
		add(mobile, newest*12, 4, fmt.Sprintf("ExampleShop/7.%d.0 okhttp/4.12.0 (Android; build 70%02d)", 20-v, 20-v))
	}
	for v := range 5 {
		add(server, 6, 8, fmt.Sprintf("python-requests/2.%d.0", 32-v))
		add(server, 5, 5, fmt.Sprintf("axios/1.%d.2", 9-v))
		add(server, 4, 6, fmt.Sprintf("Apache-HttpClient/5.%d.1 (Java/21.0.%d)", 1+v, v))
		add(server, 4, 7, fmt.Sprintf("partner-sync/3.%d (+https://partners.example.com)", v))
	}
	add(server, 8, 9, "Go-http-client/1.1")
	for i, name := range []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"GPTBot/1.2 (+https://openai.com/gptbot)", "UptimeCheck/2.4", "Prometheus/3.1.0", "kube-probe/1.33"} {
		add(robot, 3, 5+i%5, name)
	}
	return out
}

// agentsOf draws among the programs of one kind of client. People in an office have the browsers that they have at home.
func (p *people) agentsOf(kind uint8) alias {
	if kind == office {
		kind = home
	}
	weights := make([]float64, len(p.agents))
	for i, a := range p.agents {
		if a.kind == kind {
			weights[i] = a.share
		}
	}
	return newAlias(weights)
}

// session is a client's visit.
type session struct {
	left   int // requests, until somebody else comes
	client *client
	user   *user // nil for nobody
	agent  *agent
}

// sessionLength is how many requests a visit has on average.
const sessionLength = 25

// visit returns one of the visits that are going on.
func (t *Traffic) visit() *session {
	s := &t.sessions[t.rnd.IntN(len(t.sessions))]
	if s.left == 0 {
		*s = t.arrive()
	}
	s.left--
	return s
}

func (t *Traffic) arrive() session {
	p := &t.people
	c := &p.clients[p.popular.draw(t.rnd)]
	s := session{client: c, left: 1 + int(t.rnd.ExpFloat64()*(sessionLength-0.5))}
	if c.count > 0 {
		x := t.rnd.Float64()
		u := &p.users[c.first+int32(x*x*float64(c.count))]
		s.agent = &p.agents[u.agent]
		if c.kind == server || t.rnd.IntN(100) < 70 {
			s.user = u
		}
		return s
	}
	s.agent = &p.agents[p.kinds[c.kind].draw(t.rnd)]
	return s
}

// from says who sent the event.
func (t *Traffic) from(e *event.Event, c *client, a *agent) {
	pl := &t.people.places[c.place]
	e.Source.Address, e.Source.Country, e.Source.ASN = c.addr, pl.country, pl.asn
	e.Request.UserAgent, e.Request.Protocol = a.name, a.protocol
	e.TLS = event.TLS{Version: a.tls, SNI: e.Request.Host, Fingerprint: a.fingerprint}
}

func balancers() [2]netip.Addr {
	return [2]netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, 11}), netip.AddrFrom4([4]byte{10, 0, 0, 12})}
}
