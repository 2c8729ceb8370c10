// Package client asks about the past over HTTP: it implements [history.Reader] and [history.Triager] on Warder's API.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/apiclient"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// Client asks one API. It is safe for concurrent use. Its answers are as the interface says: [history.ErrNotFound] and
// [history.ErrQuestion] are wrapped where the API answers 404 and 400.
type Client struct{ api *apiclient.Client }

var (
	_ history.Reader  = (*Client)(nil)
	_ history.Triager = (*Client)(nil)
)

// New returns a client that asks through api.
func New(api *apiclient.Client) *Client { return &Client{api} }

// Search implements [history.Reader]. Events come as the API finds them; one that is longer than the protocol allows ends the search.
func (c *Client) Search(ctx context.Context, s history.Search, fn func(*event.Event) error) (history.Summary, error) {
	body, err := c.api.Open(ctx, "events", searchQuery(s))
	if err != nil {
		return history.Summary{}, known(err)
	}
	defer body.Close()
	sum, err := decodeStream(body, fn)
	var broken *brokenError
	switch {
	case errors.As(err, &broken) || ctx.Err() != nil:
		err = c.api.Broken(ctx, err)
	case errors.Is(err, errStranger):
		err = c.api.Stranger()
	}
	return sum, err
}

// Explain implements [history.Reader].
func (c *Client) Explain(ctx context.Context, s history.Search) (p history.Plan, err error) {
	return p, c.get(ctx, &p, searchQuery(s), "events", "explain")
}

// Timeline implements [history.Reader].
func (c *Client) Timeline(ctx context.Context, t history.Timeline) (out []history.Bucket, err error) {
	q := spanQuery(t.Span)
	set(q, "filter", t.Filter)
	set(q, "by", t.By)
	if t.Step != 0 {
		q.Set("step", t.Step.String())
	}
	return out, c.get(ctx, &out, q, "timeline")
}

// Top implements [history.Reader].
func (c *Client) Top(ctx context.Context, t history.Top) (out []history.Count, err error) {
	q := spanQuery(t.Span)
	set(q, "filter", t.Filter)
	set(q, "field", t.Field)
	setRows(q, t.Limit)
	return out, c.get(ctx, &out, q, "top")
}

// Entity implements [history.Reader].
func (c *Client) Entity(ctx context.Context, e history.EntityID, s history.Span) (*history.Entity, error) {
	out := new(history.Entity)
	if err := c.get(ctx, out, spanQuery(s), "entities", e.Kind, e.Value); err != nil {
		return nil, err
	}
	return out, c.whole(out.Alerts, out.Decisions)
}

// Alerts implements [history.Reader].
func (c *Client) Alerts(ctx context.Context, f history.AlertFilter) ([]history.Alert, error) {
	q := spanQuery(f.Span)
	set(q, "min_severity", string(f.MinSeverity))
	set(q, "rule", f.Rule)
	set(q, "state", f.State)
	set(q, "tag", f.Tag)
	set(q, "entity", f.Entity)
	setTime(q, "stored_since", f.StoredSince)
	setRows(q, f.Limit)
	var out []history.Alert
	if err := c.get(ctx, &out, q, "alerts"); err != nil {
		return nil, err
	}
	return out, c.whole(out, nil)
}

// Alert implements [history.Reader].
func (c *Client) Alert(ctx context.Context, id string) (*history.AlertDetail, error) {
	out := new(history.AlertDetail)
	if err := c.get(ctx, out, nil, "alerts", id); err != nil {
		return nil, err
	}
	if slices.Contains(out.Evidence, nil) {
		return nil, c.api.Stranger()
	}
	return out, c.whole([]history.Alert{out.Alert}, out.Decisions)
}

// Inventory implements [history.Reader].
func (c *Client) Inventory(ctx context.Context, f history.InventoryFilter) (out []history.Endpoint, err error) {
	q := spanQuery(f.Span)
	set(q, "api", f.API)
	set(q, "route", f.Route)
	setTime(q, "new_since", f.NewSince)
	setTrue(q, "unauthenticated", f.Unauthenticated)
	setRows(q, f.Limit)
	return out, c.get(ctx, &out, q, "inventory")
}

