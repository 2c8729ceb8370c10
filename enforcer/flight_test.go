package enforcer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// shaky is a topic whose writes fail at times, with or without having arrived, and which may be read while a write is under way.
type shaky struct {
	*log
	rnd  *rand.Rand
	read func()
}

func (s *shaky) Produce(ctx context.Context, recs ...bus.Record) error {
	fails, arrives := s.rnd.IntN(5) == 0, s.rnd.IntN(2) == 0
	if !fails || arrives {
		_ = s.log.Produce(ctx, recs...)
	}
	for range s.rnd.IntN(3) {
		s.read()
	}
	if fails {
		return errors.New("no answer")
	}
	return nil
}

// Two writers, and a tail that lags behind: what the ledger holds of an entity never goes back in the topic's order, whatever is written,
// lost and read when, and in the end it is what the topic has.
func TestLedgerFollowsTheTopicsOrder(t *testing.T) {
	for seed := range uint64(2000) {
		e, l, _ := newTest(t, nil)
		rnd := rand.New(rand.NewPCG(seed, 0))
		next, at := 0, map[string]int{} // next record to read; place of each version on the topic
		version := func(d *decision.Decision) string { return d.ID + d.Note }
		newest := func() int {
			d := e.ledger.at([]byte(blocked))
			if d == nil {
				return -1
			}
			for i, r := range l.recs {
				if x, err := decision.Decode(r.Value); err == nil {
					at[version(x)] = i
				}
			}
			return at[version(d)]
		}
		read := func() {
			if next < len(l.recs) {
				next++
				e.learn(l.recs[next-1 : next])
			}
		}
		e.bus = &shaky{l, rnd, read}
		write := func(n int, mine bool) {
			d := &decision.Decision{Version: 1, ID: fmt.Sprint(n), Action: decision.Block, Scope: decision.Address, Value: "203.0.113.1",
				Mode: decision.Enforce, State: decision.Active, Creator: "person:ann", Created: noon, Expires: noon.Add(time.Hour)}
			if rnd.IntN(3) == 0 {
				d.State = decision.Revoked
			}
			if mine {
				_ = e.write(t.Context(), d)
				return
			}
			rec, err := record(d)
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Produce(t.Context(), rec)
		}
		last := -1
		for n := range 12 {
			switch rnd.IntN(4) {
			case 0:
				write(n, true)
			case 1:
				write(n, false)
			default:
				read()
			}
			if p := newest(); p < last {
				t.Fatalf("seed %d, step %d: the ledger went back from record %d to %d", seed, n, last, p)
			} else {
				last = p
			}
		}
		for next < len(l.recs) {
			read()
		}
		if p := newest(); p != len(l.recs)-1 || len(e.flights) != 0 {
			t.Fatalf("seed %d: the ledger ends with record %d of %d, %d writes are waited for", seed, p, len(l.recs), len(e.flights))
		}
	}
}

// An own write that compaction took away before it was read is not waited for without end.
func TestOwnWriteThatNeverComesBack(t *testing.T) {
	e, l, now := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil))
	mine := l.decisions(t)[blocked]
	theirs := *mine
	theirs.State = decision.Revoked
	rec, err := record(&theirs)
	if err != nil {
		t.Fatal(err)
	}
	e.learn([]bus.Record{rec})
	if e.ledger.at([]byte(blocked)).State != decision.Active {
		t.Error("a record from before the own write counted")
	}
	*now = noon.Add(flightLife + time.Second)
	if err := e.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.ledger.at([]byte(blocked)).State != decision.Revoked {
		t.Error("the record that took the own write's place was never taken")
	}
}
