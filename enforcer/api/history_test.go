package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// book is a history of two events, one alert and one endpoint, which remembers what it was asked.
type book struct {
	mu       sync.Mutex
	asked    []any
	accessed []history.Access
	noteErr  error
	breaks   bool // a search fails behind its first event
}

var when = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func (b *book) remember(q any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, q)
}

func (b *book) last() any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[len(b.asked)-1]
}

func (b *book) Search(_ context.Context, s history.Search, fn func(*event.Event) error) (history.Summary, error) {
	b.remember(s)
	if s.Filter == "nonsense" {
		return history.Summary{}, fmt.Errorf("filter:1:1: unknown name: %w", history.ErrQuestion)
	}
	for seq := uint64(1); seq <= 2; seq++ {
		if b.breaks && seq == 2 {
			return history.Summary{Found: 1}, errors.New("max_rows_to_read exceeded")
		}
		if err := fn(&event.Event{ID: event.NewID("a", seq), Tap: "a", Seq: seq, Time: when}); err != nil {
			return history.Summary{}, err
		}
	}
	return history.Summary{Found: 2, Scanned: 10}, nil
}

func (b *book) Explain(_ context.Context, s history.Search) (history.Plan, error) {
	b.remember(s)
	return history.Plan{Pushed: []string{s.Filter}, SQL: "SELECT"}, nil
}

func (b *book) Timeline(_ context.Context, q history.Timeline) ([]history.Bucket, error) {
	b.remember(q)
	return []history.Bucket{{Time: when, Count: 3}}, nil
}

func (b *book) Top(_ context.Context, q history.Top) ([]history.Count, error) {
	b.remember(q)
	return []history.Count{{Value: "/login", Count: 3, Share: 1}}, nil
}

func (b *book) Entity(_ context.Context, e history.EntityID, s history.Span) (*history.Entity, error) {
	if e.Value == "nobody" {
		return nil, fmt.Errorf("nothing is stored of %s: %w", e.Value, history.ErrNotFound)
	}
	return &history.Entity{EntityID: e, Span: s, First: when, Last: when, Requests: 3}, nil
}

func oneAlert() history.Alert {
	return history.Alert{Alert: &alert.Alert{ID: "4f2a", Rule: "r", Severity: alert.High, Time: when}, Triage: history.Triage{State: history.Open}}
}

func (b *book) Alerts(_ context.Context, f history.AlertFilter) ([]history.Alert, error) {
	b.remember(f)
	return []history.Alert{oneAlert()}, nil
}

func (b *book) Alert(_ context.Context, id string) (*history.AlertDetail, error) {
	if id != "4f2a" {
		return nil, fmt.Errorf("there is no alert %s: %w", id, history.ErrNotFound)
	}
	return &history.AlertDetail{Alert: oneAlert(), History: []history.Triage{}, Evidence: []*event.Event{}, Decisions: []history.DecisionChange{}}, nil
}

func (b *book) Inventory(_ context.Context, f history.InventoryFilter) ([]history.Endpoint, error) {
	b.remember(f)
	return nil, nil
}

func (b *book) Decisions(_ context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	b.remember(f)
	return []history.DecisionChange{{Decision: &decision.Decision{ID: "d1", State: decision.Active}, Updated: when}}, nil
}

func (b *book) Triage(_ context.Context, by, id string, t history.Triage) (*history.Alert, error) {
	b.remember(t)
	if t.State == history.Closed && t.Verdict == "" {
		return nil, fmt.Errorf("closing needs a verdict: %w", history.ErrQuestion)
	}
	a := oneAlert()
	a.ID, a.Triage = id, t
	a.Triage.By = by
	return &a, nil
}

func (b *book) Erase(_ context.Context, e history.EntityID, dryRun bool) (*history.Erasure, error) {
	b.remember(e)
	return &history.Erasure{DryRun: dryRun, Tables: []history.ErasedTable{{Table: "events", Rows: 3, Action: "deleted"}}}, nil
}

func (b *book) Accessed(a history.Access) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accessed = append(b.accessed, a)
}

func (b *book) Note(_ context.Context, a history.Access) error {
	if b.noteErr == nil {
		b.Accessed(a)
	}
	return b.noteErr
}

func withHistory(t *testing.T) *rig {
	t.Helper()
	r := start(t, nil)
	r.book = new(book)
	return r
}

