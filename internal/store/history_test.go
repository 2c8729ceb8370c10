package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/history/historytest"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// reader is the whole of history.Reader.
type reader struct {
	*store.Store
	*store.Searcher
}

func TestHistory(t *testing.T) {
	historytest.Run(t, func(t *testing.T) historytest.Rig {
		s := storetest.Open(t)
		return historytest.Rig{Reader: reader{s, store.NewSearcher(s, compile)}, Triager: s, Store: s}
	})
}

// A profile of many hours has as many buckets as it may, and its tops are of the last days.
func TestEntityOfManyHours(t *testing.T) {
	cfg := storetest.Config(t)
	cfg.Retention.Events = 0 // for ever
	s := storetest.OpenConfig(t, cfg)
	last := noon()
	var events int
	for hours := 0; hours <= 1200; hours += 100 {
		e := sample("edge", uint64(hours+1), last.Add(-time.Duration(hours)*time.Hour))
		e.Principal.ID = "u1"
		if err := s.InsertEvents(t.Context(), 0, []*event.Event{e}); err != nil {
			t.Fatal(err)
		}
		events++
	}
	got, err := s.Entity(t.Context(), history.EntityID{Kind: history.Principal, Value: "u1"}, history.Span{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != uint64(events) || len(got.Timeline) != 601 || got.Timeline[0].Time.Unix()%7200 != 0 {
		t.Errorf("%d requests in %d buckets from %s, want %d in 601, each of two hours", got.Requests, len(got.Timeline), got.Timeline[0].Time, events)
	}
	if diff := cmp.Diff([]history.Count{{Value: "200", Count: 2, Share: 1}}, got.Top["response.code"]); diff != "" {
		t.Errorf("codes: -want +got:\n%s", diff)
	}
}

func TestAccessIsKept(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	at := noon().Add(7 * time.Millisecond)
	one := history.Access{Time: at, Actor: "person:kim", Action: "alert.triage", Subject: "a1", Detail: strings.Repeat("é", 3000)}
	if err := s.InsertAccess(t.Context(), []history.Access{one, one, {Time: at.Add(-40 * 24 * time.Hour), Action: "x"}}); err != nil {
		t.Fatal(err)
	}
	var got history.Access
	var rows uint64
	err := storetest.Conn(t, cfg).QueryRow(t.Context(), "SELECT any(time), any(actor), any(action), any(subject), any(detail), count() FROM audit FINAL WHERE subject = 'a1'").
		Scan(&got.Time, &got.Actor, &got.Action, &got.Subject, &got.Detail, &rows)
	if err != nil {
		t.Fatal(err)
	}
	one.Detail = strings.Repeat("é", 2048)
	if diff := cmp.Diff(one, got); diff != "" || rows != 2 {
		t.Errorf("%d rows, want 2; -want +got:\n%s", rows, diff)
	}
}
