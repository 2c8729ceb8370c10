package detector

import (
	"slices"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Shard detects in one ordered stream of events. It is owned by one goroutine; nothing in it may be called concurrently.
type Shard struct {
	set      *rules.Set
	cfg      Config
	maxJump  int64
	tables   []*table // by rule id
	byRule   map[*rules.Rule]*table
	byID     map[string]*table
	groups   map[string]*grouping // by the rules' group_by
	farTimed bool                 // a rule whose groups are elsewhere needs to hear of time there
	far      bool                 // the match in hand was forwarded
	ended    tapClock             // holds what taps that have ended left to become due
	hashes   hashes
	clocks   clocks
	losses   losses
	observed event.ID // the event whose time was taken last
	sweep    int      // the table that is looked through for idle entities next

	entities int
	bytes    int64
	stats    Stats
	records  int64 // requests and forwarded matches so far

	// Memory that is used again from event to event.
	matches []rules.Match
	memory  rules.Memory // of the matches
	args    []Arg
	entry   []uint64
	key     []byte
	vals    []rules.Value
	group   []string
	texts   map[uint64]string // by their hashes, only with Config.Trace
}

// Stats counts what a shard did since it was made. Entities and Bytes are what it holds now.
type Stats struct {
	Events     uint64 `json:"events"` // requests processed
	Heartbeats uint64 `json:"heartbeats"`
	Matches    uint64 `json:"matches"`   // matches counted in a window or looked at as a single event
	Forwarded  uint64 `json:"forwarded"` // matches handed to Config.Forward
	Alerts     uint64 `json:"alerts"`
	Suppressed uint64 `json:"suppressed"` // matches counted while their group was silent after an alert
	Late       uint64 `json:"late"`       // matches older than their group's window; counted in a window of their own time
	Odd        uint64 `json:"odd"`        // records whose time was further than MaxJump from their tap's clock
	Untimed    uint64 `json:"untimed"`    // matches without a usable time; not counted
	Stale      uint64 `json:"stale"`      // match records of a rule, or a version of it, that is not loaded
	Failed     uint64 `json:"failed"`     // conditions that could not be evaluated; taken as false
	Evicted    uint64 `json:"evicted"`    // groups forgotten for lack of room
	Expired    uint64 `json:"expired"`    // groups forgotten because their window had passed
	Forgotten  uint64 `json:"forgotten"`  // within a group for lack of room: attempts at a sequence, remembered values
	Suspended  uint64 `json:"suspended"`  // rules that were suspended
	Skipped    uint64 `json:"skipped"`    // matches of suspended rules; not looked at
	Entities   int    `json:"entities"`
	Bytes      int64  `json:"bytes"`
}

// NewShard returns an empty shard for the rules. The configuration must be valid.
func NewShard(set *rules.Set, cfg Config) *Shard {
	s := &Shard{
		set: set, cfg: cfg, maxJump: int64(cfg.MaxJump),
		byRule: map[*rules.Rule]*table{}, byID: map[string]*table{}, groups: map[string]*grouping{},
		clocks: clocks{taps: map[uint64]*tapClock{}, max: cfg.MaxTaps},
	}
	for _, r := range set.Rules() {
		t := newTable(s, r)
		s.byRule[r] = t
		for _, t := range t.all() {
			s.tables = append(s.tables, t)
			s.byID[t.name] = t
		}
		s.farTimed = s.farTimed || t.forward && r.Timed()
	}
	return s
}

// Stats returns the counts so far.
func (s *Shard) Stats() Stats {
	st := s.stats
	st.Entities, st.Bytes = s.entities, s.bytes
	return st
}

// Process takes the next event and appends the alerts that it raises to dst. A heartbeat only advances time.
func (s *Shard) Process(e *event.Event, dst []*alert.Alert) []*alert.Alert {
	if e.Kind != event.Request {
		s.stats.Heartbeats++
		c := s.observe(e.ID, e.Time, e.Dropped)
		dst = s.pass(c, &Origin{ID: e.ID}, dst)
		for range s.tables {
			s.expireNext(4)
		}
		return dst
	}
	s.stats.Events++
	s.records++
	s.memory.Reset()
	s.matches = s.set.MatchIn(&s.memory, e, s.matches[:0])
	o := Origin{Time: e.Time, ID: e.ID, Dropped: e.Dropped}
	if failures := s.memory.Failures(); len(failures) > 0 {
		o.Sample = func() *alert.Sample { return NewSample(e) }
		dst = s.Failed(failures, &o, dst)
	}
	if len(s.matches) == 0 {
		return s.Advance(&o, dst)
	}
	o.Sample = func() *alert.Sample { return NewSample(e) }
	for i := range s.matches {
		dst = s.Apply(&s.matches[i], &o, dst)
	}
	return dst
}

// Origin says which event a match is of.
type Origin struct {
	Time    time.Time
	ID      event.ID
	Dropped uint64
	// Sample makes the request's picture for an alert. It is only called when there is one to make.
	Sample func() *alert.Sample
}

// Apply is Process for an event that rules were already matched with: it takes one of its matches. Matches of one event come in
// the order of rules.Set.Match.
func (s *Shard) Apply(m *rules.Match, o *Origin, dst []*alert.Alert) []*alert.Alert {
	t := s.byRule[m.Rule]
	if t == nil || len(m.Args) < t.extra {
		s.stats.Stale++
		return dst
	}
	s.far = false
	if t.health.off {
		return s.skip(o, dst)
	}
	s.group = boundGroup(s.group[:0], m.Group)
	s.args = t.allArgs(s.args[:0], m.Args, &s.hashes)
	d := t.detailOf(m)
	if t.forward {
		if tap, first := s.observeMatch(o); first {
			dst = s.pass(tap, o, dst)
		}
		if !t.complete(s.args) {
			return dst
		}
		s.stats.Forwarded++
		r := newRecord(t.rule, s.group, s.args, o)
		r.Value, r.Peers, r.ByPeers = d.value, d.peers, t.rule.Form == rules.FormRare
		s.cfg.Forward(r)
		return dst
	}
	return s.apply(t, s.group, s.args, d, o, dst)
}

// ProcessMatch is Process for a match that another shard forwarded.
func (s *Shard) ProcessMatch(m *MatchRecord, dst []*alert.Alert) []*alert.Alert {
	s.far = true
	if m.Clock {
		return s.processClock(m, dst)
	}
	t := s.byID[m.Rule]
	if t == nil || t.rule.ID != t.name || t.rule.Version != m.RuleVersion || len(m.Args) != len(t.kinds)+t.extra ||
		len(m.Group) != len(t.rule.GroupBy) || len(m.Peers) != t.peers() {
		s.stats.Stale++
		return dst
	}
	s.records++
	o := Origin{Time: m.Time, ID: m.Event, Dropped: m.Dropped, Sample: func() *alert.Sample { return m.Sample }}
	if t.health.off {
		return s.skip(&o, dst)
	}
	return s.apply(t, m.Group, m.Args, detail{m.Value, m.Peers}, &o, dst)
}

func (s *Shard) apply(t *table, group []string, args []Arg, d detail, o *Origin, dst []*alert.Alert) []*alert.Alert {
	tap, first := s.observeMatch(o)
	if first && !s.far {
		dst = s.pass(tap, o, dst)
	}
	s.expireNext(2)
	if tap == nil {
		s.stats.Untimed++
		return dst
	}
	s.stats.Matches++
	if t.seen != nil && !s.recall(t.seen, tap, group, args, o) {
		return dst
	}
	if t.rule.Form != rules.FormEvents {
		return s.form(t, tap, group, args, d, o, dst)
	}
	if t.rule.Window.Type == rules.None {
		return s.single(t, tap, group, o, dst)
	}
	entry, counts := t.entry(s.entry[:0], o.Time.UnixNano(), o.ID, args)
	s.entry = entry
	if !counts {
		return dst
	}
	s.key = groupKey(s.key[:0], group)
	n := t.touch(s.key, tap)
	if t.window(n, o.Time.UnixNano()) {
		s.stats.Late++
	}
	t.count(n, entry, args)
	dst = s.judge(t, n, group, o, dst)
	t.settle(n)
	s.shrink(n)
	return dst
}

// judge asks the rule whether the window's values are worth an alert.
func (s *Shard) judge(t *table, n *entity, group []string, o *Origin, dst []*alert.Alert) []*alert.Alert {
	end := n.cur.newest()
	if s.cfg.Trace != nil {
		s.trace(t, n, group, o)
	}
	if n.silent(end, t.suppress) {
		s.stats.Suppressed++
		return dst
	}
	s.vals = n.cur.values(s.vals[:0])
	ok, err := t.rule.Holds(s.vals)
	if err != nil {
		s.stats.Failed++
		return s.failed(t, rules.Overrun(err), o, dst)
	}
	if !ok {
		return dst
	}
	n.alertAt(end)
	s.stats.Alerts++
	start, count, refs := n.cur.evidence()
	return append(dst, s.alert(t, group, o, finding{start: start, end: end, count: count, refs: refs, values: s.vals}))
}

// single is a rule that looks at each event by itself. Groups are remembered only to suppress.
func (s *Shard) single(t *table, tap *tapClock, group []string, o *Origin, dst []*alert.Alert) []*alert.Alert {
	at := o.Time.UnixNano()
	return s.once(t, tap, group, o, finding{start: at, end: at, count: 1, refs: []ref{refOf(o.ID, at)}}, dst)
}

// once raises an alert in a table that remembers groups only to suppress.
func (s *Shard) once(t *table, tap *tapClock, group []string, o *Origin, f finding, dst []*alert.Alert) []*alert.Alert {
	at := f.end
	s.key = groupKey(s.key[:0], group)
	if n := t.grouping.find(s.key, t.place); n != nil && n.silent(at, t.suppress) {
		s.stats.Suppressed++
		return dst
	}
	n := t.touch(s.key, tap)
	n.alertAt(at)
	t.quiet.moveFront(n)
	t.settle(n)
	s.shrink(n)
	s.stats.Alerts++
	return append(dst, s.alert(t, group, o, f))
}

// observeMatch is observe for one match of an event: only the event's first one advances the clock.
func (s *Shard) observeMatch(o *Origin) (tap *tapClock, first bool) {
	if o.ID != s.observed || !usable(o.Time) {
		s.observed = o.ID
		return s.observe(o.ID, o.Time, o.Dropped), true
	}
	return s.clocks.tap(o.ID), false
}

// observe advances the clock of the record's tap. It returns nil when the record has no usable time.
func (s *Shard) observe(id event.ID, at time.Time, dropped uint64) *tapClock {
	c := s.clocks.tap(id)
	first := c.now == 0
	ok := usable(at)
	if ok && c.observe(at.UnixNano(), s.maxJump) {
		s.stats.Odd++
	}
	if dropped != c.dropped {
		s.losses.report(c, dropped, first)
	}
	if !ok {
		return nil
	}
	return c
}

// usable tells whether a time is in 1970 to 2200: such times can be added to windows as nanoseconds without overflow.
func usable(t time.Time) bool { return t.Unix() > 0 && t.Unix() < 7258118400 }

// expireNext looks for idle groups of one rule, of each in turn.
func (s *Shard) expireNext(limit int) {
	if len(s.tables) == 0 {
		return
	}
	s.sweep++
	if s.sweep >= len(s.tables) {
		s.sweep = 0
	}
	s.tables[s.sweep].expire(limit)
}

// shrink makes room when a bound was passed. It never gives up the entity in hand.
func (s *Shard) shrink(hand *entity) {
	for s.entities > s.cfg.MaxEntities || s.bytes > int64(s.cfg.MaxBytes) {
		t := slices.MaxFunc(s.tables, func(a, b *table) int { return int(a.bytes - b.bytes) })
		for range max(1, t.len()/64) {
			if !t.evict(hand) {
				return
			}
		}
	}
}
