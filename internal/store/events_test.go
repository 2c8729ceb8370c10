package store_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// noon is recent, so that no retention drops it.
func noon() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour) }

// sample returns event seq of a tap.
func sample(tap string, seq uint64, at time.Time) *event.Event {
	return &event.Event{
		ID: event.NewID(tap, seq), Tap: tap, Seq: seq, Time: at,
		Request:  event.RequestInfo{Method: "GET", Host: "shop.example.com", Path: fmt.Sprintf("/items/%d", seq), UserAgent: "test"},
		Response: event.ResponseInfo{Code: 200, Size: 512},
		Source:   event.Source{Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(seq)})},
	}
}

// run returns events from..to of a tap, a second apart.
func run(tap string, from, to uint64, start time.Time) []*event.Event {
	var out []*event.Event
	for seq := from; seq <= to; seq++ {
		out = append(out, sample(tap, seq, start.Add(time.Duration(seq)*time.Second)))
	}
	return out
}

// count counts the rows of a table as they lie there, without collapsing repeats.
func count(t *testing.T, cfg store.Config, table string) uint64 {
	t.Helper()
	var n uint64
	if err := storetest.Conn(t, cfg).QueryRow(t.Context(), "SELECT count() FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func full() *event.Event {
	e := &event.Event{
		ID: event.NewID("edge", 7), Tap: "edge", Seq: 7, Dropped: 3, Time: noon().Add(123456789),
		Request: event.RequestInfo{
			ID: "r-1", Method: "POST", Scheme: "https", Protocol: "HTTP/2.0", Host: "api.example.com", Path: "/a\n\n\x00'\\b", Query: "q=1",
			UserAgent: "curl/8", Referer: "https://example.com/", Headers: map[string]string{"accept": "a\n\nb", "x": ""}, Size: 11, Duration: 1500 * time.Microsecond,
		},
		Response:  event.ResponseInfo{Code: 401, Size: 1 << 40, ContentType: "application/json"},
		Source:    event.Source{Address: netip.MustParseAddr("203.0.113.9"), Port: 65535, Peer: netip.MustParseAddr("2001:db8::1"), Country: "DE", ASN: 4200000000},
		Principal: event.Principal{ID: "u1", Type: "jwt", Tenant: "acme", Roles: []string{"admin", "ops"}},
		Auth:      event.Auth{Outcome: "failure", Reason: "expired"},
		API:       event.API{Route: "/a/{id}", Version: "v2", Name: "shop"},
		TLS:       event.TLS{Version: "1.3", SNI: "api.example.com", Fingerprint: "f00"},
		LLM:       event.LLM{Model: "m", PromptTokens: 10, CompletionTokens: 20},
		Enforced:  event.Enforced{By: "d1", Action: "block"},
		WAF:       event.WAF{Score: 5, Rules: []string{"942100"}},
		Intel:     event.Intel{Lists: []string{"tor"}},
		Ext:       map[string]string{"k": "v"}, Truncated: true,
	}
	return e
}

func TestEventsComeBackWhole(t *testing.T) {
	s := storetest.Open(t)
	want := []*event.Event{full(), sample("edge", 8, noon().Add(time.Minute)), {ID: event.NewID("edge", 9), Tap: "edge", Seq: 9, Time: noon().Add(time.Hour)}}
	if err := s.InsertEvents(t.Context(), 1, want); err != nil {
		t.Fatal(err)
	}
	got, err := s.EventsByID(t.Context(), []event.ID{want[2].ID, want[0].ID, want[1].ID, event.NewID("edge", 99)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRepeatsAndOverlapsStoreEachEventOnce(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	start := noon()
	late := start.Add(-6 * time.Hour)
	steps := []struct {
		name      string
		fresh     bool // with a new writer, as after a restart
		partition int
		events    []*event.Event
		want      uint64
	}{
		{"first batch", true, 0, run("a", 1, 100, start), 100},
		{"the same again", false, 0, run("a", 1, 100, start), 100},
		{"overlap", false, 0, run("a", 51, 150, start), 150},
		{"the same after a restart", true, 0, run("a", 1, 150, start), 150},
		{"overlap after a restart", true, 0, run("a", 140, 160, start), 160},
		{"repeats within a batch", false, 0, append(run("a", 155, 170, start), run("a", 150, 172, start)...), 172},
		{"another tap", false, 0, run("b", 1, 10, start), 182},
		{"another partition of the topic, other events of the tap", true, 1, run("a", 1000, 1009, start), 192},
		{"two days in one batch", true, 0, append(run("c", 1, 5, late), run("c", 6, 10, late.Add(-24*time.Hour))...), 202},
		{"two days in one batch, again", true, 0, append(run("c", 1, 5, late), run("c", 6, 12, late.Add(-24*time.Hour))...), 204},
		{"nothing", true, 0, nil, 204},
		{"a heartbeat", true, 0, []*event.Event{{ID: event.NewID("h", 1), Tap: "h", Seq: 1, Kind: event.Heartbeat, Time: start}}, 204},
	}
	var w *store.EventWriter
	for _, st := range steps {
		if st.fresh {
			var err error
			if w, err = s.NewEventWriter(st.partition); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Insert(t.Context(), st.events); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		if got := count(t, cfg, "events"); got != st.want {
			t.Fatalf("%s: %d rows, want %d", st.name, got, st.want)
		}
	}
	stats, err := s.Stats(t.Context(), time.Time{})
	if err != nil || stats.Events != 204 || stats.First.IsZero() || stats.Last.Before(stats.First) {
		t.Errorf("stats: %+v, %v", stats, err)
	}
}

func TestTimesOutsideTheTablesSpan(t *testing.T) {
	cfg := storetest.Config(t)
	cfg.Retention.Events = 0 // otherwise the first of them would be too old to keep
	s := storetest.OpenConfig(t, cfg)
	events := []*event.Event{sample("a", 1, time.Time{}), sample("a", 2, time.Unix(0, -1<<63)), sample("a", 3, time.Unix(0, 1<<63-1)), sample("a", 4, time.Date(2106, 2, 8, 0, 0, 0, 0, time.UTC))}
	for range 2 {
		if err := s.InsertEvents(t.Context(), 0, events); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, cfg, "events"); got != 4 {
		t.Errorf("%d rows, want 4", got)
	}
}
