// Package audit writes the decision ledger: from the topics of decisions and acknowledgements it makes the hash-chained, signed entries of
// the topic warder.audit. docs/audit.md is its manual; the entries themselves are internal/decision/ledger.
package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision/ledger"
)

// The consumer groups. Each topic has one partition, so each chain has one owner among all enforcers.
const (
	GroupDecisions = "warder.audit.decisions"
	GroupAcks      = "warder.audit.acks"
)

const (
	maxBatch   = 500              // entries written at once; a record is at most ledger.MaxLine
	maxBytes   = 512 << 10        // of them
	lagEvery   = 10 * time.Second // how often the lag is asked for
	stuckAfter = time.Minute      // without progress behind the topics, Ready says so
	lagTimeout = 5 * time.Second
	warnEvery  = time.Minute
)

// Bus is what the stage needs of the message bus; *bus.Client is it.
type Bus interface {
	Produce(ctx context.Context, recs ...bus.Record) error
	Consume(ctx context.Context, group, topic string, open bus.Open) error
	Tail(ctx context.Context, topic string, fn func([]bus.Record) error, caughtUp func()) error
	ReadPartition(ctx context.Context, topic string, partition int, fn func(bus.Record) error) error
	Lag(ctx context.Context, group, topic string) (int64, error)
}

// Stage writes the ledger. Several instances may run: for each chain one of them owns the source. Its methods are safe for concurrent use.
//
// The audit topic alone says what is written. The stage follows it, from its start, and places entries as every reader does; it writes what
// comes next and goes on when it has read that back. So a crash neither repeats nor loses an entry, whatever was committed, and of two
// owners at once the slower one's entries do not count: it sees that, and writes what is still missing.
type Stage struct {
	bus     Bus
	log     *slog.Logger
	m       *metrics
	key     ed25519.PrivateKey
	finger  string
	now     func() time.Time
	pause   time.Duration // between two batches of a chain
	ready   chan struct{} // closed when the ledger was read to its end
	gone    chan struct{} // closed when the ledger is read no more
	history *history

	mu     sync.Mutex
	books  map[string]*book
	waits  map[string]chan struct{} // by hash: closed when the entry was read back
	lag    int64
	behind time.Time // since when there is lag without progress; zero without lag
	warned time.Time // when something wrong with the ledger was logged last
}

// New returns the stage. It makes the signing key when there is none.
func New(cfg Config, b Bus, log *slog.Logger, reg prometheus.Registerer) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	key, err := ledger.OpenKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	s := &Stage{bus: b, log: log, key: key, finger: ledger.Fingerprint(key.Public().(ed25519.PublicKey)), now: time.Now, pause: 50 * time.Millisecond,
		ready: make(chan struct{}), gone: make(chan struct{}), history: &history{}, waits: map[string]chan struct{}{},
		books: map[string]*book{ledger.Decisions: newBook(), ledger.Acks: newBook()}}
	if s.m, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("audit: register metrics: %w", err)
	}
	return s, nil
}

// Run reads the ledger, then writes it until ctx ends. It returns nil then. It may be called once.
func (s *Stage) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(s.gone)
		return s.bus.Tail(gctx, bus.TopicAudit, s.follow, func() { close(s.ready) })
	})
	g.Go(func() error { return s.bus.Consume(gctx, GroupDecisions, bus.TopicDecisions, s.open(ledger.Decisions)) })
	g.Go(func() error { return s.bus.Consume(gctx, GroupAcks, bus.TopicAcks, s.open(ledger.Acks)) })
	g.Go(func() error { s.watch(gctx); return nil })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// open waits for the ledger's end and starts behind the last record that it tells of.
func (s *Stage) open(chain string) bus.Open {
	return func(ctx context.Context, _ int) (bus.Partition, int64, error) {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		next := s.books[chain].next
		return &owner{stage: s, chain: chain, start: next}, next, nil
	}
}

// follow takes records of the audit topic.
func (s *Stage) follow(recs []bus.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		l, err := ledger.Parse(r.Value)
		if err != nil {
			s.m.orphans.Inc()
			s.warn("the ledger holds something that is no entry; it is ignored, and `warder audit verify` reports it", "offset", r.Offset, "error", err)
			continue
		}
		s.take(l, r.Offset)
	}
	return nil
}

// take places an entry and lets it count, or not.
func (s *Stage) take(l *ledger.Line, offset int64) {
	b := s.books[l.Entry.Chain]
	place := b.chain.Take(l)
	switch {
	case place.Counts():
		b.take(l.Entry)
		s.history.add(l.Entry)
		s.m.entries.WithLabelValues(l.Entry.Chain).Inc()
	default:
		b.lost = b.lost || l.Entry.Kind == ledger.Start && l.Entry.Key == s.finger
		s.m.orphans.Inc()
	}
	if !l.Intact() || place != ledger.Linked && place.Counts() || place == ledger.Astray {
		s.warn("the ledger was tampered with; run `warder audit verify`", "chain", l.Entry.Chain, "seq", l.Entry.Seq, "offset", offset)
	}
	if w := s.waits[l.Hash]; w != nil {
		close(w)
		delete(s.waits, l.Hash)
	}
}

// warn logs what is wrong with the ledger, once a minute at most: verify tells all of it.
func (s *Stage) warn(message string, args ...any) {
	if now := s.now(); now.Sub(s.warned) >= warnEvery {
		s.warned = now
		s.log.Error(message, args...)
	}
}

