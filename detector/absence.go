package detector

import (
	"fmt"
	"slices"

	"github.com/warder/warder/internal/alert"
)

// maxAhead is how many events beyond a gap are set aside until time itself has shown that there is one. More of them show it,
// too: the same trust that a tap's clock gives.
const maxAhead = confirmations

// presence is the state of an absence in one group: when it matched last.
type presence struct {
	unwindowed
	timer
	span int64
	need int64 // matches that make the group worth missing
	n    int64 // matches without a gap; 0: nothing is waited for
	last ref
	// ahead has events more than the span after last, in time order: they came before time itself did, because their time is
	// wrong or the clock cautious.
	ahead []ref
}

var _ timed = (*presence)(nil)

func (p *presence) newest() int64 { return p.last.time }
func (p *presence) alarm() *timer { return &p.timer }
func (p *presence) cost() int     { return costSpan + 80 + 24*len(p.ahead) }

func (p *presence) next() int64 {
	if p.n == 0 {
		return 0
	}
	return p.last.time + p.span
}

// absence takes one match of a group.
func (s *Shard) absence(t *table, tap *tapClock, group []string, o *Origin, dst []*alert.Alert) []*alert.Alert {
	at := o.Time.UnixNano()
	if at+t.size < s.passedBy(tap) {
		s.stats.Late++
		return dst // its span has passed
	}
	s.key = groupKey(s.key[:0], group)
	n := t.touch(s.key, tap)
	p, ok := n.cur.(*presence)
	if !ok {
		p = &presence{span: t.size, need: int64(t.rule.Absence.After)}
		n.cur = p
	}
	p.take(refOf(o.ID, at), s.maxJump)
	if len(p.ahead) > maxAhead {
		dst = p.gap(t, n, p.ahead[len(p.ahead)-1].time, dst)
	}
	s.tracedPresence(t, p, group, o)
	t.arm(n)
	t.settle(n)
	s.shrink(n)
	return dst
}

// take counts a match.
func (p *presence) take(r ref, slack int64) {
	switch {
	case p.n == 0:
		p.n, p.last = 1, r
	case r.time-p.last.time > p.span:
		i := len(p.ahead)
		for i > 0 && p.ahead[i-1].time > r.time {
			i--
		}
		p.ahead = slices.Insert(p.ahead, i, r)
		return
	case p.last.time-r.time > p.span:
		return
	default:
		p.n++
		if r.time >= p.last.time {
			p.last = r
		}
	}
	p.join()
	// The group goes on in its own time: what was far ahead of it had a wrong one.
	p.ahead = slices.DeleteFunc(p.ahead, func(r ref) bool { return r.time > p.last.time+p.span+slack })
}

// join counts what was ahead and no longer is.
func (p *presence) join() {
	for len(p.ahead) > 0 && p.ahead[0].time-p.last.time <= p.span {
		p.n, p.last = p.n+1, p.ahead[0]
		p.ahead = slices.Delete(p.ahead, 0, 1)
	}
}

// gap says that the span after the last match has passed, and goes on with what came after it.
func (p *presence) gap(t *table, n *entity, until int64, dst []*alert.Alert) []*alert.Alert {
	due := p.next()
	if t.shard.cfg.Trace != nil {
		t.shard.noted(t, splitKey(n.seat.key, len(t.rule.GroupBy)), &Origin{Time: timeOf(due)}, true, []Note{{"due", fmt.Sprintf("no match for the span, after %d of %d", p.n, p.need)}})
	}
	if p.n >= p.need {
		f := finding{start: p.last.time, end: due, count: p.n, refs: []ref{p.last}, named: map[string]float64{"matches": float64(p.n)}}
		dst = t.shard.say(t, n, splitKey(n.seat.key, len(t.rule.GroupBy)), &Origin{Time: timeOf(due)}, f, dst)
	}
	p.n = 0
	if len(p.ahead) > 0 && p.ahead[0].time <= until+t.shard.maxJump {
		p.n, p.last = 1, p.ahead[0]
		p.ahead = slices.Delete(p.ahead, 0, 1)
		p.join()
	} else {
		p.ahead = nil
	}
	return dst
}

func (p *presence) wake(t *table, n *entity, until int64, dst []*alert.Alert) []*alert.Alert {
	for due := p.next(); due != 0 && due < until; due = p.next() {
		dst = p.gap(t, n, until, dst)
	}
	return dst
}
