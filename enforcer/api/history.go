package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// History is what the API says of the past, and changes in it. It must be safe for concurrent use.
type History interface {
	history.Reader
	history.Triager
	history.Eraser
	// Accessed notes who reads what. It does not wait, and loses nothing without counting it.
	Accessed(a history.Access)
	// Note writes down who is about to change what; what cannot be noted is not done.
	Note(ctx context.Context, a history.Access) error
}

// HistorySource returns the history, or an error that says why there is none now and what to do.
type HistorySource func() (History, error)

func (s *Server) historyRoutes() []route {
	const v1, get, post = "/api/v1", http.MethodGet, http.MethodPost
	return []route{
		{get, v1 + "/events", Read, s.searchEvents},
		{get, v1 + "/events/explain", Read, s.explainSearch},
		{get, v1 + "/timeline", Read, asked(s, "events.timeline", readTimeline, History.Timeline)},
		{get, v1 + "/top", Read, asked(s, "events.top", readTop, History.Top)},
		{get, v1 + "/entities/{kind}/{value}", Read, s.entity},
		{get, v1 + "/alerts", Read, asked(s, "alerts.list", readAlertFilter, History.Alerts)},
		{get, v1 + "/alerts/{id}", Read, s.alert},
		{post, v1 + "/alerts/{id}/triage", Operate, s.triage},
		{get, v1 + "/inventory", Read, asked(s, "inventory.list", readInventoryFilter, History.Inventory)},
		{get, v1 + "/history/decisions", Read, asked(s, "decisions.history", readDecisionFilter, History.Decisions)},
		{post, v1 + "/privacy/erase", Approve, s.erase},
	}
}

// past returns the history, and notes who reads what in it.
func (s *Server) past(r *http.Request, who person, action, subject string) (History, *problem) {
	h, p := s.source()
	if p == nil {
		h.Accessed(accessOf(r, who, action, subject))
	}
	return h, p
}

func (s *Server) source() (History, *problem) {
	if s.history == nil {
		return nil, unavailable("this process has no history: ask one that has the role enforcer and knows the store")
	}
	h, err := s.history()
	if err != nil {
		return nil, unavailable(err.Error())
	}
	return h, nil
}

// Bounds of what is noted of an access, in bytes.
const (
	maxSubject = 512
	maxDetail  = 2048
)

func accessOf(r *http.Request, who person, action, subject string) history.Access {
	return history.Access{Time: time.Now(), Actor: who.by(), Action: action, Subject: cut(subject, maxSubject), Detail: cut(r.URL.RawQuery, maxDetail)}
}

// asked is a route that reads a question from the query and answers with a list.
func asked[Q, A any](s *Server, action string, read func(query) (Q, *problem), ask func(History, context.Context, Q) ([]A, error)) func(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
	return func(_ http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
		q, p := read(query{r.URL.Query()})
		if p != nil {
			return nil, p
		}
		h, p := s.past(r, who, action, "")
		if p != nil {
			return nil, p
		}
		out, err := ask(h, r.Context(), q)
		if err != nil {
			return nil, s.failedQuestion(action, err)
		}
		if out == nil {
			out = []A{}
		}
		return ok(out), nil
	}
}

// failedQuestion words an error of the history, and logs what the client is not told.
func (s *Server) failedQuestion(what string, err error) *problem {
	switch {
	case errors.Is(err, history.ErrNotFound):
		return newProblem(http.StatusNotFound, "not_found", "%v", err)
	case errors.Is(err, history.ErrQuestion):
		return newProblem(http.StatusBadRequest, "invalid", "%v", err)
	}
	s.log.Error("api request failed", "wanted", what, "err", err)
	return unavailable("the store could not answer it now: " + cut(err.Error(), 500))
}

func (s *Server) explainSearch(_ http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	q, p := readSearch(query{r.URL.Query()})
	if p != nil {
		return nil, p
	}
	h, p := s.past(r, who, "events.explain", "")
	if p != nil {
		return nil, p
	}
	plan, err := h.Explain(r.Context(), q)
	if err != nil {
		return nil, s.failedQuestion("events.explain", err)
	}
	return ok(plan), nil
}

