package store_test

import (
	"testing"
	"time"

	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// TestRollupsAnswer takes the events away: what is still answered came from a rollup.
func TestRollupsAnswer(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	if err := s.InsertEvents(t.Context(), 0, days(1000)); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Conn(t, cfg).Exec(t.Context(), "TRUNCATE TABLE events"); err != nil {
		t.Fatal(err)
	}
	r := store.NewSearcher(s, compile)
	at := noon()
	span := history.Span{Since: at.AddDate(0, 0, -2), Until: at}
	for _, tc := range []struct {
		field, filter string
		rollup        bool
	}{
		{"api.route", "", true},
		{"response.code", `api.route == "/login" && request.method in ["GET", "POST"]`, true},
		{"source.country", "source.asn != 100", true},
		{"source.address", "", true},
		{"source.address", `cidr("198.51.100.0/24").containsIP(source.address)`, true},
		{"principal.id", `principal.id != "u1"`, true},
		{"principal.tenant", "", true},
		{"api.route", `request.path.startsWith("/items")`, false},
		{"api.route", `source.country == "DE"`, false},
		{"api.route", `decode(api.route) == "/login"`, false},
		{"request.path", "", false},
		{"source.address", `principal.id == "u1"`, false},
	} {
		top, err := r.Top(t.Context(), history.Top{Span: span, Field: tc.field, Filter: tc.filter})
		if err != nil || len(top) > 0 != tc.rollup {
			t.Errorf("top %s of %q: %v, %v", tc.field, tc.filter, top, err)
		}
	}
	for filter, rollup := range map[string]bool{"": true, `response.code >= 400`: true, `source.address == "198.51.100.7"`: true, `source.address != "198.51.100.7"`: false,
		`request.path == "/x" || true`: false} {
		line, err := r.Timeline(t.Context(), history.Timeline{Span: span, Filter: filter, Step: time.Hour})
		if err != nil || len(line) > 0 != rollup {
			t.Errorf("timeline of %q: %v, %v", filter, line, err)
		}
	}
}
