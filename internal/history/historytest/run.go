package historytest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// Rig is an implementation under test, over an empty store.
type Rig struct {
	Reader  history.Reader
	Triager history.Triager
	Store   Store // Run writes the history to it
}

// suite is a rig over the history.
type suite struct {
	Rig
	*made
}

// Run tests an implementation. open is called once.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	s := &suite{open(t), makeHistory()}
	s.write(t, s.Store)
	t.Run("search", s.search)
	t.Run("count", s.count)
	t.Run("entity", s.entity)
	t.Run("entity unknown", s.entityUnknown)
	t.Run("alerts", s.listAlerts)
	t.Run("alert", s.oneAlert)
	t.Run("inventory", s.inventory)
	t.Run("decisions", s.decisions)
	t.Run("questions", s.questions)
	t.Run("triage refused", s.triageRefused)
	t.Run("triage", s.triage)
	t.Run("triage at once", s.triageAtOnce)
}

// same compares what was wanted with what came.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: -want +got:\n%s", what, diff)
	}
}

// fails wants an error of a kind.
func fails(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want one that is %q", what, err, kind)
	}
}

func (s *suite) search(t *testing.T) {
	var got []event.ID
	sum, err := s.Reader.Search(t.Context(), history.Search{Filter: `source.address == "` + scraper + `"`, Limit: 2}, func(e *event.Event) error {
		got = append(got, e.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "newest events", []event.ID{s.events[12].ID, s.events[11].ID}, got)
	same(t, "found", uint64(2), sum.Found)
	for since, want := range map[time.Time]uint64{sum.Stored.Add(-time.Hour): 15, sum.Stored.Add(time.Hour): 0} {
		sum, err := s.Reader.Search(t.Context(), history.Search{StoredSince: since}, func(*event.Event) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		same(t, "events stored since "+since.String(), want, sum.Found)
	}
	plan, err := s.Reader.Explain(t.Context(), history.Search{Filter: `response.code == 401`})
	if err != nil || len(plan.Pushed) != 1 || plan.SQL == "" {
		t.Errorf("plan %+v, %v; want a part that is pushed", plan, err)
	}
}

func (s *suite) count(t *testing.T) {
	line, err := s.Reader.Timeline(t.Context(), history.Timeline{Span: history.Span{Since: s.start, Until: s.at(4)}, Step: 3_600_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "timeline", []history.Bucket{{Time: s.start, Count: 7, Denied: 6}, {Time: s.at(1)}, {Time: s.at(2), Count: 5}, {Time: s.at(3), Count: 1}}, line)
	top, err := s.Reader.Top(t.Context(), history.Top{Field: "source.address", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "top", []history.Count{{Value: attacker, Count: 7, Share: 0.4666666666666667}}, top)
}
