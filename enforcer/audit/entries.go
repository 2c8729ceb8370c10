package audit

import (
	"strings"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
)

// maxError bounds what an entry says of an unreadable record, in bytes.
const maxError = 300

// entry makes the entry for a record; nil when the record says nothing new: a gateway that only shows that it lives. It depends on nothing
// but the record and the entries before, so that after a crash the same bytes are written.
func (d *draft) entry(chain string, r bus.Record) *ledger.Entry {
	e := &ledger.Entry{Chain: chain, Time: writable(r.Time),
		Source: &ledger.Source{Topic: r.Topic, Offset: r.Offset, SHA256: ledger.Sum(r.Value)}}
	var err error
	switch {
	case chain == ledger.Acks:
		var news bool
		if news, err = d.ack(e, r); err == nil && !news {
			return nil
		}
	case len(r.Value) == 0:
		d.removed(e, string(r.Key))
	case string(r.Key) == decision.SwitchKey:
		err = switched(e, r.Value)
	default:
		err = d.decided(e, r.Value)
	}
	if err != nil {
		text := strings.ToValidUTF8(err.Error(), "?")
		return &ledger.Entry{Chain: chain, Time: e.Time, Source: e.Source, Kind: ledger.Unreadable, Error: text[:min(len(text), maxError)]}
	}
	return e
}

// decided tells of a decision's record.
func (d *draft) decided(e *ledger.Entry, value []byte) error {
	rec, err := decision.Decode(value)
	if err != nil {
		return err
	}
	e.Decision, e.Entity, e.Action, e.Mode = rec.ID, rec.Entity(), rec.Action, rec.Mode
	e.Creator, e.Approver, e.Guardrail, e.Note = rec.Creator, rec.Approver, rec.Guardrail, rec.Note
	e.Reason, e.Expires = &rec.Reason, rec.Expires
	old := d.decision(e.Action, e.Entity)
	if old != nil && old.Decision != e.Decision {
		if rec.State != decision.Expired && !ended(old) {
			e.Replaces = old.Decision
		}
		old = nil
	}
	e.Kind = kind(rec.State, old, e)
	return nil
}

// kind says what a record means after the entry before it about the same decision.
func kind(state decision.State, old, e *ledger.Entry) ledger.Kind {
	switch state {
	case decision.Proposed:
		return ledger.Proposed
	case decision.Expired:
		return ledger.Expired
	case decision.Revoked:
		return ledger.Revoked
	}
	switch {
	case old == nil, ended(old):
		return ledger.Active
	case old.Kind == ledger.Proposed:
		return ledger.Approved
	case old.Source.SHA256 == e.Source.SHA256:
		return ledger.Repeated
	case e.Expires.After(old.Expires):
		return ledger.Extended
	}
	return ledger.Changed
}

func ended(e *ledger.Entry) bool { return e.Kind == ledger.Expired || e.Kind == ledger.Revoked }

// removed tells that the topic forgets an entity, named by its key; see [decision.Decision.Key].
func (d *draft) removed(e *ledger.Entry, key string) {
	e.Kind = ledger.Removed
	key = strings.ToValidUTF8(key, "?")
	action, terms, _ := strings.Cut(key[:min(len(key), decision.MaxEncoded)], "|")
	e.Action = decision.Action(action)
	for i, t := range strings.Split(terms, "\x1f") {
		if i > 0 {
			e.Entity += " and "
		}
		e.Entity += strings.Replace(t, "|", "=", 1)
	}
	if old := d.decision(e.Action, e.Entity); old != nil {
		e.Decision = old.Decision
	}
}

// switched tells of the global switch.
func switched(e *ledger.Entry, value []byte) error {
	s, err := decision.DecodeSwitch(value)
	if err != nil {
		return err
	}
	e.Kind, e.Mode, e.Approver, e.Note = ledger.Switched, s.Mode, s.By, s.Note
	return nil
}

// ack tells of an acknowledgement, if it is news.
func (d *draft) ack(e *ledger.Entry, r bus.Record) (news bool, err error) {
	if len(r.Value) == 0 {
		name := strings.ToValidUTF8(string(r.Key), "?")
		old := d.gateway(name)
		e.Kind, e.Gateway = ledger.Forgotten, &decision.Ack{Version: decision.Version, Gateway: name}
		return old != nil, nil
	}
	a, err := decision.DecodeAck(r.Value)
	if err != nil {
		return false, err
	}
	old := d.gateway(a.Gateway)
	e.Kind, e.Gateway, e.From = ledger.Ack, a, watermark(old)
	if a.Left {
		e.Kind = ledger.Left
	}
	return old == nil || old.Gateway.Offset != a.Offset || old.Gateway.Left != a.Left || old.Gateway.Error != a.Error ||
		old.Gateway.Repaired != a.Repaired, nil
}

// writable is the time as JSON can write it; a time that it cannot is none.
func writable(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
