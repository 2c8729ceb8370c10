package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/history"
)

// Searcher answers those questions of [history.Reader] that have a filter: Search, Explain, Timeline and Top. It is safe for concurrent use.
//
// Filters are the rules' language, which the store does not know: compile is given by who wires both, as
//
//	func(text string) (celsql.Filter, error) { return rules.CompileFilter(rules.Options{Geo: geo}, text) }
type Searcher struct {
	store   *Store
	compile celsql.Compiler
	events  celsql.Table
}

// NewSearcher returns a Searcher over the store, which must stay open for as long as it is used.
func NewSearcher(s *Store, compile celsql.Compiler) *Searcher {
	return &Searcher{store: s, compile: compile, events: celsql.Events()}
}

// question is what is asked about: a span and a filter.
type question struct {
	span   history.Span
	filter celsql.Filter // nil: every event
	query  *celsql.Query // the filter over the events table
	fresh  *fresh        // only what was stored lately; nil: whenever
}

func (r *Searcher) question(span history.Span, filter string) (*question, error) {
	if err := checkSpan(span); err != nil {
		return nil, err
	}
	q := &question{span: span, query: new(celsql.Query)}
	if strings.TrimSpace(filter) == "" {
		return q, nil
	}
	f, err := r.compile(filter)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", history.ErrQuestion, err)
	}
	q.filter, q.query = f, celsql.Translate(f.AST(), r.events, "p")
	return q, nil
}

// statement is a SELECT that is put together. Values only go in as parameters; the text is the program's own.
type statement struct {
	head       string // up to FROM table AS e
	conditions []string
	tail       string
	params     []celsql.Param
	large      bool // the result is not to be held anywhere: it is read while it is made
}

func (s *statement) where(conditions ...string) { s.conditions = append(s.conditions, conditions...) }

// param adds a parameter; its name must not be one of a filter's, which are p and a number.
func (s *statement) param(name string, value any) {
	s.params = append(s.params, celsql.Param{Name: name, Value: value})
}

func (s *statement) filter(q *celsql.Query) {
	s.where(q.Where...)
	s.params = append(s.params, q.Params...)
}

// narrow keeps the events that the question is about, as far as ClickHouse can tell, of any time.
func (q *question) narrow(st *statement) {
	st.filter(q.query)
	if q.fresh != nil {
		q.fresh.narrow(st)
	}
}

// between narrows the time of an event to [first, last], in nanoseconds since 1970.
func (s *statement) between(first, last int64) {
	s.where("e.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')", "e.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')")
	s.param("first", first)
	s.param("last", last)
}

func (s *statement) text() string {
	sql := s.head
	if len(s.conditions) > 0 {
		sql += " WHERE " + strings.Join(s.conditions, " AND ")
	}
	return strings.TrimSpace(sql + " " + s.tail)
}

// budget is what the statements of one answer may take together.
type budget struct {
	scanned atomic.Uint64 // rows that ClickHouse read
	since   time.Time     // of the time that is spent: the beginning, or when something was last found
}

func newBudget() *budget { return &budget{since: time.Now()} }

// Codes of ClickHouse's exceptions about limits (ErrorCodes.cpp).
const (
	codeTooManyRows   = 158
	codeTimeout       = 159
	codeTooSlow       = 160
	codeMemory        = 241
	codeTooManyBytes  = 307
	codeTooManyResult = 396
)

// ask runs a statement within what is left of the limits and calls scan for each row. what names it in errors.
func (r *Searcher) ask(ctx context.Context, what string, st *statement, b *budget, scan func(driver.Rows) error) error {
	limits := r.store.cfg.Limits
	seconds := int((limits.Time.Std() - time.Since(b.since)).Seconds()) + 1
	rows := limits.Rows - int64(min(b.scanned.Load(), uint64(limits.Rows)))
	switch {
	case seconds <= 0:
		return r.store.overLimit(what, codeTimeout, nil)
	case rows <= 0:
		return r.store.overLimit(what, codeTooManyRows, nil)
	}
	args := make([]any, len(st.params))
	for i, p := range st.params {
		args[i] = clickhouse.Named(p.Name, p.Value)
	}
	settings := clickhouse.Settings{"max_execution_time": seconds, "max_memory_usage": int64(limits.Memory), "max_rows_to_read": rows,
		"max_bytes_before_external_sort": int64(limits.Memory) / 3, "max_bytes_before_external_group_by": int64(limits.Memory) / 3}
	switch each := scan; {
	case r.store.cfg.Protocol == HTTP && st.large:
		scan = func(row driver.Rows) error { b.scanned.Add(1); return each(row) }
	case r.store.cfg.Protocol == HTTP:
		settings["wait_end_of_query"] = 1 // for the summary
	}
	ctx, cancel := context.WithCancel(clickhouse.Context(ctx, clickhouse.WithSettings(settings)))
	defer cancel() // before the rows are closed: what is not read is not waited for
	err := r.read(r.store.counting(ctx, &b.scanned), cancel, st, args, scan)
	var handler handlerError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &handler):
		return handler.error
	}
	return r.store.explainRead(what, err)
}

// handlerError is an error of who takes the rows: it is passed on as it is.
type handlerError struct{ error }

func (e handlerError) Unwrap() error { return e.error }

func (r *Searcher) read(ctx context.Context, cancel func(), st *statement, args []any, scan func(driver.Rows) error) error {
	rows, err := r.store.conn.Query(ctx, st.text(), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err = scan(rows); err != nil {
			cancel()
			return err
		}
	}
	return rows.Err()
}

// overLimit explains an exception: one about a limit says which and how to ask for less.
func (s *Store) overLimit(what string, code int32, err error) error {
	limits := s.cfg.Limits
	less := "ask about a shorter span, for fewer events, or with a filter that ClickHouse can narrow down (see explain)"
	var passed string
	switch code {
	case codeTooManyRows, codeTooManyBytes, codeTooManyResult:
		passed = fmt.Sprintf("%d rows (store.limits.rows)", limits.Rows)
	case codeTimeout, codeTooSlow:
		passed = fmt.Sprintf("%s (store.limits.time)", limits.Time)
	case codeMemory:
		passed = fmt.Sprintf("%d bytes of memory (store.limits.memory)", int64(limits.Memory))
	default:
		return s.cfg.explain(what, err)
	}
	if err == nil {
		return fmt.Errorf("store: %s: the limit of a read is passed, %s: %s", what, passed, less)
	}
	return fmt.Errorf("store: %s: the limit of a read is passed, %s: %s: %w", what, passed, less, err)
}

// shown lists parameters as Explain shows them.
func shown(params []celsql.Param) []history.Param {
	values := map[string]string{}
	for _, p := range params {
		switch v := p.Value.(type) {
		case []string:
			values[p.Name] = fmt.Sprintf("%q", v)
		default:
			values[p.Name] = fmt.Sprint(v)
		}
	}
	out := make([]history.Param, 0, len(values))
	for _, p := range params {
		if _, ok := values[p.Name]; ok {
			out = append(out, history.Param{Name: p.Name, Value: values[p.Name]})
			maps.DeleteFunc(values, func(k, _ string) bool { return k == p.Name })
		}
	}
	return out
}
