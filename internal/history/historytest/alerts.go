package historytest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

func alertIDs(alerts []history.Alert) []string {
	var out []string
	for _, a := range alerts {
		out = append(out, a.ID)
	}
	return out
}

func decisionIDs(changes []history.DecisionChange) []string {
	var out []string
	for _, c := range changes {
		out = append(out, c.ID)
	}
	return out
}

func (s *suite) listAlerts(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter history.AlertFilter
		want   []string
	}{
		{"all", history.AlertFilter{}, []string{stealing, scraping, stuffing}},
		{"span", history.AlertFilter{Span: history.Span{Since: s.alerts[1].Time, Until: s.alerts[2].Time}}, []string{scraping}},
		{"span without any", history.AlertFilter{Span: history.Span{Since: s.at(200)}}, nil},
		{"severity", history.AlertFilter{MinSeverity: alert.High}, []string{stealing, stuffing}},
		{"rule", history.AlertFilter{Rule: "scraping"}, []string{scraping}},
		{"tag", history.AlertFilter{Tag: "tag-stealing"}, []string{stealing}},
		{"entity", history.AlertFilter{Entity: "bob"}, []string{stealing}},
		{"open", history.AlertFilter{State: history.Open}, []string{stealing, scraping, stuffing}},
		{"closed", history.AlertFilter{State: history.Closed}, nil},
		{"limit", history.AlertFilter{Limit: 2}, []string{stealing, scraping}},
		{"stored of late", history.AlertFilter{StoredSince: time.Now().Add(-time.Hour)}, []string{stealing, scraping, stuffing}},
		{"stored in future", history.AlertFilter{StoredSince: time.Now().Add(time.Hour)}, nil},
		{"limit past the bound", history.AlertFilter{Limit: 10 * history.MaxRows}, []string{stealing, scraping, stuffing}},
		{"hostile", history.AlertFilter{Rule: "' OR 1=1 --"}, nil},
	} {
		got, err := s.Reader.Alerts(t.Context(), c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, c.want, alertIDs(got))
	}
	got, err := s.Reader.Alerts(t.Context(), history.AlertFilter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if at := got[0].Stored; time.Since(at).Abs() > time.Hour {
		t.Errorf("stored at %s", at)
	}
	got[0].Stored = time.Time{}
	same(t, "an alert", []history.Alert{{Alert: s.alerts[2], Triage: history.Triage{State: history.Open}}}, got)
}

func (s *suite) oneAlert(t *testing.T) {
	for _, id := range []string{stuffing, stuffing[:7]} {
		got, err := s.Reader.Alert(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		same(t, id, s.alerts[0], got.Alert.Alert)
		same(t, id+": decisions", []history.DecisionChange{s.changes[3]}, got.Decisions)
		var evidence []event.ID
		for _, e := range got.Evidence {
			evidence = append(evidence, e.ID)
		}
		var want []event.ID
		for _, e := range s.events[:6] {
			want = append(want, e.ID)
		}
		same(t, id+": evidence", want, evidence)
	}
	for id, want := range map[string]error{"abcdef": history.ErrQuestion, "abcde": history.ErrQuestion, "": history.ErrQuestion,
		strings.Repeat("a", 500): history.ErrQuestion, "abcdef3": history.ErrNotFound, "%%%%%%%": history.ErrNotFound, stuffing + "1": history.ErrNotFound} {
		_, err := s.Reader.Alert(t.Context(), id)
		fails(t, "alert "+id, err, want)
		if id == "abcdef" && (err == nil || !strings.Contains(err.Error(), stuffing) || !strings.Contains(err.Error(), scraping)) {
			t.Errorf("%v does not list the alerts", err)
		}
	}
}

func (s *suite) decisions(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter history.DecisionFilter
		want   []string
	}{
		{"all", history.DecisionFilter{}, []string{held, blocked, personal}},
		{"history", history.DecisionFilter{History: true}, []string{held, blocked, personal, blocked, blocked}},
		{"active", history.DecisionFilter{State: decision.Active}, []string{held, personal}},
		{"were active", history.DecisionFilter{State: decision.Active, History: true}, []string{held, personal, blocked}},
		{"id", history.DecisionFilter{ID: blocked}, []string{blocked}},
		{"value", history.DecisionFilter{Value: "bob"}, []string{held}},
		{"newest change in the span", history.DecisionFilter{Span: history.Span{Until: s.at(2)}}, []string{personal}},
		{"changes in the span", history.DecisionFilter{Span: history.Span{Until: s.at(2)}, History: true}, []string{personal, blocked, blocked}},
		{"limit", history.DecisionFilter{Limit: 1}, []string{held}},
		{"unknown", history.DecisionFilter{ID: "d9"}, nil},
	} {
		got, err := s.Reader.Decisions(t.Context(), c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, c.want, decisionIDs(got))
		for _, g := range got {
			if !slices.ContainsFunc(s.changes, func(c history.DecisionChange) bool {
				return c.ID == g.ID && c.State == g.State && c.Updated.Equal(g.Updated)
			}) {
				t.Errorf("%s: %s %s at %s never was", c.name, g.ID, g.State, g.Updated)
			}
		}
	}
}
