package synthetic_test

import (
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/synthetic"
	"github.com/warder/warder/rules"
)

var update = flag.Bool("update", false, "write rules.tsv anew")

func day() synthetic.Config {
	start := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC) // a Tuesday
	return synthetic.Config{Seed: 7, Start: start, End: start.Add(24 * time.Hour), Count: 200_000}
}

func traffic(t testing.TB, cfg synthetic.Config) *synthetic.Traffic {
	t.Helper()
	tr, err := synthetic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestSameSeed(t *testing.T) {
	cfg := day()
	cfg.Count, cfg.Headers = 20_000, true
	a, b := traffic(t, cfg), traffic(t, cfg)
	addr := cmp.Comparer(func(x, y netip.Addr) bool { return x == y })
	for n := 0; n < cfg.Count; n += 5000 {
		if d := cmp.Diff(a.Batch(5000), b.Batch(5000), addr); d != "" {
			t.Fatalf("the same seed makes other events (-first +second):\n%.2000s", d)
		}
	}
	if d := cmp.Diff(a.Findings(), b.Findings(), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("the same seed makes other findings (-first +second):\n%.2000s", d)
	}
	if len(a.Batch(1)) != 0 {
		t.Error("there are more events than were asked for")
	}
	cfg.Seed++
	if c := traffic(t, cfg); c.Batch(1)[0].Request.ID == traffic(t, day()).Batch(1)[0].Request.ID {
		t.Error("another seed makes the same events")
	}
}

// figures counts what the traffic of a day looks like.
type figures struct {
	count, errors, denied, missing, refused, models, flagged, night, noon int
	clients, users, agents, routes, countries, tenants, models2           map[string]bool
}

func measure(t *testing.T, tr *synthetic.Traffic, cfg synthetic.Config) figures {
	f := figures{clients: map[string]bool{}, users: map[string]bool{}, agents: map[string]bool{}, routes: map[string]bool{}, countries: map[string]bool{},
		tenants: map[string]bool{}, models2: map[string]bool{}}
	last := cfg.Start
	seqs := map[string]uint64{}
	var e event.Event
	for tr.Next(&e) {
		f.count++
		if e.Time.Before(last) || !e.Time.Before(cfg.End) {
			t.Fatalf("event %d is at %s, the one before at %s", f.count, e.Time, last)
		}
		last = e.Time
		if e.Seq != seqs[e.Tap]+1 {
			t.Fatalf("tap %s numbers %d after %d", e.Tap, e.Seq, seqs[e.Tap])
		}
		seqs[e.Tap] = e.Seq
		bounded := e
		bounded.Bound()
		if bounded.Truncated {
			t.Fatalf("event %d is out of bounds", f.count)
		}
		f.see(&e)
	}
	return f
}

func (f *figures) see(e *event.Event) {
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&f.errors, e.Response.Code >= 500)
	count(&f.denied, e.Response.Code == 401 || e.Response.Code == 403 || e.Auth.Outcome == "failure")
	count(&f.missing, e.Response.Code == 404)
	count(&f.refused, e.Refused())
	count(&f.models, e.LLM.Model != "")
	count(&f.flagged, e.WAF.Score > 0 || len(e.Intel.Lists) > 0)
	count(&f.night, e.Time.Hour() == 3)
	count(&f.noon, e.Time.Hour() == 14)
	f.clients[e.Source.Address.String()] = true
	f.users[e.Principal.ID] = true
	f.agents[e.Request.UserAgent] = true
	f.routes[e.Request.Method+" "+e.API.Route] = true
	f.countries[e.Source.Country] = true
	f.tenants[e.Principal.Tenant] = true
	f.models2[e.LLM.Model] = true
}

func TestFigures(t *testing.T) {
	cfg := day()
	tr := traffic(t, cfg)
	f := measure(t, tr, cfg)
	for name, c := range map[string]struct{ got, least, most int }{
		"events":         {f.count, cfg.Count, cfg.Count},
		"server errors":  {f.errors, cfg.Count * 1 / 1000, cfg.Count * 12 / 1000},
		"denied":         {f.denied, cfg.Count * 8 / 1000, cfg.Count * 40 / 1000},
		"not found":      {f.missing, cfg.Count * 8 / 1000, cfg.Count * 30 / 1000},
		"refused":        {f.refused, cfg.Count * 3 / 1000, cfg.Count * 25 / 1000},
		"model calls":    {f.models, cfg.Count * 5 / 1000, cfg.Count * 60 / 1000},
		"flagged":        {f.flagged, cfg.Count * 4 / 1000, cfg.Count * 40 / 1000},
		"3 o'clock":      {f.night, cfg.Count * 15 / 1000, cfg.Count * 27 / 1000},
		"14 o'clock":     {f.noon, cfg.Count * 50 / 1000, cfg.Count * 75 / 1000},
		"clients":        {len(f.clients), 3000, 9000},
		"principals":     {len(f.users), 3000, 12000},
		"user agents":    {len(f.agents), 120, 230},
		"routes":         {len(f.routes), 54, 60},
		"countries":      {len(f.countries), 20, 32},
		"tenants":        {len(f.tenants), 120, 151},
		"kinds of model": {len(f.models2), 7, 7},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s: %d, want %d to %d", name, c.got, c.least, c.most)
		}
	}
}

