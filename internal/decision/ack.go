package decision

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Ack is a gateway's acknowledgement: everything on the decisions topic up to Offset is in force there. The topic warder.acks keeps
// the newest one of each gateway. Gateways write one when the offset has moved, and every ten seconds.
type Ack struct {
	Version int    `json:"v"`
	Gateway string `json:"gateway"` // unique name of the instance: "edge-1", "edge-1/haproxy"
	Kind    string `json:"kind"`    // "inline", "envoy", "haproxy", …
	// Offset is the last record of the decisions topic that is in force; -1 before the first.
	Offset int64     `json:"offset"`
	Held   int       `json:"held"` // decisions in force there
	At     time.Time `json:"at"`
	// Error says why the gateway lags, "" when it does not.
	Error string `json:"error,omitempty"`
	// Repaired counts the entries that were found missing or foreign when the gateway's own state was read back, since its start.
	Repaired uint64 `json:"repaired,omitempty"`
	// Left tells that the gateway was stopped in order: nothing is expected of it.
	Left bool `json:"left,omitempty"`
}

// Key is the acknowledgement's key on its compacted topic.
func (a *Ack) Key() []byte { return []byte(a.Gateway) }

// Encode returns the acknowledgement's JSON form.
func (a *Ack) Encode() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode acknowledgement: %w", err)
	}
	return b, nil
}

// DecodeAck reads and validates what Encode wrote.
func DecodeAck(b []byte) (*Ack, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode acknowledgement: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	a := new(Ack)
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("decode acknowledgement: %w", err)
	}
	switch {
	case a.Version != Version:
		return nil, fmt.Errorf("decode acknowledgement: schema version %d, this program reads %d", a.Version, Version)
	case a.Gateway == "":
		return nil, errors.New("decode acknowledgement: gateway is missing")
	case len(a.Gateway) > MaxValue || !printable(a.Gateway):
		return nil, fmt.Errorf("decode acknowledgement: gateway is longer than %d bytes or holds control characters", MaxValue)
	case a.Offset < -1:
		return nil, fmt.Errorf("decode acknowledgement: offset %d, want at least -1", a.Offset)
	case a.Held < 0:
		return nil, fmt.Errorf("decode acknowledgement: held %d, want at least 0", a.Held)
	}
	return a, nil
}
