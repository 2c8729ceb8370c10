package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/history"
)

// maxQuestion bounds a parameter of a question, in bytes; rules' filters have the same bound.
const maxQuestion = 16 << 10

// query reads the parameters of a question.
type query struct{ url.Values }

// only refuses parameters that a question does not have: a misspelt one must not widen it.
func (q query) only(names ...string) *problem {
	for name, values := range q.Values {
		switch {
		case !slices.Contains(names, name):
			return invalid(cut(name, 60), "there is no such parameter here; there are %s", strings.Join(names, ", "))
		case len(values) > 1:
			return invalid(name, "comes %d times", len(values))
		case len(values[0]) > maxQuestion:
			return invalid(name, "has %d bytes, at most %d are taken", len(values[0]), maxQuestion)
		}
	}
	return nil
}

func (q query) time(name string) (time.Time, *problem) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, invalid(name, "%.60q is no time of RFC 3339 such as 2026-01-02T15:04:05Z", text)
	}
	return t, nil
}

func (q query) span(since, until string) (history.Span, *problem) {
	from, p := q.time(since)
	if p != nil {
		return history.Span{}, p
	}
	to, p := q.time(until)
	return history.Span{Since: from, Until: to}, p
}

// limit reads how many rows are wanted; all tells whether 0 may be said, which means every row.
func (q query) limit(all bool) (int, *problem) {
	text := q.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0 || n == 0 && !all:
		return 0, invalid("limit", "%.20q is no number of rows", text)
	case n > history.MaxRows && !all:
		return 0, invalid("limit", "%d is more than %d", n, history.MaxRows)
	}
	return n, nil
}

func (q query) flag(name string) (bool, *problem) {
	text := q.Get(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid(name, "%.20q is neither true nor false", text)
	}
	return on, nil
}

// asking checks the parameters and reads those that most questions have.
func (q query) asking(all bool, names ...string) (history.Span, int, *problem) {
	if p := q.only(append(names, "since", "until", "limit")...); p != nil {
		return history.Span{}, 0, p
	}
	span, p := q.span("since", "until")
	if p != nil {
		return span, 0, p
	}
	n, p := q.limit(all)
	return span, n, p
}

func readSearch(q query) (history.Search, *problem) {
	span, n, p := q.asking(true, "filter", "order", "stored_since")
	if p != nil {
		return history.Search{}, p
	}
	stored, p := q.time("stored_since")
	if p != nil {
		return history.Search{}, p
	}
	order := q.Get("order")
	if order != "" && order != "newest" && order != "oldest" {
		return history.Search{}, invalid("order", "%.20q is neither newest nor oldest", order)
	}
	return history.Search{Span: span, Filter: q.Get("filter"), Limit: n, OldestFirst: order == "oldest", StoredSince: stored}, nil
}

func readTimeline(q query) (history.Timeline, *problem) {
	span, _, p := q.asking(false, "filter", "step", "by")
	if p != nil {
		return history.Timeline{}, p
	}
	var step time.Duration
	if text := q.Get("step"); text != "" {
		var err error
		if step, err = time.ParseDuration(text); err != nil || step < 0 {
			return history.Timeline{}, invalid("step", "%.30q is no duration such as 5m or 1h", text)
		}
	}
	return history.Timeline{Span: span, Filter: q.Get("filter"), Step: step, By: q.Get("by")}, nil
}

func readTop(q query) (history.Top, *problem) {
	span, n, p := q.asking(false, "filter", "field")
	return history.Top{Span: span, Filter: q.Get("filter"), Field: q.Get("field"), Limit: n}, p
}

func readAlertFilter(q query) (history.AlertFilter, *problem) {
	span, n, p := q.asking(false, "min_severity", "rule", "state", "tag", "entity", "stored_since")
	if p != nil {
		return history.AlertFilter{}, p
	}
	stored, p := q.time("stored_since")
	if p != nil {
		return history.AlertFilter{}, p
	}
	severity := alert.Severity(q.Get("min_severity"))
	if severity != "" && severity.Rank() < 0 {
		return history.AlertFilter{}, invalid("min_severity", "%.20q is unknown; there are info, low, medium, high and critical", severity)
	}
	state := q.Get("state")
	if state != "" && !slices.Contains([]string{history.Open, history.Acknowledged, history.Closed}, state) {
		return history.AlertFilter{}, invalid("state", "%.20q is unknown; there are open, acknowledged and closed", state)
	}
	return history.AlertFilter{Span: span, MinSeverity: severity, Rule: q.Get("rule"), State: state, Tag: q.Get("tag"), Entity: q.Get("entity"),
		StoredSince: stored, Limit: n}, nil
}

func readInventoryFilter(q query) (history.InventoryFilter, *problem) {
	span, n, p := q.asking(false, "api", "route", "new_since", "unauthenticated")
	if p != nil {
		return history.InventoryFilter{}, p
	}
	since, p := q.time("new_since")
	if p != nil {
		return history.InventoryFilter{}, p
	}
	open, p := q.flag("unauthenticated")
	return history.InventoryFilter{Span: span, API: q.Get("api"), Route: q.Get("route"), NewSince: since, Unauthenticated: open, Limit: n}, p
}

func readDecisionFilter(q query) (history.DecisionFilter, *problem) {
	span, n, p := q.asking(false, "id", "state", "value", "history")
	if p != nil {
		return history.DecisionFilter{}, p
	}
	state := decision.State(q.Get("state"))
	if state != "" && !slices.Contains([]decision.State{decision.Proposed, decision.Active, decision.Expired, decision.Revoked}, state) {
		return history.DecisionFilter{}, invalid("state", "%.20q is unknown; there are proposed, active, expired and revoked", state)
	}
	every, p := q.flag("history")
	return history.DecisionFilter{Span: span, ID: q.Get("id"), State: state, Value: q.Get("value"), History: every, Limit: n}, p
}