func TestFindings(t *testing.T) {
	tr := traffic(t, day())
	var e event.Event
	refusedBy := map[string]bool{}
	for tr.Next(&e) {
		if e.Refused() {
			refusedBy[e.Enforced.By] = true
		}
	}
	seen, states, severities := map[string]bool{}, map[decision.State]int{}, map[alert.Severity]int{}
	for _, f := range tr.Findings() {
		b, err := f.Alert.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err = alert.Decode(b); err != nil {
			t.Fatal(err)
		}
		seen[f.Alert.Rule] = true
		severities[f.Alert.Severity]++
		last := f.Alert.Time
		for _, c := range f.Changes {
			if err = c.Validate(); err != nil {
				t.Fatalf("decision %s: %v", c.Entity(), err)
			}
			if c.Updated.Before(last.Truncate(time.Millisecond)) {
				t.Fatalf("decision %s changes at %s, after %s", c.ID, c.Updated, last)
			}
			last = c.Updated
			states[c.State]++
			delete(refusedBy, c.ID)
		}
	}
	if len(refusedBy) > 0 {
		t.Errorf("%d decisions refused requests and were never made", len(refusedBy))
	}
	for _, s := range []decision.State{decision.Proposed, decision.Active, decision.Expired, decision.Revoked} {
		if states[s] == 0 {
			t.Errorf("no decision is %s", s)
		}
	}
	for _, s := range alert.Severities() {
		if severities[s] == 0 {
			t.Errorf("no alert is %s", s)
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d rules alert", len(seen))
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*synthetic.Config)
		want   string
	}{
		"backwards":  {func(c *synthetic.Config) { c.End = c.Start }, "is not after start"},
		"too long":   {func(c *synthetic.Config) { c.End = c.Start.AddDate(2, 0, 0) }, "the span is longer"},
		"negative":   {func(c *synthetic.Config) { c.Count = -1 }, "below zero"},
		"too many":   {func(c *synthetic.Config) { c.Clients = 1e9 }, "more than"},
		"no numbers": {func(c *synthetic.Config) { c.Count = 0 }, "both missing"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := day()
			c.change(&cfg)
			if _, err := synthetic.New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

// A handful of events, and a rate instead of a number.
func TestFewEvents(t *testing.T) {
	cfg := day()
	cfg.Count = 3
	if n := len(traffic(t, cfg).Batch(10)); n != 3 {
		t.Errorf("got %d events, want 3", n)
	}
	cfg.Count, cfg.Rate = 0, 0.5
	if n := traffic(t, cfg).Count(); n != 43_200 {
		t.Errorf("half an event a second makes %d in a day, want 43200", n)
	}
}

// The table of rules says what the shipped rules say.
func TestRulesAreShipped(t *testing.T) {
	set, err := rules.Load(rules.Packs(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range set.Rules() {
		respond := ""
		if len(r.Respond) > 0 {
			p := r.Respond[0]
			respond = p.Action + " " + p.Scope + " " + p.TTL.String()
		}
		b.WriteString(strings.Join([]string{r.ID, string(r.Severity), string(r.Mode), strings.Join(r.GroupBy, ","), strings.Join(r.Tags, ","), respond, r.Title}, "\t") + "\n")
	}
	if *update {
		if err = os.WriteFile("rules.tsv", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := fs.ReadFile(os.DirFS("."), "rules.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.String(), string(have)); d != "" {
		t.Errorf("the shipped rules changed; run go test ./internal/synthetic -update (-rules +table):\n%s", d)
	}
}

func BenchmarkTraffic(b *testing.B) {
	cfg := day()
	cfg.Count = max(b.N, 1)
	tr := traffic(b, cfg)
	b.ReportAllocs()
	b.ResetTimer()
	var e event.Event
	for tr.Next(&e) {
		if e.Seq%100_000 == 0 {
			tr.Findings()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
