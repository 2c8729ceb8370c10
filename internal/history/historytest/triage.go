package historytest

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/internal/history"
)

func (s *suite) triageRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		by, id string
		triage history.Triage
		want   error
	}{
		{"nobody", "", stuffing, history.Triage{State: history.Acknowledged}, history.ErrQuestion},
		{"long name", strings.Repeat("k", 300), stuffing, history.Triage{State: history.Acknowledged}, history.ErrQuestion},
		{"no state", "person:kim", stuffing, history.Triage{}, history.ErrQuestion},
		{"unknown state", "person:kim", stuffing, history.Triage{State: "lost"}, history.ErrQuestion},
		{"closed without verdict", "person:kim", stuffing, history.Triage{State: history.Closed}, history.ErrQuestion},
		{"unknown verdict", "person:kim", stuffing, history.Triage{State: history.Closed, Verdict: "guilty"}, history.ErrQuestion},
		{"open with a verdict", "person:kim", stuffing, history.Triage{State: history.Open, Verdict: history.Benign}, history.ErrQuestion},
		{"long note", "person:kim", stuffing, history.Triage{State: history.Open, Note: strings.Repeat("é", 1001)}, history.ErrQuestion},
		{"ambiguous", "person:kim", "abcdef", history.Triage{State: history.Acknowledged}, history.ErrQuestion},
		{"unknown", "person:kim", "0123456789", history.Triage{State: history.Acknowledged}, history.ErrNotFound},
	} {
		_, err := s.Triager.Triage(t.Context(), c.by, c.id, c.triage)
		fails(t, c.name, err, c.want)
	}
}

func (s *suite) triage(t *testing.T) {
	steps := []history.Triage{
		{State: history.Acknowledged, Note: "looking\n'; DROP TABLE triage"},
		{State: history.Closed, Verdict: history.FalsePositive, Note: strings.Repeat("n", 2000)},
		{State: history.Open},
		{State: history.Closed, Verdict: history.TruePositive},
	}
	for i := range steps {
		got, err := s.Triager.Triage(t.Context(), "person:kim", stuffing[:10], steps[i])
		if err != nil {
			t.Fatal(err)
		}
		steps[i].By, steps[i].Time = "person:kim", got.Triage.Time
		got.Stored = time.Time{}
		same(t, "the change", history.Alert{Alert: s.alerts[0], Triage: steps[i]}, *got)
		if i > 0 && !steps[i].Time.After(steps[i-1].Time) {
			t.Errorf("change %d at %s is not later than %s", i, steps[i].Time, steps[i-1].Time)
		}
	}
	got, err := s.Reader.Alert(t.Context(), stuffing)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "history", steps, got.History)
	same(t, "the newest holds", steps[3], got.Triage)
	for state, want := range map[string][]string{history.Open: {stealing, scraping}, history.Closed: {stuffing}, history.Acknowledged: nil} {
		list, err := s.Reader.Alerts(t.Context(), history.AlertFilter{State: state})
		if err != nil {
			t.Fatal(err)
		}
		same(t, state, want, alertIDs(list))
	}
}

// triageAtOnce wants no change lost when several people are at it.
func (s *suite) triageAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.Triager.Triage(t.Context(), "person:kim", stealing, history.Triage{State: history.Acknowledged, Note: strconv.Itoa(i)})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	got, err := s.Reader.Alert(t.Context(), stealing)
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]bool{}
	for i, change := range got.History {
		notes[change.Note] = true
		if i > 0 && !change.Time.After(got.History[i-1].Time) {
			t.Errorf("change %d is not later than the one before it", i)
		}
	}
	if len(notes) != len(errs) {
		t.Errorf("%d changes are in the history, want %d", len(notes), len(errs))
	}
}
