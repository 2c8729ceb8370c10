package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/warder/warder/enforcer"
)

// Problem is the answer to a request that is not done, as RFC 9457 has it.
type Problem struct {
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // the HTTP status
	Code   string `json:"code"`   // what programs go by; docs/api.md lists them
	Detail string `json:"detail"` // what is wrong, and what to do about it
	Field  string `json:"field,omitempty"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Detail }

// problem is a Problem and the headers that belong to it.
type problem struct {
	Problem
	retryAfter int  // seconds
	challenge  bool // WWW-Authenticate
}

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{Problem: Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}}
}

func unauthenticated(detail string) *problem {
	p := newProblem(http.StatusUnauthorized, "unauthenticated", "%s", detail)
	p.challenge = true
	return p
}

func tooManyFailures(wait time.Duration) *problem {
	p := newProblem(http.StatusTooManyRequests, "too_many_failures",
		"this address has sent too many wrong tokens; try again in %d seconds", seconds(wait))
	p.retryAfter = seconds(wait)
	return p
}

func forbidden(who person, needed Role, what string) *problem {
	return newProblem(http.StatusForbidden, "forbidden",
		"%s needs the role %s, and %s has the role %s; ask somebody who has it, or change api.tokens", what, needed, who.name, who.role)
}

// invalid is the problem of one field, parameter or header.
func invalid(field, format string, args ...any) *problem {
	p := newProblem(http.StatusBadRequest, "invalid", "%s: %s", field, fmt.Sprintf(format, args...))
	p.Field = field
	return p
}

// problemOf words an error of the enforcer. What a person can do nothing about is only in the log.
func problemOf(err error) *problem {
	switch {
	case errors.Is(err, enforcer.ErrNotFound):
		return newProblem(http.StatusNotFound, "not_found", "%v", err)
	case errors.Is(err, enforcer.ErrInvalid):
		return newProblem(http.StatusBadRequest, "invalid", "%v", err)
	case errors.Is(err, enforcer.ErrConflict):
		return newProblem(http.StatusConflict, "conflict", "%v", err)
	}
	return unavailable("the enforcer could not do it now; it is safe to send the same request again. The enforcer's log says more")
}

func unavailable(detail string) *problem {
	p := newProblem(http.StatusServiceUnavailable, "unavailable", "%s", detail)
	p.retryAfter = 5
	return p
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.challenge {
		h.Set("WWW-Authenticate", `Bearer realm="warder"`)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.Problem) // the client may be gone
}

// seconds rounds up, to at least 1.
func seconds(d time.Duration) int { return int(max(1, (d+time.Second-1)/time.Second)) }
