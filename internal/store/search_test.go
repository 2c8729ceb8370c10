package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// days returns n events over three days of a small shop's API, in order of time. Some share a time.
func days(n int) []*event.Event {
	r := rand.New(rand.NewPCG(7, 7))
	start := noon().Add(-60 * time.Hour)
	out := make([]*event.Event, n)
	for i := range out {
		e := sample("edge", uint64(i+1), start.Add(time.Duration(i)*72*time.Hour/time.Duration(n)).Truncate(time.Minute/4))
		e.Source.Address = netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(40))})
		e.Source.Country, e.Source.ASN = pick(r, []string{"DE", "FR", ""}), uint32(r.IntN(3)*100)
		if r.IntN(20) == 0 {
			e.Source.Address = pick(r, []netip.Addr{{}, netip.MustParseAddr("2001:db8::7")})
		}
		e.Request.Method = pick(r, []string{"GET", "POST"})
		e.Request.Query = pick(r, []string{"", "q=1", "q=%3Cscript%3E"})
		e.Response.Code = pick(r, []int{200, 200, 200, 401, 403, 404, 500, 0})
		e.API = event.API{Route: pick(r, []string{"/items", "/login", "/orders", ""}), Name: "shop"}
		e.Principal = event.Principal{ID: pick(r, []string{"", "u1", "u2", "u3"}), Tenant: pick(r, []string{"", "t1"})}
		e.Auth.Outcome = pick(r, []string{"success", "failure", ""})
		e.Enforced.Action = pick(r, []string{"", "", "block", "observe:block"})
		out[i] = e
	}
	return out
}

// searcher returns a Searcher over the events.
func searcher(t testing.TB, events []*event.Event) *store.Searcher {
	t.Helper()
	s := storetest.Open(t)
	if err := s.InsertEvents(t.Context(), 0, events); err != nil {
		t.Fatal(err)
	}
	return store.NewSearcher(s, compile)
}

// some are the filters of these tests: pushed whole, in part and not at all.
func some() []string {
	return []string{"", `response.code == 401`, `decode(request.query).contains("<script>")`, `api.route == "/login" && decode(request.query).contains("<")`,
		`source.address == "198.51.100.7"`, `cidr("2001:db8::/32").containsIP(source.address)`, `principal.id == "u1"`, `principal.id != "u1"`, `source.country in ["DE"]`,
		`api.route == "/login" && response.code >= 400`, `source.asn > 0 && source.country != "FR"`, `auth.outcome == "failure" || enforced.action == "block"`, `request.path == "/items/3"`,
		`request.headers["x"] == "1"`, `principal.tenant == ""`, `response.code == 999`}
}

// spans are the spans of these tests: whole hours, odd ones, open ones.
func spans() []history.Span {
	at := noon().Add(-40 * time.Hour)
	return []history.Span{{}, {Since: at, Until: at.Add(5 * time.Hour)}, {Since: at.Add(12345678901)}, {Until: at.Add(7*time.Minute + 1)},
		{Since: at.Add(-10*time.Hour - 17*time.Second), Until: at.Add(45*time.Hour + 59*time.Minute + 3)}, {Since: at, Until: at.Add(time.Second)}, {Since: at.Add(900 * time.Hour)}}
}

// about is what a question is about, by the rule engine.
func about(t *testing.T, events []*event.Event, span history.Span, filter string) []*event.Event {
	t.Helper()
	var out []*event.Event
	holds := func(*event.Event) bool { return true }
	if filter != "" {
		f, err := compile(filter)
		if err != nil {
			t.Fatal(err)
		}
		holds = func(e *event.Event) bool { ok, _ := f.Match(e); return ok }
	}
	for _, e := range events {
		if !span.Since.IsZero() && e.Time.Before(span.Since) || !span.Until.IsZero() && !e.Time.Before(span.Until) {
			continue
		}
		if holds(e) {
			out = append(out, e)
		}
	}
	return out
}

func TestSearchFindsWhatTheRulesWould(t *testing.T) {
	events := days(3000)
	r := searcher(t, events)
	for _, filter := range some() {
		for _, span := range spans() {
			for _, oldest := range []bool{false, true} {
				for _, limit := range []int{0, 7} {
					want := about(t, events, span, filter)
					if !oldest {
						slices.Reverse(want)
					}
					if limit > 0 {
						want = want[:min(limit, len(want))]
					}
					name := fmt.Sprintf("%s, %v, oldest first %v, limit %d", filter, span, oldest, limit)
					var got []uint64
					sum, err := r.Search(t.Context(), history.Search{Span: span, Filter: filter, Limit: limit, OldestFirst: oldest}, func(e *event.Event) error {
						got = append(got, e.Seq)
						return nil
					})
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					var seqs []uint64
					for _, e := range want {
						seqs = append(seqs, e.Seq)
					}
					if diff := cmp.Diff(seqs, got); diff != "" {
						t.Fatalf("%s: -want +got:\n%s", name, diff)
					}
					if sum.Found != uint64(len(want)) || len(want) > 0 && sum.Scanned == 0 || sum.Took <= 0 {
						t.Errorf("%s: %+v", name, sum)
					}
				}
			}
		}
	}
}

