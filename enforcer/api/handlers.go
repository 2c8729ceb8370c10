package api

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/decision"
)

func (s *Server) list(_ http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
	f, p := readFilter(r.URL.Query())
	if p != nil {
		return nil, p
	}
	wanted := f.Limit
	f.Limit++ // one more tells whether there is a next page
	found := s.decisions.List(f)
	page := Page{Decisions: []Decision{}}
	if len(found) > wanted {
		found = found[:wanted]
		page.Next = found[wanted-1].ID
	}
	for _, d := range found {
		page.Decisions = append(page.Decisions, wireDecision(d))
	}
	return ok(page), nil
}

func (s *Server) get(_ http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
	d, err := s.decisions.Get(r.PathValue("id"))
	if err != nil {
		return nil, newProblem(http.StatusNotFound, "not_found",
			"there is no decision with the id %.40q; ended ones are kept for enforcer.keep_ended, "+
				"and the audit ledger has them all", r.PathValue("id"))
	}
	return ok(wireDecision(d)), nil
}

func (s *Server) add(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	body, p := readBody(w, r, false)
	if p != nil {
		return nil, p
	}
	req, p := decodeAdd(body)
	if p != nil {
		return nil, p
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return s.made(r, who, req)
	}
	if p := checkKey(key); p != nil {
		return nil, p
	}
	return s.addOnce(r, who, req, who.name+" "+key, body)
}

// addOnce adds the decision unless a request with the same key has done so.
func (s *Server) addOnce(r *http.Request, who person, req enforcer.Request, key string, body []byte) (*answer, *problem) {
	made, p := s.replays.begin(key, body)
	if p != nil {
		return nil, p
	}
	if made != nil {
		return &answer{http.StatusCreated, *made, http.Header{"Idempotency-Replayed": {"true"}}}, nil
	}
	var out *Decision
	defer func() { s.replays.end(key, out) }()
	a, p := s.made(r, who, req)
	if p == nil {
		d := a.body.(Decision)
		out = &d
	}
	return a, p
}

func (s *Server) made(r *http.Request, who person, req enforcer.Request) (*answer, *problem) {
	d, err := s.decisions.Add(r.Context(), who.by(), req)
	a, p := s.changed("decision added", who, d, err)
	if p == nil {
		a.status = http.StatusCreated
	}
	return a, p
}

// changed logs what a person changed, and answers with it.
func (s *Server) changed(what string, who person, d *decision.Decision, err error) (*answer, *problem) {
	if err != nil {
		return nil, s.failed(what, err)
	}
	s.log.Info(what, "by", who.by(), "id", d.ID, "state", d.State)
	return ok(wireDecision(d)), nil
}

// failed words the error, and logs what the client is not told.
func (s *Server) failed(what string, err error) *problem {
	p := problemOf(err)
	if p.Status == http.StatusServiceUnavailable {
		s.log.Error("api request failed", "wanted", what, "err", err)
	}
	return p
}

func (s *Server) extend(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	body, p := readBody(w, r, false)
	if p != nil {
		return nil, p
	}
	ttl, p := decodeExtend(body)
	if p != nil {
		return nil, p
	}
	d, err := s.decisions.Extend(r.Context(), who.by(), r.PathValue("id"), ttl)
	return s.changed("decision extended", who, d, err)
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	note, p := readNote(w, r)
	if p != nil {
		return nil, p
	}
	d, err := s.decisions.Revoke(r.Context(), who.by(), r.PathValue("id"), note)
	return s.changed("decision revoked", who, d, err)
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	note, p := readNote(w, r)
	if p != nil {
		return nil, p
	}
	d, err := s.decisions.Approve(r.Context(), who.by(), r.PathValue("id"), note)
	return s.changed("decision approved", who, d, err)
}

func readNote(w http.ResponseWriter, r *http.Request) (string, *problem) {
	body, p := readBody(w, r, true)
	if p != nil {
		return "", p
	}
	return decodeNote(body)
}

func (s *Server) explain(_ http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
	return s.explained(r.PathValue("id"))
}

func (s *Server) explainEntity(_ http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
	entity, p := parameter(r.URL.Query(), "entity")
	if p != nil {
		return nil, p
	}
	return s.explained(entity)
}

func (s *Server) explained(what string) (*answer, *problem) {
	e, err := s.decisions.Explain(what)
	if err != nil {
		return nil, s.failed("explain", err)
	}
	return ok(wireExplanation(e)), nil
}

func (s *Server) showSwitch(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
	return ok(wireSwitch(s.decisions.Switch())), nil
}

// throw turns the switch. Anybody on duty may stop enforcement; letting it loose again takes an approver.
func (s *Server) throw(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem) {
	body, p := readBody(w, r, false)
	if p != nil {
		return nil, p
	}
	in, p := decodeSwitch(body)
	if p != nil {
		return nil, p
	}
	if in.Mode == decision.Enforce && !who.role.allows(Approve) {
		s.refused.WithLabelValues("forbidden").Inc()
		return nil, forbidden(who, Approve, "turning the switch to enforce")
	}
	sw, err := s.decisions.Throw(r.Context(), who.by(), in.Mode, in.Note)
	if err != nil {
		return nil, s.failed("switch thrown", err)
	}
	s.log.Warn("switch thrown", "by", who.by(), "mode", sw.Mode)
	return ok(wireSwitch(sw)), nil
}

func (s *Server) gateways(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
	return ok(Gateways{append([]enforcer.GatewayStatus{}, s.decisions.Gateways()...)}), nil
}

// readAudit streams the ledger. A stream that fails half-way is broken off, so that its reader does not take it for the whole.
func (s *Server) readAudit(w http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
	after, p := readAfter(r)
	if p != nil {
		return nil, p
	}
	if s.audit == nil {
		return nil, unavailable("this process keeps no audit ledger; ask one that runs the enforcer role with the ledger on")
	}
	c, began := http.NewResponseController(w), false
	begin := func() {
		if !began {
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.WriteHeader(http.StatusOK)
			began = true
		}
	}
	err := s.audit(r.Context(), after, func(line []byte) error {
		begin()
		moreTime(c)
		_, err := w.Write(append(bytes.Clone(line), '\n'))
		return err
	})
	if err != nil && !began {
		return nil, s.failed("read the audit ledger", err)
	}
	if err != nil {
		s.log.Warn("audit stream broken off", "err", err)
		s.requests.WithLabelValues(r.URL.Path, "broken_off").Inc()
		panic(http.ErrAbortHandler)
	}
	begin()
	return nil, nil
}

func readAfter(r *http.Request) (uint64, *problem) {
	q := r.URL.Query()
	if !q.Has("after") {
		return 0, nil
	}
	text, p := parameter(q, "after")
	if p != nil {
		return 0, p
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("after", "%.40q is not a sequence number of the ledger", text)
	}
	return n, nil
}

func (s *Server) describe(contentType string, text []byte) func(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
	return func(w http.ResponseWriter, _ *http.Request, _ person) (*answer, *problem) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(text) // the client may be gone
		return nil, nil
	}
}

func (s *Server) health(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
	return ok(map[string]string{"status": "ok"}), nil
}
