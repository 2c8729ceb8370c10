package decision

import (
	"encoding/json"
	"fmt"
	"time"
)

// SwitchKey is the key of the global switch on the decisions topic. No decision has it.
const SwitchKey = "switch"

// Switch turns every gateway to observe at once, and back. It stands on the decisions topic beside the decisions.
type Switch struct {
	Version int       `json:"v"`
	Mode    Mode      `json:"mode"` // Observe: no gateway refuses anything
	By      string    `json:"by"`   // "person:<name>"
	At      time.Time `json:"at"`
	Note    string    `json:"note,omitempty"`
}

// Encode returns the switch's JSON form.
func (s Switch) Encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode switch: %w", err)
	}
	return b, nil
}

// DecodeSwitch reads and validates what Encode wrote.
func DecodeSwitch(b []byte) (Switch, error) {
	var s Switch
	if len(b) > MaxEncoded {
		return s, fmt.Errorf("decode switch: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("decode switch: %w", err)
	}
	if s.Version != Version {
		return s, fmt.Errorf("decode switch: schema version %d, this program reads %d", s.Version, Version)
	}
	if s.Mode != Enforce && s.Mode != Observe {
		return s, fmt.Errorf("decode switch: unknown mode %.20q", s.Mode)
	}
	return s, nil
}