// Decisions implements [history.Reader].
func (c *Client) Decisions(ctx context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	q := spanQuery(f.Span)
	set(q, "id", f.ID)
	set(q, "state", string(f.State))
	set(q, "value", f.Value)
	setTrue(q, "history", f.History)
	setRows(q, f.Limit)
	var out []history.DecisionChange
	if err := c.get(ctx, &out, q, "history", "decisions"); err != nil {
		return nil, err
	}
	return out, c.whole(nil, out)
}

// Triage implements [history.Triager]. Who did it is whom the token belongs to: by is not sent.
func (c *Client) Triage(ctx context.Context, _, id string, t history.Triage) (*history.Alert, error) {
	out := new(history.Alert)
	if err := c.api.Call(ctx, http.MethodPost, path("alerts", id, "triage"), nil, t, out); err != nil {
		return nil, known(err)
	}
	return out, c.whole([]history.Alert{*out}, nil)
}

// get asks for what the parts name. An empty one would be another question.
func (c *Client) get(ctx context.Context, out any, q url.Values, parts ...string) error {
	if slices.Contains(parts, "") {
		return fmt.Errorf("%w: it has no id or value", history.ErrQuestion)
	}
	return known(c.api.Call(ctx, http.MethodGet, path(parts...), q, nil, out))
}

// whole checks that what is embedded as a pointer was there.
func (c *Client) whole(alerts []history.Alert, decisions []history.DecisionChange) error {
	if slices.ContainsFunc(alerts, func(a history.Alert) bool { return a.Alert == nil }) ||
		slices.ContainsFunc(decisions, func(d history.DecisionChange) bool { return d.Decision == nil }) {
		return c.api.Stranger()
	}
	return nil
}

// known wraps the interface's errors where the API's answer means them.
func known(err error) error {
	var p *apiclient.Problem
	switch {
	case !errors.As(err, &p):
		return err
	case p.Status == http.StatusNotFound:
		return &meant{err, history.ErrNotFound}
	case p.Status == http.StatusBadRequest:
		return &meant{err, history.ErrQuestion}
	}
	return err
}

// meant is an error of the API with what it means; the API's text says it all.
type meant struct{ err, means error }

func (m *meant) Error() string        { return m.err.Error() }
func (m *meant) Is(target error) bool { return target == m.means }
func (m *meant) Unwrap() error        { return m.err }

// path joins escaped parts. A part that is only dots would be taken for a step up.
func path(parts ...string) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		if out[i] = url.PathEscape(p); strings.Trim(p, ".") == "" {
			out[i] = strings.ReplaceAll(p, ".", "%2E")
		}
	}
	return strings.Join(out, "/")
}

func searchQuery(s history.Search) url.Values {
	q := spanQuery(s.Span)
	set(q, "filter", s.Filter)
	setInt(q, "limit", s.Limit)
	q.Set("order", "newest")
	if s.OldestFirst {
		q.Set("order", "oldest")
	}
	setTime(q, "stored_since", s.StoredSince)
	return q
}

func spanQuery(s history.Span) url.Values {
	q := url.Values{}
	setTime(q, "since", s.Since)
	setTime(q, "until", s.Until)
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setInt(q url.Values, name string, n int) {
	if n != 0 {
		q.Set(name, strconv.Itoa(n))
	}
}

// setRows sets the rows that are wanted; of more than there can be, the most.
func setRows(q url.Values, n int) { setInt(q, "limit", min(n, history.MaxRows)) }

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func setTrue(q url.Values, name string, on bool) {
	if on {
		q.Set(name, "true")
	}
}

// brokenError is a stream that ended before its summary.
type brokenError struct{ err error }

func (b *brokenError) Error() string { return fmt.Sprint(b.err) }
func (b *brokenError) Unwrap() error { return b.err }