// Questions arrive as they were asked, and answers are as the description says, which the rig's client checks.
func TestHistoryQuestions(t *testing.T) {
	r := withHistory(t)
	span := history.Span{Since: when, Until: when.Add(time.Hour)}
	const both = "since=2026-05-01T12:00:00Z&until=2026-05-01T13:00:00Z"
	for _, c := range []struct {
		path string
		want any
	}{
		{"/api/v1/events?" + both + "&filter=response.code%20%3D%3D%20401&limit=5&order=oldest", history.Search{Span: span, Filter: "response.code == 401", Limit: 5, OldestFirst: true}},
		{"/api/v1/events/explain?filter=true&limit=0", history.Search{Filter: "true"}},
		{"/api/v1/timeline?" + both + "&step=1h0m0s&by=api.route&filter=true", history.Timeline{Span: span, Step: time.Hour, By: "api.route", Filter: "true"}},
		{"/api/v1/top?field=api.route&limit=3", history.Top{Field: "api.route", Limit: 3}},
		{"/api/v1/alerts?min_severity=high&rule=r&state=open&tag=t&entity=e&limit=7", history.AlertFilter{MinSeverity: alert.High, Rule: "r", State: "open", Tag: "t", Entity: "e", Limit: 7}},
		{"/api/v1/inventory?api=shop&route=/a&new_since=2026-05-01T12:00:00Z&unauthenticated=true", history.InventoryFilter{API: "shop", Route: "/a", NewSince: when, Unauthenticated: true}},
		{"/api/v1/history/decisions?id=d1&state=active&value=v&history=true", history.DecisionFilter{ID: "d1", State: decision.Active, Value: "v", History: true}},
	} {
		status, _, body := r.ask("rita", http.MethodGet, c.path, "")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", c.path, status, body)
			continue
		}
		if diff := cmp.Diff(c.want, r.book.last()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, diff)
		}
	}
	for _, path := range []string{"/api/v1/entities/address/203.0.113.9", "/api/v1/alerts/4f2a"} {
		if status, _, body := r.ask("rita", http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, body := r.ask("rita", http.MethodGet, "/api/v1/inventory", ""); status != http.StatusOK || strings.TrimSpace(body) != "[]" {
		t.Errorf("an empty list: %d %s", status, body)
	}
	if n := len(r.book.accessed); n != 10 {
		t.Errorf("%d reads were noted, want 10: %v", n, r.book.accessed)
	}
	if a := r.book.accessed[0]; a.Actor != "person:rita" || a.Action != "events.search" || !strings.Contains(a.Detail, "401") {
		t.Errorf("noted %+v", a)
	}
}

func TestHistoryRefuses(t *testing.T) {
	r := withHistory(t)
	for _, c := range []struct {
		path   string
		status int
		words  string
	}{
		{"/api/v1/events?filter=nonsense", 400, "unknown name"},
		{"/api/v1/events?fitler=true", 400, "there is no such parameter here"},
		{"/api/v1/events?since=yesterday", 400, "no time of RFC 3339"},
		{"/api/v1/events?limit=1&limit=2", 400, "comes 2 times"},
		{"/api/v1/events?order=up", 400, "neither newest nor oldest"},
		{"/api/v1/events?filter=" + strings.Repeat("a", 17<<10), 400, "at most 16384"},
		{"/api/v1/alerts?limit=0", 400, "no number of rows"},
		{"/api/v1/alerts?limit=100000", 400, "more than 10000"},
		{"/api/v1/alerts?min_severity=awful", 400, "there are info"},
		{"/api/v1/alerts?state=gone", 400, "there are open"},
		{"/api/v1/timeline?step=soon", 400, "no duration"},
		{"/api/v1/inventory?unauthenticated=perhaps", 400, "neither true nor false"},
		{"/api/v1/history/decisions?state=gone", 400, "there are proposed"},
		{"/api/v1/entities/principal/nobody", 404, "nothing is stored of nobody"},
		{"/api/v1/alerts/none", 404, "there is no alert none"},
	} {
		status, _, body := r.ask("rita", http.MethodGet, c.path, "")
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%.80s: %d %.300s, want %d with %q", c.path, status, body, c.status, c.words)
		}
	}
}

// A search is a stream whose last line tells how it ended.
func TestHistoryStream(t *testing.T) {
	r := withHistory(t)
	_, header, body := r.ask("rita", http.MethodGet, "/api/v1/events", "")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[2], `{"summary":{"found":2`) || header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v %q", header, body)
	}
	r.book.breaks = true
	_, _, body = r.ask("rita", http.MethodGet, "/api/v1/events", "")
	lines = strings.Split(strings.TrimSpace(body), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], `{"error":`) || !strings.Contains(lines[1], "max_rows_to_read") {
		t.Errorf("a search that breaks off answers %q", body)
	}
}

// Changes need their role, are written down before they are made, and not made when that fails.
func TestHistoryChanges(t *testing.T) {
	r := withHistory(t)
	const triage, erase = "/api/v1/alerts/4f2a/triage", "/api/v1/privacy/erase"
	closing, person := `{"state":"closed","verdict":"benign","note":"load test"}`, `{"kind":"principal","value":"alice","dry_run":true}`
	for _, c := range []struct {
		who, path, body string
		status          int
		words           string
	}{
		{"rita", triage, closing, 403, "operate"},
		{"otto", triage, closing, 200, `"by":"person:otto"`},
		{"otto", triage, `{"state":"closed"}`, 400, "needs a verdict"},
		{"otto", triage, `{"stat":"closed"}`, 400, "no such field"},
		{"otto", erase, person, 403, "approve"},
		{"anna", erase, person, 200, `"dry_run":true`},
	} {
		status, _, body := r.ask(c.who, http.MethodPost, c.path, c.body)
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.who, c.path, status, body, c.status, c.words)
		}
	}
	var noted []string
	for _, a := range r.book.accessed {
		noted = append(noted, a.Actor+" "+a.Action+" "+a.Subject)
	}
	if diff := cmp.Diff([]string{"person:otto alerts.triage 4f2a", "person:otto alerts.triage 4f2a", "person:anna privacy.erase principal"}, noted); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
	r.book.noteErr = errors.New("the store is away")
	before := len(r.book.asked)
	for path, body := range map[string]string{triage: closing, erase: person} {
		if status, _, got := r.ask("anna", http.MethodPost, path, body); status != http.StatusServiceUnavailable || !strings.Contains(got, "nothing was changed") {
			t.Errorf("%s without a note: %d %s", path, status, got)
		}
	}
	if len(r.book.asked) != before {
		t.Error("something was changed that could not be written down")
	}
}

func TestNoHistory(t *testing.T) {
	r := start(t, nil)
	if status, header, body := r.ask("rita", http.MethodGet, "/api/v1/alerts", ""); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(body, "not ready yet") {
		t.Errorf("%d %s", status, body)
	}
}
