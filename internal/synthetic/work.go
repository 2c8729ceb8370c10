package synthetic

import (
	"context"
	"fmt"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
)

// persons are those who work with Warder.
func persons() [3]string { return [3]string{"ines", "jonas", "mara"} }

func (f *filler) person() string { return persons()[f.rnd.IntN(3)] }

// days is how many days the history has, at least one.
func (f *filler) days() int { return max(1, int(f.end.Sub(f.t.cfg.Start).Hours()/24)) }

// manual returns the decisions that people make by themselves: two a day.
func (f *filler) manual() []store.Change {
	var out []store.Change
	kinds := []decision.Term{{Scope: decision.CIDR, Value: "240.24.7.0/24"}, {Scope: decision.Country, Value: "VN"}, {Scope: decision.ASN, Value: "65550"},
		{Scope: decision.UserAgent, Value: "python-requests/2.31.0"}}
	for i := range 2 * f.days() {
		at := f.t.clock.when(f.rnd.Float64() * 0.9).Truncate(time.Millisecond)
		term := kinds[i%len(kinds)]
		action := []decision.Action{decision.Block, decision.Log, decision.Log, decision.Challenge}[i%len(kinds)]
		d := decision.Decision{Version: decision.Version, ID: decision.NewID(fmt.Sprint("manual", i, at), action, term), Action: action, Scope: term.Scope,
			Value: term.Value, Mode: decision.Enforce, State: decision.Active, Creator: "person:" + f.person(), Created: at,
			Expires: at.Add(time.Duration(1+f.rnd.IntN(5)) * time.Hour), Note: "seen in the morning's report"}
		if action == decision.Challenge {
			d.Status = 429
		}
		over := d
		over.State = decision.Expired
		out = append(out, store.Change{Decision: &d, Updated: at}, store.Change{Decision: &over, Updated: d.Expires.Add(300 * time.Millisecond)})
	}
	return out
}

// triage lets people look at alerts: at the grave ones soon and nearly always, at the others now and then.
func (f *filler) triage(ctx context.Context) error {
	var rows [][]any
	add := func(a *alert.Alert, at time.Time, state, verdict, by, note string) bool {
		if !at.Before(f.end) {
			return false
		}
		rows = append(rows, []any{a.ID, at, state, verdict, by, note})
		return true
	}
	for _, x := range f.findings {
		a, rank := x.Alert, x.Alert.Severity.Rank()
		if f.rnd.IntN(100) >= []int{15, 35, 60, 88, 97}[rank] || a.Mode == alert.Shadow && f.rnd.IntN(2) == 0 {
			continue
		}
		by := "person:" + f.person()
		at := a.Time.Add(lasting(f.rnd, []time.Duration{50, 40, 25, 10, 4}[rank]*time.Second, 0.5) * 60)
		if !add(a, at, history.Acknowledged, "", by, "") || f.rnd.IntN(10) == 0 {
			continue
		}
		verdict, note := f.verdict(a)
		add(a, at.Add(lasting(f.rnd, 35*time.Second, 0.5)*60), history.Closed, verdict, by, note)
	}
	f.sum.Triage = len(rows)
	return f.rows(ctx, "triage (alert, time, state, verdict, by, note)", rows)
}

// verdict is what people find: each rule is wrong in a share of the cases that is its own, the graver ones less.
func (f *filler) verdict(a *alert.Alert) (verdict, note string) {
	var n uint64
	for _, c := range []byte(a.Rule) {
		n = mix(n ^ uint64(c))
	}
	wrong := float64(n%50) / 100 * []float64{1.2, 1, 0.7, 0.35, 0.15}[a.Severity.Rank()]
	switch x := f.rnd.Float64(); {
	case x < wrong:
		return history.FalsePositive, "a client that works with the service"
	case x < wrong+0.12:
		return history.Benign, "the yearly penetration test"
	}
	return history.TruePositive, ""
}

// audit writes who read the history and changed it, and what versions before the ledger wrote.
func (f *filler) audit(ctx context.Context) error {
	accesses := []struct{ action, subject string }{ // as the API names them
		{"alerts.list", ""}, {"alerts.show", "alert"}, {"alerts.triage", "alert"}, {"events.search", ""}, {"events.timeline", ""}, {"entity.show", "240.3.0.9"}, {"privacy.erase", "principal"},
	}
	var rows [][]any
	add := func(action, subject string) {
		id := event.NewID("audit", uint64(len(rows)))
		rows = append(rows, []any{string(id[:]), f.t.clock.when(f.rnd.Float64()), "person:" + f.person(), action, subject, "{}"})
	}
	for range 20 * f.days() {
		add([]string{"decision.approve", "decision.revoke", "switch.enforce", "token.create"}[f.rnd.IntN(4)], fmt.Sprintf("240.3.%d.9", f.rnd.IntN(255)))
		a := accesses[f.rnd.IntN(len(accesses))]
		add(a.action, a.subject)
	}
	f.sum.Audit = len(rows)
	return f.rows(ctx, "audit (id, time, actor, action, subject, detail)", rows)
}
