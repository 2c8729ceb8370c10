package synthetic

import (
	"context"
	_ "embed" // for the table of metrics
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// receiver is a sink.
type receiver struct {
	name, kind string
	least      alert.Severity
	took       time.Duration
}

func receivers() []receiver {
	return []receiver{{"soc-slack", "slack", alert.Medium, 180 * time.Millisecond}, {"mail", "email", alert.High, 450 * time.Millisecond},
		{"siem", "syslog", alert.Info, 3 * time.Millisecond}, {"oncall", "webhook", alert.High, 90 * time.Millisecond}}
}

// deliveries writes how people and the SIEM were told of alerts. Once a day the mail server is away for an hour.
func (f *filler) deliveries(ctx context.Context) error {
	var rows [][]any
	add := func(r receiver, a *alert.Alert, at time.Time, attempt int, result, text string) {
		id := event.NewID("deliveries", uint64(len(rows)))
		if at.Before(f.end) {
			rows = append(rows, []any{string(id[:]), at, r.name, r.kind, result, a.ID, uint32(1), uint32(attempt), uint64(lasting(f.rnd, r.took, 0.5)), text})
		}
	}
	for _, x := range f.findings {
		for _, r := range receivers() {
			if x.Alert.Severity.Rank() >= r.least.Rank() && (x.Alert.Mode != alert.Shadow || r.kind == "syslog") {
				f.tell(r, x.Alert, add)
			}
		}
	}
	f.sum.Deliveries = len(rows)
	return f.rows(ctx, "deliveries (id, time, sink, kind, result, alert, records, attempt, duration, error)", rows)
}

func (f *filler) tell(r receiver, a *alert.Alert, add func(r receiver, a *alert.Alert, at time.Time, attempt int, result, text string)) {
	at, attempt := a.Time.Add(lasting(f.rnd, 400*time.Millisecond, 0.7)), 1
	failures, text := 0, "http status 503"
	switch hour := int(mix(uint64(at.Unix()/86400)) % 24); {
	case r.kind == "email" && at.Hour() == hour:
		failures, text = 3+f.rnd.IntN(4), "dial mail server: connection refused"
	case f.rnd.IntN(40) == 0:
		failures = 1
	case f.rnd.IntN(500) == 0:
		add(r, a, at, 1, "failed", "refused: http status 400")
		return
	case f.rnd.IntN(400) == 0:
		add(r, a, at, 1, "dropped", "older than the sink's max_age")
		return
	}
	for range failures {
		add(r, a, at, attempt, "retry", text)
		at, attempt = at.Add(time.Second<<attempt), attempt+1
	}
	if failures > 5 {
		add(r, a, at, attempt, "failed", "gave up after "+strconv.Itoa(attempt)+" attempts: "+text)
		return
	}
	add(r, a, at, attempt, "delivered", "")
}

// seriesTable is what the registry of a Warder that works holds, each with its rate: role, kind, name, labels, for a counter or histogram
// its increase with each request, for a gauge its value, the median and the bounds of a histogram.
//
//go:embed series.tsv
var seriesTable string

// series is one of Warder's own figures.
type series struct {
	instance, kind, name string
	labels               map[string]string
	rate, median         float64
	bounds               []float64
	count, sum           float64
	buckets              []float64 // one for each bound
}

func allSeries() []*series {
	var out []*series
	hosts := map[string][]string{"gateway": {"edge-1/gateway", "edge-2/gateway"}, "detector": {"core-1/detector"}, "enforcer": {"core-1/enforcer"},
		"sinks": {"core-2/sinks"}, "store": {"core-2/store"}}
	number := func(s string) float64 { x, _ := strconv.ParseFloat(s, 64); return x } // of our own table
	for line := range strings.Lines(seriesTable) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for _, instance := range hosts[c[0]] {
			s := &series{instance: instance, kind: c[1], name: c[2], labels: map[string]string{}, rate: number(c[4]), median: number(c[5])}
			for pair := range strings.SplitSeq(c[3], ",") {
				if k, v, ok := strings.Cut(pair, "="); ok {
					s.labels[k] = v
				}
			}
			for b := range strings.SplitSeq(c[6], ",") {
				if b != "" {
					s.bounds = append(s.bounds, number(b))
				}
			}
			s.buckets = make([]float64, len(s.bounds))
			if s.kind != "gauge" {
				s.rate /= float64(len(hosts[c[0]]))
			}
			out = append(out, s)
		}
	}
	return out
}

