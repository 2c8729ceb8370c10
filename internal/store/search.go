package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// How many events are asked for at once: of a search with a limit, and of one without, which goes through everything and is better off with
// more.
const (
	page      = history.MaxRows
	largePage = 50_000
	heldPage  = 1_000 // as many may be held by ClickHouse until the last is found
)

// errEnough ends a search that has found what it wants.
var errEnough = errors.New("enough")

// searching is one search under way.
type searching struct {
	*Searcher
	*question
	budget  *budget
	fn      func(*event.Event) error
	oldest  bool
	left    int // how many events are wanted still; negative: all
	last    event.ID
	summary history.Summary
}

// Search implements [history.Reader].
//
// It goes through the table in slices of time from the newest event on (or the oldest), so that it has its first events after a fraction of
// the work and never sorts more than a slice. Where a part of the filter has to be evaluated in Go, a slice is read twice: first the columns
// that the filter reads, then the events for which it holds. Events come strictly in the order of their times; of equal times, of their ids.
// It holds one slice's worth of ids, and one block of events, in memory.
//
// store.limits bound each statement; together they may read as many rows as one may, and none may go on for longer than the limit of time
// without finding anything. A slow fn holds up ClickHouse, which may take that for a slow statement.
func (r *Searcher) Search(ctx context.Context, s history.Search, fn func(*event.Event) error) (history.Summary, error) {
	began, budget := time.Now(), newBudget()
	now, err := r.now(ctx, budget)
	if err != nil {
		return history.Summary{}, err
	}
	q, err := r.searched(ctx, s, budget)
	if err != nil {
		return history.Summary{}, err
	}
	run := &searching{Searcher: r, question: q, budget: budget, fn: fn, oldest: s.OldestFirst, left: -1}
	if s.Limit > 0 {
		run.left = s.Limit
	}
	run.summary.Stored = now
	err = run.all(ctx)
	if errors.Is(err, errEnough) {
		err = nil
	}
	run.summary.Scanned, run.summary.Took = run.budget.scanned.Load(), time.Since(began)
	return run.summary, err
}

// searched is the question of a search.
func (r *Searcher) searched(ctx context.Context, s history.Search, b *budget) (*question, error) {
	q, err := r.question(s.Span, s.Filter)
	if err == nil && !s.StoredSince.IsZero() {
		q.fresh, err = r.storedSince(ctx, s.StoredSince, b)
	}
	return q, err
}

// all goes through the slices.
func (s *searching) all(ctx context.Context) error {
	days, err := s.stretches(ctx, s.question, s.budget)
	if err != nil {
		return err
	}
	most, look := float64(mostSlice), s.inSQL
	if !s.query.Exact() {
		most, look = mostInGo, s.inGo
	}
	if s.left < 0 {
		most = min(most, 2*largePage)
	}
	slices := newSlicer(days, s.oldest, most)
	for {
		first, last, ok := slices.next()
		if !ok {
			return nil
		}
		began := time.Now()
		full := false
		for at := (*event.Event)(nil); ; full = true {
			if at, err = look(ctx, first, last, at); err != nil {
				return err
			}
			if at == nil {
				break
			}
		}
		slices.learn(time.Since(began), full)
	}
}

// wanted is how many events are asked for next.
func (s *searching) wanted() int {
	if s.left < 0 {
		return largePage
	}
	return min(s.left, page)
}

// order is how a statement sorts.
func (s *searching) order() string {
	if s.oldest {
		return "ORDER BY e.time, e.id"
	}
	return "ORDER BY e.time DESC, e.id DESC"
}

// behind narrows a statement to what comes after an event in the order of the search.
func (s *searching) behind(st *statement, at *event.Event) {
	if at == nil {
		return
	}
	op := "<"
	if s.oldest {
		op = ">"
	}
	// Not as tuples: ClickHouse would fail to convert the id for its index. Hexadecimal digits sort as the bytes do.
	moment := "fromUnixTimestamp64Nano({at:Int64}, 'UTC')"
	st.where("(e.time " + op + " " + moment + " OR (e.time = " + moment + " AND lower(hex(e.id)) " + op + " {id:String}))")
	st.param("at", at.Time.UnixNano())
	st.param("id", at.ID.String())
}

// whole begins a statement that reads whole events, as scanEvent does.
func whole() *statement {
	var names []string
	for _, c := range eventColumns() {
		names = append(names, "e."+c.name)
	}
	return &statement{head: "SELECT " + strings.Join(names, ", ") + " FROM events AS e"}
}

// inSQL hands out the events of a slice that come behind at. When there may be more, it returns the last.
func (s *searching) inSQL(ctx context.Context, first, last int64, at *event.Event) (*event.Event, error) {
	st := whole()
	st.between(first, last)
	s.narrow(st)
	s.behind(st, at)
	st.param("limit", int64(s.wanted()))
	st.tail = s.order() + " LIMIT {limit:UInt64}"
	rows, wanted := 0, s.wanted()
	st.large = wanted > heldPage
	var end *event.Event
	err := s.ask(ctx, "search events", st, s.budget, func(row driver.Rows) error {
		e, err := scanEvent(row)
		if err != nil {
			return err
		}
		rows, end = rows+1, e
		return s.hand(e)
	})
	if err != nil || rows < wanted {
		return nil, err
	}
	return end, nil
}

// hand gives an event to the caller, unless it is a repeat of the one before.
func (s *searching) hand(e *event.Event) error {
	if e.ID == s.last {
		return nil
	}
	s.last = e.ID
	s.summary.Found++
	if err := s.fn(e); err != nil {
		return handlerError{err}
	}
	s.budget.since = time.Now()
	if s.left--; s.left == 0 {
		return handlerError{errEnough}
	}
	return nil
}

// Explain implements [history.Reader]. The statement is that of one slice.
func (r *Searcher) Explain(ctx context.Context, s history.Search) (history.Plan, error) {
	q, err := r.searched(ctx, s, newBudget())
	if err != nil {
		return history.Plan{}, err
	}
	run := &searching{Searcher: r, question: q, oldest: s.OldestFirst, left: -1}
	if s.Limit > 0 {
		run.left = s.Limit
	}
	st := whole()
	st.tail = run.order() + " LIMIT {limit:UInt64}"
	if q.query.Exact() {
		st.param("limit", int64(run.wanted()))
	} else {
		st = run.candidates(q.query.Fields)
	}
	first, last := storedTime(s.Since).UnixNano(), time.Unix(lastTime, 0).UnixNano()
	if !s.Until.IsZero() {
		last = storedTime(s.Until).UnixNano() - 1
	}
	st.between(first, last)
	q.narrow(st)
	plan := history.Plan{Pushed: q.query.Pushed, Rest: []string{}, SQL: st.text(), Params: shown(st.params)}
	for _, p := range q.query.Rest {
		plan.Rest = append(plan.Rest, p.Expr+": "+p.Reason)
	}
	if plan.Pushed == nil {
		plan.Pushed = []string{}
	}
	return plan, nil
}

var _ interface {
	Search(context.Context, history.Search, func(*event.Event) error) (history.Summary, error)
	Explain(context.Context, history.Search) (history.Plan, error)
	Timeline(context.Context, history.Timeline) ([]history.Bucket, error)
	Top(context.Context, history.Top) ([]history.Count, error)
} = (*Searcher)(nil)
