package store

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/event"
)

// hit is an event for which the filter holds, as it is found again.
type hit struct {
	time   time.Time
	id     event.ID
	source netip.Addr
}

// partial reads some columns of events into one event, which is used again for the next row.
type partial struct {
	event.Event
	id           string
	duration     int64
	code         int32
	source, peer netip.Addr
	into         []any
}

// targets are the places where partial reads the columns to that filters read.
func (p *partial) targets() map[string]any {
	e := &p.Event
	return map[string]any{
		"id": &p.id, "time": &e.Time, "tap": &e.Tap,
		"request_id": &e.Request.ID, "method": &e.Request.Method, "scheme": &e.Request.Scheme, "protocol": &e.Request.Protocol, "host": &e.Request.Host,
		"path": &e.Request.Path, "query": &e.Request.Query, "user_agent": &e.Request.UserAgent, "referer": &e.Request.Referer,
		"headers": &e.Request.Headers, "request_size": &e.Request.Size, "duration": &p.duration,
		"code": &p.code, "response_size": &e.Response.Size, "content_type": &e.Response.ContentType,
		"source_address": &p.source, "source_port": &e.Source.Port, "source_peer": &p.peer, "country": &e.Source.Country, "asn": &e.Source.ASN,
		"principal_id": &e.Principal.ID, "principal_type": &e.Principal.Type, "tenant": &e.Principal.Tenant, "roles": &e.Principal.Roles,
		"auth_outcome": &e.Auth.Outcome, "auth_reason": &e.Auth.Reason, "route": &e.API.Route, "api_version": &e.API.Version, "api_name": &e.API.Name,
		"tls_version": &e.TLS.Version, "sni": &e.TLS.SNI, "tls_fingerprint": &e.TLS.Fingerprint,
		"model": &e.LLM.Model, "prompt_tokens": &e.LLM.PromptTokens, "completion_tokens": &e.LLM.CompletionTokens,
		"enforced_by": &e.Enforced.By, "enforced_action": &e.Enforced.Action, "waf_score": &e.WAF.Score, "waf_rules": &e.WAF.Rules,
		"intel_lists": &e.Intel.Lists, "ext": &e.Ext,
	}
}

// newPartial reads the columns, in their order.
func newPartial(columns []string) *partial {
	p := new(partial)
	targets := p.targets()
	for _, c := range columns {
		p.into = append(p.into, targets[c])
	}
	return p
}

func (p *partial) scan(row driver.Rows) error {
	if err := row.Scan(p.into...); err != nil {
		return err
	}
	copy(p.ID[:], p.id)
	p.Request.Duration, p.Response.Code = time.Duration(p.duration), int(p.code)
	p.Source.Address, p.Source.Peer = readAddr(p.source), readAddr(p.peer)
	emptyToNil(&p.Event)
	return nil
}

// columnsFor lists the columns that are read to evaluate the fields in Go.
func (r *Searcher) columnsFor(fields []string) []string {
	columns := append(r.events.Columns(fields), "id", "time", "source_address")
	slices.Sort(columns)
	return slices.Compact(columns)
}

// candidates begins a statement that reads what is needed to evaluate the fields in Go, in no order.
func (r *Searcher) candidates(fields []string) *statement {
	return &statement{head: "SELECT e." + strings.Join(r.columnsFor(fields), ", e.") + " FROM events AS e"}
}

// sift reads the events of a slice that ClickHouse cannot rule out, evaluates the filter and calls fn for those for which it holds. The
// event is valid during the call, and has only what is asked for and what the filter reads.
func (s *searching) sift(ctx context.Context, first, last int64, at *event.Event, fields []string, fn func(*partial) error) error {
	fields = append(slices.Clip(s.query.Fields), fields...)
	st := s.candidates(fields)
	st.large = true
	st.between(first, last)
	s.narrow(st)
	s.behind(st, at)
	p := newPartial(s.columnsFor(fields))
	return s.ask(ctx, "look for events", st, s.budget, func(row driver.Rows) error {
		if err := p.scan(row); err != nil {
			return err
		}
		s.summary.Checked++
		ok, err := s.question.filter.Match(&p.Event)
		if err != nil {
			s.summary.Failed++
		}
		if !ok {
			return nil
		}
		return fn(p)
	})
}

// inGo is inSQL for a filter that has a part to be evaluated in Go.
func (s *searching) inGo(ctx context.Context, first, last int64, at *event.Event) (*event.Event, error) {
	wanted := s.wanted()
	var hits []hit
	more := false
	trim := func() {
		slices.SortFunc(hits, s.compare)
		hits = slices.CompactFunc(hits, func(a, b hit) bool { return a.id == b.id })
		if len(hits) > wanted {
			hits, more = hits[:wanted], true
		}
	}
	err := s.sift(ctx, first, last, at, nil, func(e *partial) error {
		if hits = append(hits, hit{e.Time, e.ID, e.Source.Address}); len(hits) >= 2*wanted+1000 {
			trim()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	trim()
	for chunk := range slices.Chunk(hits, chunkOfHits) {
		if err := s.fetch(ctx, chunk); err != nil {
			return nil, err
		}
	}
	if !more {
		return nil, nil
	}
	end := hits[len(hits)-1]
	return &event.Event{ID: end.id, Time: end.time}, nil
}

// compare orders hits as the search does.
func (s *searching) compare(a, b hit) int {
	c := a.time.Compare(b.time)
	if c == 0 {
		c = bytes.Compare(a.id[:], b.id[:])
	}
	if s.oldest {
		return c
	}
	return -c
}

// chunkOfHits is how many events are fetched at once.
const chunkOfHits = 500

// fetch hands out whole events that were found, in order.
func (s *searching) fetch(ctx context.Context, hits []hit) error {
	var ids, sources []string
	for _, h := range hits {
		ids = append(ids, h.id.String())
		sources = append(sources, storedAddr(h.source).String())
	}
	slices.Sort(sources)
	st := whole()
	first, last := hits[0].time.UnixNano(), hits[len(hits)-1].time.UnixNano()
	st.between(min(first, last), max(first, last))
	st.where("e.source_address IN arrayMap(x -> toIPv6(x), {sources:Array(String)})", "e.id IN arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)})")
	st.param("sources", slices.Compact(sources))
	st.param("ids", ids)
	st.tail = s.order()
	return s.ask(ctx, "read the events that were found", st, s.budget, func(row driver.Rows) error {
		e, err := scanEvent(row)
		if err != nil {
			return err
		}
		return s.hand(e)
	})
}
