package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// Limits of requests, in bytes.
const (
	MaxBody = 64 << 10
	MaxNote = 1000
)

// AddRequest is the body that asks for a decision. Durations are written "90s", "15m", "2h" or "7d".
type AddRequest struct {
	Action decision.Action `json:"action"` // block when empty
	Terms  []decision.Term `json:"terms"`
	TTL    string          `json:"ttl"`
	Rate   *RateRequest    `json:"rate,omitempty"`
	Status int             `json:"status,omitempty"`
	Mode   decision.Mode   `json:"mode,omitempty"` // enforce when empty
	Note   string          `json:"note,omitempty"`
}

// RateRequest is a limit's rate: Requests per Per on average, Burst at once.
type RateRequest struct {
	Requests int    `json:"requests"`
	Per      string `json:"per"`   // 1s when empty
	Burst    int    `json:"burst"` // Requests when 0
}

// ExtendRequest is the body that gives a decision a new life of TTL from now.
type ExtendRequest struct {
	TTL string `json:"ttl"`
}

// NoteRequest is the body that revokes or approves a decision.
type NoteRequest struct {
	Note string `json:"note,omitempty"`
}

// SwitchRequest is the body that throws the switch.
type SwitchRequest struct {
	Mode decision.Mode `json:"mode"`
	Note string        `json:"note,omitempty"`
}

// readBody returns the request's JSON. Without a body it returns nothing, if that is allowed.
func readBody(w http.ResponseWriter, r *http.Request, optional bool) ([]byte, *problem) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes", MaxBody)
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "invalid", "the body could not be read to its end")
	case optional && len(b) == 0:
		return nil, nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "media_type",
			"the body must be JSON: send the header \"Content-Type: application/json\"")
	}
	return b, nil
}

