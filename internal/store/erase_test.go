package store_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store/storetest"
)

// What is stored of one user goes, what is stored of others stays; a dry run only counts, a second run finds nothing.
func TestErase(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	var events []*event.Event
	for i := range 20 {
		e := sample("edge", uint64(i+1), noon().Add(time.Duration(i)*time.Second))
		e.Source.Address = netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i%2)})
		e.Principal.ID = []string{"alice", "bob"}[i%2]
		events = append(events, e)
	}
	if err := s.InsertEvents(t.Context(), 0, events); err != nil {
		t.Fatal(err)
	}
	var alerts []*alert.Alert
	for i, who := range []string{"alice", "bob"} {
		a := sampleAlert(i, alert.High)
		a.Group = map[string]string{"principal.id": who}
		alerts = append(alerts, a)
	}
	if err := s.InsertAlerts(t.Context(), alerts); err != nil {
		t.Fatal(err)
	}

	want := map[string]uint64{"events": 10, "entity_hour": 1, "alerts": 1}
	for _, dryRun := range []bool{true, false} {
		got, err := s.Erase(t.Context(), history.Principal, []string{"alice", "pseudonym:x"}, dryRun)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rowsErased(got)); diff != "" {
			t.Errorf("dry run %v: rows (-want +got):\n%s", dryRun, diff)
		}
	}
	got, err := s.Erase(t.Context(), history.Principal, []string{"alice"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if rows := rowsErased(got); len(rows) > 0 {
		t.Errorf("a second run still finds %v", rows)
	}
	got, err = s.Erase(t.Context(), history.Principal, []string{"bob"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rowsErased(got)); diff != "" {
		t.Errorf("the other user (-want +got):\n%s", diff)
	}
	got, err = s.Erase(t.Context(), history.Address, []string{"198.51.100.2"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := rowsErased(got)["events"]; n != 10 {
		t.Errorf("erasing an address deletes %d events, want 10", n)
	}
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	for _, c := range []struct{ kind, name string }{{"tenant", "acme"}, {"address", "not-an-address"}, {"principal", ""}} {
		if _, err := s.Erase(t.Context(), c.kind, []string{c.name}, false); !errors.Is(err, history.ErrQuestion) {
			t.Errorf("erase %s %q: %v, want a question that cannot be asked", c.kind, c.name, err)
		}
	}
}

func rowsErased(e *history.Erasure) map[string]uint64 {
	out := make(map[string]uint64)
	for _, t := range e.Tables {
		if t.Rows > 0 {
			out[t.Table] = t.Rows
		}
	}
	return out
}