// metrics writes Warder's own figures, at 480 moments of the span and at most every 15 seconds.
func (f *filler) metrics(ctx context.Context) error {
	start := f.t.cfg.Start
	step := max(f.end.Sub(start)/480, 15*time.Second).Truncate(time.Second)
	all := allSeries()
	var rows [][]any
	for at := start; at.Before(f.end); at = at.Add(step) {
		requests := f.t.clock.events(at.Add(-step), at)
		busy := rhythm(at)
		spike := mix(uint64(at.Unix()/600))%150 == 0 // ten minutes in a day in which the store is slow
		for _, s := range all {
			rows = f.sample(rows, s, at, requests, busy, spike)
		}
		if len(rows) > 50_000 {
			f.sum.Metrics += len(rows)
			if err := f.rows(ctx, metricsInto, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	f.sum.Metrics += len(rows)
	return f.rows(ctx, metricsInto, rows)
}

const metricsInto = "metrics (time, instance, name, labels, kind, value)"

// sample appends the rows of a series at one moment.
func (f *filler) sample(rows [][]any, s *series, at time.Time, requests, busy float64, spike bool) [][]any {
	add := func(name string, labels map[string]string, value float64) {
		rows = append(rows, []any{at, s.instance, name, labels, s.kind, value})
	}
	if s.kind == "gauge" {
		v := s.rate * (0.3 + 0.7*busy) * (0.9 + 0.2*f.rnd.Float64())
		if spike && s.name == "warder_bus_lag_records" {
			v *= 200
		}
		if s.rate < 10 || s.name == "warder_rules" { // a switch, a number of parts
			v = s.rate
		}
		add(s.name, s.labels, math.Trunc(v*1000)/1000)
		return rows
	}
	more := requests * s.rate * (0.95 + 0.1*f.rnd.Float64())
	if s.kind == "counter" {
		s.count += more
		v := s.count
		if !strings.HasSuffix(s.name, "_seconds_total") {
			v = math.Floor(v)
		}
		add(s.name, s.labels, v)
		return rows
	}
	median := s.median
	if spike {
		median *= 6
	}
	s.count += more
	s.sum += more * median * 1.2
	add(s.name+"_count", s.labels, math.Floor(s.count))
	add(s.name+"_sum", s.labels, s.sum)
	for i, b := range s.bounds {
		s.buckets[i] += more * below(b, median)
		add(s.name+"_bucket", with(s.labels, strconv.FormatFloat(b, 'g', -1, 64)), math.Floor(s.buckets[i]))
	}
	add(s.name+"_bucket", with(s.labels, "+Inf"), math.Floor(s.count))
	return rows
}

// below is the share of a log-normal quantity with the median that is at most b.
func below(b, median float64) float64 { return 0.5 * math.Erfc(-math.Log(b/median)/(0.7*math.Sqrt2)) }

func with(labels map[string]string, le string) map[string]string {
	out := map[string]string{"le": le}
	for k, v := range labels {
		out[k] = v
	}
	return out
}

// baselines writes what learned models expected of the most active entities, in up to 300 windows of at least five minutes.
func (f *filler) baselines(ctx context.Context) error {
	start := f.t.cfg.Start
	step := max(f.end.Sub(start)/300, 5*time.Minute).Truncate(time.Minute)
	type subject struct {
		model, kind, entity, route string
		base                       float64
	}
	var all []subject
	for i := range 12 {
		c := f.t.people.clients[i%len(f.t.people.clients)]
		all = append(all, subject{"requests", history.Address, c.addr.String(), "", 900 / float64(i+1)}, subject{"errors", history.Address, c.addr.String(), "", 12 / float64(i+1)})
		all = append(all, subject{"tokens", history.Tenant, "t-" + strconv.Itoa(1000 + 4*i + 1)[1:], "", 90_000 / float64(i+1)},
			subject{"response_bytes", history.Tenant, "t-" + strconv.Itoa(1000 + i + 1)[1:], "", 4e7 / float64(i+1)})
		r := f.t.api.routes[i*3%len(f.t.api.routes)]
		all = append(all, subject{"requests", "route", r.template, r.template, 3 * r.weight})
	}
	var rows [][]any
	for at := start.Truncate(step); at.Before(f.end); at = at.Add(step) {
		for _, s := range all {
			expected := s.base * rhythm(at) * step.Minutes() / 60
			value := logNormal(f.rnd, expected, 0.13)
			if f.rnd.IntN(250) == 0 {
				value *= 2.5 + 6*f.rnd.Float64()
			}
			width := expected*0.4 + 1
			rows = append(rows, []any{at, s.model, s.kind, s.entity, s.route, value, expected, max(expected-width, 0), expected + width, math.Abs(value-expected) / (width / 3)})
		}
	}
	f.sum.Baselines = len(rows)
	return f.rows(ctx, "baselines (time, model, kind, entity, route, value, expected, low, high, score)", rows)
}
