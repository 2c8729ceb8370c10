package collector

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
)

// Other is the route and host of what is beyond the bounds of the route table.
const Other = "{other}"

const (
	maxHosts    = 1000 // hosts with a table of their own; the rest share one
	maxRoutes   = 100_000
	maxSegments = 12 // of a heuristic route; what follows becomes {rest}
	maxPatterns = 10000
)

// RoutesConfig says how a path becomes a route.
type RoutesConfig struct {
	// Patterns are templates as OpenAPI writes them: "/users/{id}/orders". A last segment "{rest...}" takes all that follows. A
	// literal segment wins over a parameter. Paths that no pattern matches get a heuristic route.
	Patterns []string `yaml:"patterns"`
	// MaxPerHost bounds the heuristic routes of one host, twice: once for paths that were found and once for paths that were only
	// ever answered with 404, so that a scan cannot use the first up. Beyond it the route is "{other}". 0 is no bound.
	MaxPerHost int `yaml:"max_per_host"`
}

// DefaultRoutesConfig returns heuristics only, 2,000 routes a host.
func DefaultRoutesConfig() RoutesConfig { return RoutesConfig{MaxPerHost: 2000} }

// Validate checks the patterns; its errors are joined [config.FieldError] values.
func (c RoutesConfig) Validate() error {
	var errs []error
	if c.MaxPerHost < 0 || c.MaxPerHost > 1_000_000 {
		errs = append(errs, config.Errorf("max_per_host", "%d is out of range: want 0 to 1000000", c.MaxPerHost))
	}
	if len(c.Patterns) > maxPatterns {
		errs = append(errs, config.Errorf("patterns", "%d patterns, limit is %d", len(c.Patterns), maxPatterns))
	}
	var t routeTrie
	for i, p := range c.Patterns {
		if err := t.add(p); err != nil {
			errs = append(errs, config.In(indexKey("patterns", i), err))
		}
	}
	return errors.Join(errs...)
}

// routes maps paths to route templates. It is safe for concurrent use.
type routes struct {
	trie     routeTrie
	max      int
	overflow prometheus.Counter

	mu    sync.RWMutex
	hosts map[string]*hostRoutes
	total int // routes of all hosts
}

// hostRoutes holds the routes of one host, found and not found apart; the maps also make equal routes share memory.
type hostRoutes struct{ found, missed map[string]string }

func newRoutes(cfg RoutesConfig, reg prometheus.Registerer) (*routes, error) {
	r := &routes{max: cfg.MaxPerHost, hosts: map[string]*hostRoutes{}, overflow: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "warder_collector_routes_overflow_total", Help: `Events whose route became "{other}", because their host has too many.`})}
	for _, p := range cfg.Patterns {
		if err := r.trie.add(p); err != nil {
			return nil, err
		}
	}
	return r, register(reg, r.overflow)
}

// route returns the template of the path; "" for what is not a path, such as a garbled request line.
func (r *routes) route(host, p string, code int) string {
	if !strings.HasPrefix(p, "/") {
		return ""
	}
	t, listed := r.template(p)
	if listed || r.max == 0 {
		return t
	}
	return r.bounded(host, t, code == 404)
}

// template returns the path's template; listed tells that a pattern of the configuration gave it.
func (r *routes) template(p string) (t string, listed bool) {
	p = cleanPath(p)
	if t := r.trie.match(p); t != "" {
		return t, true
	}
	return heuristic(p), false
}

// peek is route for a request without an answer yet. A route that is not known yet and has no room is "{other}" here too.
func (r *routes) peek(host, p string) string {
	if !strings.HasPrefix(p, "/") {
		return ""
	}
	t, listed := r.template(p)
	if listed || r.max == 0 {
		return t
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if known, ok := r.lookup(host, t); ok {
		return known
	}
	h := r.hosts[host]
	if h == nil && len(r.hosts) >= maxHosts {
		h = r.hosts[Other]
	}
	if h != nil && len(h.found) >= r.max || r.total >= maxRoutes {
		return Other
	}
	return t
}

func (r *routes) bounded(host, t string, missed bool) string {
	r.mu.RLock()
	known, ok := r.lookup(host, t)
	r.mu.RUnlock()
	if ok {
		return known
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.lookup(host, t); ok {
		return known
	}
	h := r.hosts[host]
	if h == nil && len(r.hosts) >= maxHosts {
		host = Other
		h = r.hosts[host]
	}
	if h == nil {
		h = &hostRoutes{map[string]string{}, map[string]string{}}
		r.hosts[strings.Clone(host)] = h
	}
	set := h.found
	if missed {
		set = h.missed
	}
	if _, ok := set[t]; !ok && (len(set) >= r.max || r.total >= maxRoutes) {
		r.overflow.Inc()
		return Other
	}
	t = strings.Clone(t)
	set[t] = t
	r.total++
	return t
}

func (r *routes) lookup(host, t string) (string, bool) {
	h := r.hosts[host]
	if h == nil {
		if h = r.hosts[Other]; h == nil {
			return "", false
		}
	}
	if known, ok := h.found[t]; ok {
		return known, true
	}
	known, ok := h.missed[t]
	return known, ok
}

// cleanPath decodes and cleans the path as most servers do before they look for a handler, so that "/%6cogin" and
// "/a/../login" are the route "/login". A trailing slash is dropped.
func cleanPath(p string) string {
	if strings.IndexByte(p, '%') >= 0 {
		if d, err := url.PathUnescape(p); err == nil {
			p = d
		}
	}
	if strings.Contains(p, "//") || strings.Contains(p, "/.") {
		p = path.Clean(p)
	}
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

// heuristic replaces the segments that look like identifiers by {id}.
func heuristic(p string) string {
	if !needsWork(p) {
		return p
	}
	var b strings.Builder
	rest := p
	for n := 0; rest != ""; n++ {
		var seg string
		seg, rest, _ = strings.Cut(rest[1:], "/")
		if rest != "" {
			rest = "/" + rest
		}
		b.WriteByte('/')
		switch {
		case n == maxSegments:
			b.WriteString("{rest}")
			return b.String()
		case isID(seg):
			b.WriteString("{id}")
		default:
			b.WriteString(seg)
		}
	}
	return b.String()
}

// needsWork tells whether heuristic would change anything, without allocating.
func needsWork(p string) bool {
	n, start := 0, 1
	for i := 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		if n++; n > maxSegments || isID(p[start:i]) {
			return true
		}
		start = i + 1
	}
	return false
}

// isID tells whether a path segment looks like an identifier: a number, a UUID, eight or more hexadecimal digits with a number
// among them, a long opaque token, or anything longer than 64 bytes.
func isID(s string) bool {
	if s == "" {
		return false
	}
	if len(s) > 64 {
		return true
	}
	var digits, hex, letters, dashes, other int
	upper := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
			upper = upper || c <= 'F'
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z':
			letters++
			upper = upper || c <= 'Z'
		case c == '-' || c == '_':
			dashes++
		default:
			other++
		}
	}
	switch {
	case digits == 0 || other > 0:
		return false
	case digits == len(s):
		return true
	case letters == 0 && dashes == 0:
		return len(s) >= 8
	case letters == 0:
		return len(s) == 36 && dashes == 4
	}
	// Words with a number are common ("top-10-tips"), tokens mix cases or have many digits.
	return len(s) >= 20 && (dashes == 0 || upper && digits >= 3)
}