// decode reads one JSON object without unknown fields.
func decode(b []byte, into any) *problem {
	if !utf8.Valid(b) {
		return newProblem(http.StatusBadRequest, "invalid", "the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return invalid(wrongType.Field, "is a JSON %s, which it cannot be", wrongType.Value)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return invalid(cut(name, 60), "there is no such field; /api/v1/openapi.yaml lists them")
	case err != nil:
		return newProblem(http.StatusBadRequest, "invalid", "the body is not a JSON object of this request: %s", cut(err.Error(), 120))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return newProblem(http.StatusBadRequest, "invalid", "the body goes on after its JSON object")
	}
	return nil
}

func cut(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// decodeAdd reads the request for a decision.
func decodeAdd(b []byte) (enforcer.Request, *problem) {
	var in AddRequest
	var out enforcer.Request
	if p := decode(b, &in); p != nil {
		return out, p
	}
	out = enforcer.Request{Action: in.Action, Status: in.Status, Mode: in.Mode, Note: in.Note}
	if out.Action == "" {
		out.Action = decision.Block
	}
	if out.Mode == "" {
		out.Mode = decision.Enforce
	}
	var p *problem
	if out.Terms, p = readTerms(in.Terms); p != nil {
		return out, p
	}
	if out.TTL, p = readTTL("ttl", in.TTL); p != nil {
		return out, p
	}
	if out.Rate, p = in.rate(); p != nil {
		return out, p
	}
	return out, firstProblem(checkAction(out), checkMode(out.Mode), checkNote(out.Note))
}

func firstProblem(ps ...*problem) *problem {
	for _, p := range ps {
		if p != nil {
			return p
		}
	}
	return nil
}

func readTerms(terms []decision.Term) ([]decision.Term, *problem) {
	if len(terms) == 0 {
		return nil, invalid("terms", `is missing: say what the decision is about, for example [{"scope": "source.address", "value": "203.0.113.9"}]`)
	}
	if len(terms) > decision.MaxTerms {
		return nil, invalid("terms", "has %d entries, limit is %d", len(terms), decision.MaxTerms)
	}
	for i, t := range terms {
		if _, err := decision.Canonical(t); err != nil {
			return nil, invalid("terms["+strconv.Itoa(i)+"]", "%v", err)
		}
	}
	out, err := decision.Canonical(terms...)
	if err != nil {
		return nil, invalid("terms", "%v", err)
	}
	return out, nil
}

// readTTL reads a duration above zero.
func readTTL(field, text string) (time.Duration, *problem) {
	if text == "" {
		return 0, invalid(field, "is missing: every decision expires; write for example 15m")
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return 0, invalid(field, "%v", err)
	}
	if d <= 0 {
		return 0, invalid(field, "%.40q is not above zero", text)
	}
	return d.Std(), nil
}

func (in *AddRequest) rate() (*decision.Rate, *problem) {
	if in.Rate == nil {
		return nil, nil
	}
	if in.Rate.Per == "" {
		in.Rate.Per = "1s"
	}
	per, p := readTTL("rate.per", in.Rate.Per)
	if p != nil {
		return nil, p
	}
	out := &decision.Rate{Requests: in.Rate.Requests, Per: per, Burst: in.Rate.Burst}
	if out.Burst == 0 {
		out.Burst = out.Requests
	}
	if out.Requests < 1 {
		return nil, invalid("rate.requests", "is %d, want at least 1; to let nothing through, block", out.Requests)
	}
	if out.Burst < 1 {
		return nil, invalid("rate.burst", "is %d, want at least 1", out.Burst)
	}
	return out, nil
}

// checkAction tells whether the fields that belong to an action are there, and no others.
func checkAction(r enforcer.Request) *problem {
	switch r.Action {
	case decision.Block, decision.Limit, decision.Challenge, decision.Log:
	default:
		return invalid("action", "%.20q is not block, limit, challenge or log", r.Action)
	}
	limit, challenge := r.Action == decision.Limit, r.Action == decision.Challenge
	switch {
	case limit && r.Rate == nil:
		return invalid("rate", `is missing: a limit needs one, for example {"requests": 10, "per": "1s", "burst": 20}`)
	case !limit && r.Rate != nil:
		return invalid("rate", "belongs to a limit, not to %s", r.Action)
	case challenge && r.Status != http.StatusUnauthorized && r.Status != http.StatusTooManyRequests:
		return invalid("status", "is %d, want 401 or 429: it is what a challenge answers", r.Status)
	case !challenge && r.Status != 0:
		return invalid("status", "belongs to a challenge, not to %s", r.Action)
	}
	return nil
}

func checkMode(m decision.Mode) *problem {
	if m != decision.Enforce && m != decision.Observe {
		return invalid("mode", "%.20q is not enforce or observe", m)
	}
	return nil
}

func checkNote(note string) *problem {
	if len(note) > MaxNote {
		return invalid("note", "has %d bytes, limit is %d", len(note), MaxNote)
	}
	if strings.IndexFunc(note, unicode.IsControl) >= 0 {
		return invalid("note", "holds control characters: write one line")
	}
	return nil
}

// decodeExtend reads the new life of a decision.
func decodeExtend(b []byte) (time.Duration, *problem) {
	var in ExtendRequest
	if p := decode(b, &in); p != nil {
		return 0, p
	}
	return readTTL("ttl", in.TTL)
}

// decodeNote reads a note; no body is no note.
func decodeNote(b []byte) (string, *problem) {
	var in NoteRequest
	if len(b) == 0 {
		return "", nil
	}
	if p := decode(b, &in); p != nil {
		return "", p
	}
	return in.Note, checkNote(in.Note)
}

// decodeSwitch reads how the switch is to stand.
func decodeSwitch(b []byte) (SwitchRequest, *problem) {
	var in SwitchRequest
	if p := decode(b, &in); p != nil {
		return in, p
	}
	return in, firstProblem(checkMode(in.Mode), checkNote(in.Note))
}