// owner writes a chain while its process is assigned the source. The bus calls it from one goroutine.
type owner struct {
	stage *Stage
	chain string
	start int64
	begun bool
}

// Close implements bus.Partition; nothing is held back between calls.
func (o *owner) Close(context.Context) error { return nil }

// Handle writes what the ledger does not tell of yet. It returns nil when it has read all of it back.
func (o *owner) Handle(ctx context.Context, recs []bus.Record) error {
	if err := o.begin(ctx, recs); err != nil {
		return err
	}
	for {
		lines, err := o.stage.compose(o.chain, recs)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			o.stage.rest(ctx)
			return nil
		}
		if err = o.stage.write(ctx, lines); err != nil {
			return err
		}
	}
}

// rest lets what comes next gather, so that a burst of decisions is one write: nobody waits for the ledger, but blocks wait for the
// processor.
func (s *Stage) rest(ctx context.Context) {
	t := time.NewTimer(s.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// begin looks whether the source goes on where the ledger ends. The bus starts over, at the earliest record, when the topic ends before
// that: it was made anew, or it lost its end.
func (o *owner) begin(ctx context.Context, recs []bus.Record) error {
	if o.begun || len(recs) == 0 {
		return nil
	}
	if recs[0].Offset < o.start {
		s := o.stage
		s.log.Warn("the source of the ledger begins anew; so does the ledger's count of its records", "topic", recs[0].Topic,
			"expected", o.start, "got", recs[0].Offset)
		for s.told(o.chain, recs[0].Offset) {
			line, err := s.seal(&ledger.Entry{Chain: o.chain, Kind: ledger.Reset, Time: s.now().UTC()})
			if err != nil {
				return err
			}
			if err = s.write(ctx, []*ledger.Line{line}); err != nil {
				return err
			}
		}
	}
	o.begun = true
	return nil
}

// told tells whether the ledger tells of the record at the offset, or of later ones.
func (s *Stage) told(chain string, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books[chain].next > offset
}

// seal links a single entry to the chain's head.
func (s *Stage) seal(e *ledger.Entry) (*ledger.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, prev := s.books[e.Chain].chain.Head()
	return s.link(e, seq, prev)
}

// link completes and signs the entry that follows.
func (s *Stage) link(e *ledger.Entry, seq uint64, prev string) (*ledger.Line, error) {
	e.Version, e.Seq, e.Prev, e.Key = ledger.Version, seq+1, prev, s.finger
	return ledger.Seal(e, s.key)
}

// compose makes the next entries for those of the records that the chain does not tell of, a batch at most.
func (s *Stage) compose(chain string, recs []bus.Record) ([]*ledger.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.books[chain]
	seq, prev := b.chain.Head()
	draft := b.draft()
	var lines []*ledger.Line
	size := 0
	add := func(e *ledger.Entry) error {
		l, err := s.link(e, seq, prev)
		if err != nil {
			return err
		}
		seq, prev = e.Seq, l.Hash
		lines, size = append(lines, l), size+len(l.Text())
		return nil
	}
	for _, r := range recs {
		if len(lines) >= maxBatch || size >= maxBytes {
			break
		}
		if r.Offset < b.next {
			continue
		}
		e := draft.entry(chain, r)
		if e == nil {
			continue
		}
		if len(lines) == 0 && !b.joined[s.finger] {
			if err := add(s.join(chain)); err != nil {
				return nil, err
			}
		}
		if err := add(e); err != nil {
			return nil, err
		}
		draft.take(e)
	}
	if len(lines) == 0 && b.lost && !b.joined[s.finger] { // whoever verifies must know whose the lost entries are
		if err := add(s.join(chain)); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// join is the entry with which this process's key joins the chain.
func (s *Stage) join(chain string) *ledger.Entry {
	return &ledger.Entry{Chain: chain, Kind: ledger.Start, Time: s.now().UTC(), Public: hex.EncodeToString(s.key.Public().(ed25519.PublicKey))}
}

// write appends the lines and returns when it has read them back, whether they count or not.
func (s *Stage) write(ctx context.Context, lines []*ledger.Line) error {
	last := lines[len(lines)-1].Hash
	back := s.await(last)
	defer s.forget(last)
	recs := make([]bus.Record, len(lines))
	for i, l := range lines {
		recs[i] = bus.Record{Topic: bus.TopicAudit, Key: []byte(l.Entry.Chain), Value: l.Text(), Time: s.now()}
	}
	if err := s.bus.Produce(ctx, recs...); err != nil {
		return err
	}
	select {
	case <-back:
		return nil
	case <-s.gone: // the process ends; whoever comes next reads it
	case <-ctx.Done():
	}
	return errors.New("the ledger's end could not be read back")
}

func (s *Stage) await(hash string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan struct{})
	s.waits[hash] = w
	return w
}

func (s *Stage) forget(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waits, hash)
}

// Read calls fn for the lines of the ledger, without line feeds, from the offset after of the audit topic to its present end. It waits for
// an absent broker until ctx ends. An error of fn ends it and is returned as it is.
func (s *Stage) Read(ctx context.Context, after uint64, fn func(line []byte) error) error {
	return s.bus.ReadPartition(ctx, bus.TopicAudit, 0, func(r bus.Record) error {
		if uint64(r.Offset) < after {
			return nil
		}
		return fn(r.Value)
	})
}