func TestSearchSummary(t *testing.T) {
	events := days(500)
	r := searcher(t, events)
	none := func(*event.Event) error { return nil }
	sum, err := r.Search(t.Context(), history.Search{Filter: `100 / response.code == 0 && api.route.reverse() == "smeti/"`}, none)
	if err != nil || sum.Found == 0 || sum.Checked < sum.Found {
		t.Errorf("%+v, %v", sum, err)
	}
	sum, err = r.Search(t.Context(), history.Search{Filter: `100 / int(string(response.code)) < 2 && 10 / int(request.query) > 1`}, none)
	if err != nil || sum.Found != 0 || sum.Failed == 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestSearchEnds(t *testing.T) {
	r := searcher(t, days(500))
	bad := errors.New("pipe closed")
	n := 0
	_, err := r.Search(t.Context(), history.Search{}, func(*event.Event) error { n++; return bad })
	if !errors.Is(err, bad) || n != 1 || err.Error() != bad.Error() {
		t.Errorf("%d calls, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = r.Search(ctx, history.Search{}, func(*event.Event) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err = r.Search(ctx, history.Search{}, func(*event.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestQuestionsThatCannotBeAsked(t *testing.T) {
	r := searcher(t, days(10))
	now := noon()
	for name, ask := range map[string]func() error{
		"reversed": func() error {
			_, err := r.Search(t.Context(), history.Search{Span: history.Span{Since: now, Until: now}}, nil)
			return err
		},
		"filter:1:9": func() error {
			_, err := r.Explain(t.Context(), history.Search{Filter: "true && request.metod"})
			return err
		},
		"request.path":  func() error { _, err := r.Top(t.Context(), history.Top{Field: "request.headers"}); return err },
		"api.route":     func() error { _, err := r.Timeline(t.Context(), history.Timeline{By: "route"}); return err },
		"true or false": func() error { _, err := r.Top(t.Context(), history.Top{Field: "api.route", Filter: "1"}); return err },
	} {
		if err := ask(); !errors.Is(err, history.ErrQuestion) || name != "reversed" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitsOfReads(t *testing.T) {
	cfg := storetest.Config(t)
	cfg.Limits.Rows = 1000
	s := storetest.OpenConfig(t, cfg)
	if err := s.InsertEvents(t.Context(), 0, days(5000)); err != nil {
		t.Fatal(err)
	}
	r := store.NewSearcher(s, compile)
	for _, filter := range []string{`request.id == "none"`, `request.id.reverse() == "none"`} {
		_, err := r.Search(t.Context(), history.Search{Filter: filter}, func(*event.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "1000 rows (store.limits.rows): ask about a shorter span") {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

func TestTopCountsWhatTheRulesWould(t *testing.T) {
	events := days(3000)
	r := searcher(t, events)
	value := map[string]func(e *event.Event) string{
		"api.route": func(e *event.Event) string { return e.API.Route },
		"response.code": func(e *event.Event) string {
			if e.Response.Code == 0 {
				return ""
			}
			return fmt.Sprint(e.Response.Code)
		},
		"source.address": func(e *event.Event) string {
			if !e.Source.Address.IsValid() {
				return ""
			}
			return e.Source.Address.String()
		},
		"source.country": func(e *event.Event) string { return e.Source.Country }, "principal.id": func(e *event.Event) string { return e.Principal.ID },
		"request.query": func(e *event.Event) string { return e.Request.Query },
	}
	for field, of := range value {
		for _, filter := range some() {
			for _, span := range spans() {
				counts, all := map[string]uint64{}, 0.0
				for _, e := range about(t, events, span, filter) {
					if v := of(e); v != "" {
						counts[v]++
						all++
					}
				}
				want := []history.Count{}
				for v, n := range counts {
					want = append(want, history.Count{Value: v, Count: n, Share: float64(n) / all})
				}
				slices.SortFunc(want, func(a, b history.Count) int {
					if a.Count != b.Count {
						return int(b.Count) - int(a.Count)
					}
					return strings.Compare(a.Value, b.Value)
				})
				want = want[:min(len(want), 20)]
				got, err := r.Top(t.Context(), history.Top{Span: span, Filter: filter, Field: field})
				if err != nil {
					t.Fatalf("%s of %q, %v: %v", field, filter, span, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s of %q, %v: -want +got:\n%s", field, filter, span, diff)
				}
			}
		}
	}
}

// unbroken has a bucket a step from the span's beginning to its end, as the events bound it; none when there is none.
func unbroken(buckets []history.Bucket, step time.Duration, span history.Span, events []*event.Event) []history.Bucket {
	if len(buckets) == 0 {
		return buckets
	}
	if span.Since.IsZero() {
		span.Since = events[0].Time
	}
	if span.Until.IsZero() {
		span.Until = events[len(events)-1].Time.Add(1)
	}
	var out []history.Bucket
	for at := span.Since.Truncate(step); at.Before(span.Until); at = at.Add(step) {
		i := slices.IndexFunc(buckets, func(b history.Bucket) bool { return b.Time.Equal(at) })
		if i < 0 {
			out = append(out, history.Bucket{Time: at.UTC()})
			continue
		}
		out = append(out, buckets[i])
	}
	return out
}

func TestTimelineCountsWhatTheRulesWould(t *testing.T) {
	events := days(3000)
	r := searcher(t, events)
	for _, by := range []string{"", "api.route", "source.country", "principal.id"} {
		for _, filter := range some() {
			for _, span := range spans() {
				for _, step := range []time.Duration{10 * time.Minute, time.Hour} {
					want := []history.Bucket{}
					at := map[string]int{}
					for _, e := range about(t, events, span, filter) {
						v := map[string]string{"api.route": e.API.Route, "source.country": e.Source.Country, "principal.id": e.Principal.ID}[by]
						b := time.Unix(e.Time.Unix()/int64(step.Seconds())*int64(step.Seconds()), 0).UTC()
						key := fmt.Sprint(b, v)
						if _, ok := at[key]; !ok {
							at[key] = len(want)
							want = append(want, history.Bucket{Time: b, Value: v})
						}
						w := &want[at[key]]
						w.Count++
						if c := e.Response.Code; c == 401 || c == 403 || e.Auth.Outcome == "failure" {
							w.Denied++
						}
						if e.Response.Code >= 500 {
							w.Errors++
						}
						if e.Refused() {
							w.Refused++
						}
					}
					slices.SortFunc(want, func(a, b history.Bucket) int {
						if c := a.Time.Compare(b.Time); c != 0 {
							return c
						}
						return strings.Compare(a.Value, b.Value)
					})
					if by == "" {
						want = unbroken(want, step, span, events)
					}
					got, err := r.Timeline(t.Context(), history.Timeline{Span: span, Filter: filter, By: by, Step: step})
					if err != nil {
						t.Fatalf("by %s, %q, %v: %v", by, filter, span, err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("by %s, %q, %v, step %s: -want +got:\n%s", by, filter, span, step, diff)
					}
				}
			}
		}
	}
}

// Rollups are kept for longer than events: an open span is that of the events, whoever counts, and its buckets are bounded.
func TestTimelineOfWhatOutlivedItsEvents(t *testing.T) {
	cfg := storetest.Config(t)
	s, conn := storetest.OpenConfig(t, cfg), storetest.Conn(t, cfg)
	now := noon()
	insert := func(seq uint64, at time.Time) {
		t.Helper()
		if err := s.InsertEvents(t.Context(), 0, []*event.Event{sample("edge", seq, at)}); err != nil {
			t.Fatal(err)
		}
	}
	insert(1, now.Add(-10*24*time.Hour))
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE events"); err != nil {
		t.Fatal(err)
	}
	insert(2, now.Add(17*time.Second))
	insert(3, now.Add(2*time.Minute))
	r := store.NewSearcher(s, compile)
	want := []history.Bucket{{Time: now, Count: 1}, {Time: now.Add(time.Minute)}, {Time: now.Add(2 * time.Minute), Count: 1}}
	for _, filter := range []string{"", `request.path != "/nowhere"`, `decode(request.query) != "nothing"`} { // by rollup, by events, in Go
		got, err := r.Timeline(t.Context(), history.Timeline{Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("%q: %d buckets, want %d", filter, len(got), len(want))
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", filter, diff)
		}
	}
}

func TestExplain(t *testing.T) {
	r := searcher(t, nil)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	plan, err := r.Explain(t.Context(), history.Search{Span: history.Span{Since: at}, Filter: `api.route == "/a'b" && decode(request.query) == "x"`})
	if err != nil {
		t.Fatal(err)
	}
	want := history.Plan{
		Pushed: []string{`api.route == "/a'b"`}, Rest: []string{`decode(request.query) == "x": decode() is evaluated in Go`},
		SQL: "SELECT e.id, e.query, e.route, e.source_address, e.time FROM events AS e WHERE e.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')" +
			" AND e.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC') AND e.route = {p0:String}",
		Params: []history.Param{{Name: "first", Value: fmt.Sprint(at.UnixNano())}, {Name: "last", Value: "4102444799000000000"}, {Name: "p0", Value: "/a'b"}},
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSearchGoesOnBehindAPage asks for more than one page of events that nearly share a time.
func TestSearchGoesOnBehindAPage(t *testing.T) {
	const n = 12_000
	var events []*event.Event
	for i := range uint64(n) {
		events = append(events, sample("edge", i+1, noon().Add(time.Duration(i/500))))
	}
	r := searcher(t, events)
	for _, filter := range []string{"", `request.path.reverse() != ""`} {
		for _, oldest := range []bool{false, true} {
			next := uint64(0)
			sum, err := r.Search(t.Context(), history.Search{Filter: filter, Limit: n - 1, OldestFirst: oldest}, func(e *event.Event) error {
				next++
				want := n + 1 - next
				if oldest {
					want = next
				}
				if e.Seq != want {
					return fmt.Errorf("event %d comes where %d should", e.Seq, want)
				}
				return nil
			})
			if err != nil || sum.Found != n-1 {
				t.Errorf("%q, oldest first %v: %+v, %v", filter, oldest, sum, err)
			}
		}
	}
}
