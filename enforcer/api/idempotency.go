package api

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
	"unicode"
)

// Limits on remembered Idempotency-Keys.
const (
	keepKeys  = time.Hour
	maxKeys   = 4096
	maxKeyLen = 128
)

// replays remembers what requests with an Idempotency-Key made, so that a client that lost the answer can ask again. It is kept in
// memory: after a restart a repeat finds the decision that the first request made, as the enforcer has one per entity and action.
// It is safe for concurrent use.
type replays struct {
	now func() time.Time

	mu   sync.Mutex
	made map[string]replay
}

// replay is what a key stands for. made is nil while the first request is under way.
type replay struct {
	body [sha256.Size]byte
	made *Decision
	at   time.Time
}

func newReplays(now func() time.Time) *replays { return &replays{now: now, made: map[string]replay{}} }

// checkKey tells what is wrong with the header.
func checkKey(key string) *problem {
	if len(key) > maxKeyLen {
		return invalid("Idempotency-Key", "has %d bytes, limit is %d", len(key), maxKeyLen)
	}
	for _, r := range key {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return invalid("Idempotency-Key", "holds other than printable ASCII")
		}
	}
	return nil
}

// begin claims the key for the request. It returns the decision that an earlier request with the key made, if there is one.
func (s *replays) begin(key string, body []byte) (*Decision, *problem) {
	hash := sha256.Sum256(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.made[key]
	switch {
	case ok && s.now().Sub(old.at) > keepKeys:
	case ok && old.body != hash:
		return nil, newProblem(http.StatusConflict, "conflict", "this Idempotency-Key was used with another body; use a new key for a new request")
	case ok && old.made == nil:
		return nil, newProblem(http.StatusConflict, "conflict", "a request with this Idempotency-Key is under way; ask again in a moment")
	case ok:
		return old.made, nil
	}
	if !ok && len(s.made) >= maxKeys {
		s.forget()
	}
	s.made[key] = replay{body: hash, at: s.now()}
	return nil, nil
}

// end says what the request made; nil gives the key free.
func (s *replays) end(key string, made *Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.made[key]
	switch {
	case made == nil:
		delete(s.made, key)
	case ok:
		r.made = made
		s.made[key] = r
	}
}

// forget removes the oldest key.
func (s *replays) forget() {
	oldest, at := "", time.Time{}
	for key, r := range s.made {
		if at.IsZero() || r.at.Before(at) {
			oldest, at = key, r.at
		}
	}
	delete(s.made, oldest)
}
