package enforcer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// asPerson calls fn in turn, once the decisions so far are known. by is "person:<name>".
func (e *Enforcer) asPerson(ctx context.Context, by string, fn func() error) error {
	if name, ok := strings.CutPrefix(by, byPerson); !ok || name == "" || len(by) > decision.MaxValue {
		return fmt.Errorf("%w: %.60q is no person; write person:<name>", ErrInvalid, by)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		return fmt.Errorf("wait for the decisions topic: %w", ctx.Err())
	}
	return e.inTurn(ctx, fn)
}

// change writes what edit makes of the decision with the id. edit returns false when nothing is to be done.
func (e *Enforcer) change(ctx context.Context, by, id string, edit func(d *decision.Decision, now time.Time) (bool, error)) (d *decision.Decision, err error) {
	err = e.asPerson(ctx, by, func() error {
		old, err := e.Get(id)
		if err != nil {
			return err
		}
		c := *old
		changed, err := edit(&c, e.now())
		if err != nil || !changed {
			d = old
			return err
		}
		c.Approver = by
		d = &c
		if err := d.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return e.write(ctx, d)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Add makes a person's decision. Repeating it with the same nonce makes no second one. Size and shares do not hold it back, they are said in
// its note; the never-block lists do.
func (e *Enforcer) Add(ctx context.Context, by string, r Request) (d *decision.Decision, err error) {
	err = e.asPerson(ctx, by, func() error {
		d, err = e.requested(by, r)
		if err != nil {
			return err
		}
		if known, _ := e.ledger.repeated(d.ID); known != nil {
			d = known
			return nil
		}
		if old := e.ledger.at(d.Key()); old != nil && old.Applies(d.Created) && refuses(old) {
			d.Share = max(d.Share, old.Share)
		}
		if err := e.write(ctx, d); err != nil {
			return err
		}
		e.m.decided(d, d.Created)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// requested builds the decision that a person asks for.
func (e *Enforcer) requested(by string, r Request) (*decision.Decision, error) {
	if err := e.lasts(r.TTL); err != nil {
		return nil, err
	}
	if len(r.Terms) == 0 {
		return nil, fmt.Errorf("%w: it names no entity", ErrInvalid)
	}
	terms, err := decision.Canonical(r.Terms...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	now := e.now()
	if r.Nonce == "" {
		r.Nonce = now.Format(time.RFC3339Nano)
	}
	if r.Mode == "" {
		r.Mode = decision.Enforce
	}
	d := &decision.Decision{Version: decision.Version, ID: decision.NewID(by+"\x00"+r.Nonce, r.Action, terms...), Action: r.Action, Rate: r.Rate,
		Status: r.Status, Wanted: r.Mode, Mode: r.Mode, State: decision.Active, Creator: by, Created: now, Expires: now.Add(r.TTL),
		Reason: decision.Reason{EventTime: now}}
	about(d, terms)
	say(d, r.Note)
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d.Mode = e.policy.mode(r.Mode)
	if claimed(d) {
		return nil, fmt.Errorf("%w: nobody proves to be %s, so no gateway can refuse it", ErrInvalid, d.Entity())
	}
	if err := e.listed(d); err != nil {
		return nil, err
	}
	var good int64
	d.Share, good = e.share(d)
	if why := e.policy.large(d, good); why != "" {
		say(d, "its size needs approval from a rule: "+why)
	}
	return d, nil
}

func (e *Enforcer) lasts(ttl time.Duration) error {
	if ttl <= 0 || ttl > e.cfg.MaxTTL.Std() {
		return fmt.Errorf("%w: a decision lasts above zero and at most enforcer.max_ttl, %s; got %s", ErrInvalid, e.cfg.MaxTTL.Std(), ttl)
	}
	return nil
}

func (e *Enforcer) listed(d *decision.Decision) error {
	if hit := e.policy.never(d); hit != "" {
		return fmt.Errorf("%w: %s is on the never-block list (enforcer.never_block, enforcer.never_block_principals)", ErrConflict, hit)
	}
	return nil
}

// Extend lets a decision in force last for ttl from now, which may also be shorter than before.
func (e *Enforcer) Extend(ctx context.Context, by, id string, ttl time.Duration) (*decision.Decision, error) {
	if err := e.lasts(ttl); err != nil {
		return nil, err
	}
	return e.change(ctx, by, id, func(d *decision.Decision, now time.Time) (bool, error) {
		if !d.Applies(now) {
			return false, fmt.Errorf("%w: the decision is %s, only one in force can be extended", ErrConflict, over(d, now))
		}
		if err := e.listed(d); err != nil {
			return false, err
		}
		d.Expires = now.Add(ttl)
		return true, nil
	})
}

// over is the decision's state as it is now: the sweep may not have written the end yet.
func over(d *decision.Decision, now time.Time) decision.State {
	if (d.State == decision.Active || d.State == decision.Proposed) && !now.Before(d.Expires) {
		return decision.Expired
	}
	return d.State
}

// Revoke ends a decision in force or refuses a proposal. Doing it again changes nothing.
func (e *Enforcer) Revoke(ctx context.Context, by, id, note string) (*decision.Decision, error) {
	return e.change(ctx, by, id, func(d *decision.Decision, now time.Time) (bool, error) {
		switch over(d, now) {
		case decision.Revoked:
			return false, nil
		case decision.Expired:
			return false, fmt.Errorf("%w: the decision has expired", ErrConflict)
		}
		d.State = decision.Revoked
		say(d, note)
		return true, nil
	})
}

// Approve puts a proposal in force, for as long from now as it was meant to last. Doing it again changes nothing.
func (e *Enforcer) Approve(ctx context.Context, by, id, note string) (*decision.Decision, error) {
	return e.change(ctx, by, id, func(d *decision.Decision, now time.Time) (bool, error) {
		switch state := over(d, now); {
		case state == decision.Active && d.Approver == by:
			return false, nil
		case state != decision.Proposed:
			return false, fmt.Errorf("%w: the decision is %s, only a proposal can be approved", ErrConflict, state)
		}
		if err := e.listed(d); err != nil {
			return false, err
		}
		ttl := min(d.Expires.Sub(d.Created), e.cfg.MaxTTL.Std())
		d.State, d.Created, d.Expires = decision.Active, now, now.Add(ttl) // from here on the rollback watches it
		d.Mode = e.policy.mode(d.Wanted)
		say(d, note)
		return true, nil
	})
}

// Throw sets the global switch: with Observe no gateway refuses anything, with Enforce each does what the decisions say. Gateways
// act on the record by themselves.
func (e *Enforcer) Throw(ctx context.Context, by string, mode decision.Mode, note string) (decision.Switch, error) {
	s := decision.Switch{Version: decision.Version, Mode: mode, By: by, Note: note}
	if mode != decision.Enforce && mode != decision.Observe {
		return s, fmt.Errorf("%w: the switch knows enforce and observe, got %.20q", ErrInvalid, mode)
	}
	if len(note) > maxNote {
		return s, fmt.Errorf("%w: the note has %d bytes, limit is %d", ErrInvalid, len(note), maxNote)
	}
	err := e.asPerson(ctx, by, func() error {
		s.At = e.now()
		v, err := s.Encode()
		if err != nil {
			return err
		}
		rec := bus.Record{Topic: bus.TopicDecisions, Partition: bus.AnyPartition, Key: []byte(decision.SwitchKey), Value: v}
		if err := e.produce(ctx, []bus.Record{rec}); err != nil {
			return err
		}
		e.log.Warn("the global switch was thrown", "mode", mode, "by", by)
		return nil
	})
	return s, err
}

// Switch returns the global switch as it was thrown last; with the zero time in At it never was.
func (e *Enforcer) Switch() decision.Switch {
	s := e.ledger.switchedTo()
	if s.Mode == "" {
		s = decision.Switch{Version: decision.Version, Mode: decision.Enforce}
	}
	return s
}