func (s *Server) entity(_ http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	span, p := query{r.URL.Query()}.span("since", "until")
	if p != nil {
		return nil, p
	}
	id := history.EntityID{Kind: r.PathValue("kind"), Value: r.PathValue("value")}
	h, p := s.past(r, who, "entity.show", id.Value)
	if p != nil {
		return nil, p
	}
	e, err := h.Entity(r.Context(), id, span)
	if err != nil {
		return nil, s.failedQuestion("entity.show", err)
	}
	return ok(e), nil
}

func (s *Server) alert(_ http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	id := r.PathValue("id")
	h, p := s.past(r, who, "alerts.show", id)
	if p != nil {
		return nil, p
	}
	a, err := h.Alert(r.Context(), id)
	if err != nil {
		return nil, s.failedQuestion("alerts.show", err)
	}
	return ok(a), nil
}

// change reads a body and notes who is about to change what.
func (s *Server) change(w http.ResponseWriter, r *http.Request, who person, action string, into any, subject func() string) (History, *problem) {
	body, p := readBody(w, r, false)
	if p == nil {
		p = decode(body, into)
	}
	if p != nil {
		return nil, p
	}
	h, p := s.source()
	if p != nil {
		return nil, p
	}
	a := accessOf(r, who, action, subject())
	a.Detail = cut(string(body), maxDetail)
	if err := h.Note(r.Context(), a); err != nil {
		s.log.Error("api request failed", "wanted", action, "err", err)
		return nil, unavailable("who changes what could not be written down, so nothing was changed; it is safe to send the same request again")
	}
	return h, nil
}

func (s *Server) triage(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	var t history.Triage
	id := r.PathValue("id")
	h, p := s.change(w, r, who, "alerts.triage", &t, func() string { return id })
	if p != nil {
		return nil, p
	}
	t.By, t.Time = "", time.Time{} // the token and the clock say that
	a, err := h.Triage(r.Context(), who.by(), id, t)
	if err != nil {
		return nil, s.failedQuestion("alerts.triage", err)
	}
	s.log.Info("alert triaged", "by", who.by(), "id", a.ID, "state", a.Triage.State)
	return ok(a), nil
}

// erase may take long: parts of a table are written anew.
func (s *Server) erase(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	var q history.ErasureRequest
	h, p := s.change(w, r, who, "privacy.erase", &q, func() string { return q.Kind })
	if p != nil {
		return nil, p
	}
	done, err := h.Erase(r.Context(), q.EntityID, q.DryRun)
	if err != nil {
		return nil, s.failedQuestion("privacy.erase", err)
	}
	s.log.Info("a person's data erased", "by", who.by(), "kind", q.Kind, "dry_run", q.DryRun)
	return ok(done), nil
}

// A stream is flushed when so many events wait, or the oldest has waited so long.
const (
	flushEvents = 64
	flushAfter  = 100 * time.Millisecond
)

// searchEvents streams events, a line of JSON each. The last line is {"summary": …} or, when the search ended early, {"error": …}.
func (s *Server) searchEvents(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	q, p := readSearch(query{r.URL.Query()})
	if p != nil {
		return nil, p
	}
	h, p := s.past(r, who, "events.search", "")
	if p != nil {
		return nil, p
	}
	out := &lines{w: w, c: http.NewResponseController(w)}
	sum, err := h.Search(r.Context(), q, func(e *event.Event) error { return out.write(e) })
	switch {
	case err == nil:
		_ = out.write(map[string]any{"summary": sum}) // the client may be gone
	case !out.begun:
		return nil, s.failedQuestion("events.search", err)
	case r.Context().Err() == nil:
		p := s.failedQuestion("events.search", err)
		_ = out.write(map[string]any{"error": map[string]string{"type": p.Code, "title": p.Title, "detail": p.Detail}})
	}
	out.flush()
	return nil, nil
}

// lines writes JSON, a line each.
type lines struct {
	w       http.ResponseWriter
	c       *http.ResponseController
	begun   bool
	waiting int
	flushed time.Time
}

func (l *lines) write(v any) error {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	moreTime(l.c) // a full buffer is sent at once
	if _, err = l.w.Write(append(b, '\n')); err != nil {
		return err
	}
	if l.waiting++; l.waiting >= flushEvents || time.Since(l.flushed) > flushAfter {
		l.flush()
	}
	return nil
}

// flush sends what waits.
func (l *lines) flush() {
	l.waiting, l.flushed = 0, time.Now()
	moreTime(l.c)
	_ = l.c.Flush() // a recorder in a test cannot
}
