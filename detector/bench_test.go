package detector

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
)

const benchRules = `
id: rate
title: t
filter: "true"
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count()}
condition: n >= 1000000
---
id: spread
title: t
filter: "true"
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count(), paths: distinct(request.path)}
condition: n >= 1000000 && paths > 10
`

// BenchmarkProcess is one event through two rules that count every request of each client.
func BenchmarkProcess(b *testing.B) {
	for _, c := range []struct {
		name    string
		clients int
		step    time.Duration
	}{{"10000_clients", 10_000, time.Millisecond}, {"flood_of_one", 1, time.Microsecond}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewShard(loadRules(b, benchRules), DefaultConfig())
			st := newStream()
			var events []*event.Event
			for i := range max(c.clients, 1000) {
				n := i % c.clients
				e, err := st.event(0, fmt.Sprintf("addr=10.0.%d.%d", n>>8&255, n&255), fmt.Sprintf("path=/%d", i%50))
				if err != nil {
					b.Fatal(err)
				}
				events = append(events, e)
			}
			var dst []*alert.Alert
			b.ReportAllocs()
			at := base
			for i := 0; b.Loop(); i++ {
				e := events[i%len(events)]
				e.Time = at
				at = at.Add(c.step)
				dst = s.Process(e, dst[:0])
			}
		})
	}
}

// BenchmarkMeasures is one event through one rule with the aggregate: of a client with few events, and of one that floods, while its
// window is kept event by event and once it is in slices.
func BenchmarkMeasures(b *testing.B) {
	for _, agg := range []string{"count()", "sum(response.size)", "distinct(request.path)", "avg(response.size)", "min(response.size)", "ratio(response.code == 500)",
		"quantile(response.size, 0.95)", "rate()", "top(request.path)"} {
		for _, c := range []struct {
			name    string
			clients int
			window  string
			step    time.Duration
		}{
			{"few", 10_000, "{size: 60s, type: sliding}", time.Millisecond}, {"exact", 1, "{size: 60s, type: sliding}", 60 * time.Millisecond},
			{"slices", 1, "{size: 60s, type: sliding}", time.Millisecond}, {"session", 1, "{type: session, gap: 5m, size: 2h}", time.Millisecond},
		} {
			b.Run(agg[:strings.IndexByte(agg, '(')]+"/"+c.name, func(b *testing.B) {
				s := NewShard(loadRules(b, "id: r\ntitle: t\nfilter: \"true\"\ngroup_by: [source.address]\nwindow: "+c.window+
					"\naggregates:\n  n: count()\n  v: "+agg+"\ncondition: n < 0\n"), DefaultConfig())
				st := newStream()
				var events []*event.Event
				for i := range max(c.clients, 2000) {
					n := i % c.clients
					e, err := st.event(0, fmt.Sprintf("addr=10.0.%d.%d", n>>8&255, n&255), fmt.Sprintf("path=/%d", i%50), fmt.Sprintf("size=%d", i*7919%100_000))
					if err != nil {
						b.Fatal(err)
					}
					events = append(events, e)
				}
				var dst []*alert.Alert
				b.ReportAllocs()
				at := base
				for i := 0; b.Loop(); i++ {
					e := events[i%len(events)]
					e.Time = at
					at = at.Add(c.step)
					dst = s.Process(e, dst[:0])
				}
			})
		}
	}
}

// BenchmarkEntity reports the bytes of an entity with a single event, real and as estimated.
func BenchmarkEntity(b *testing.B) {
	const n = 100_000
	set := loadRules(b, benchRules)
	cfg := DefaultConfig()
	cfg.MaxBytes = 1 << 40
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := NewShard(set, cfg)
		st := newStream()
		for i := range n {
			e, _ := st.event(time.Duration(i)*time.Microsecond, fmt.Sprintf("addr=10.%d.%d.%d", i>>16&255, i>>8&255, i&255))
			s.Process(e, nil)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Stats().Entities), "B/entity")
		b.ReportMetric(float64(s.Stats().Bytes)/float64(s.Stats().Entities), "estimated-B/entity")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	set := loadRules(b, benchRules)
	s := NewShard(set, DefaultConfig())
	st := newStream()
	for i := range 100_000 {
		e, _ := st.event(time.Duration(i)*time.Microsecond, fmt.Sprintf("addr=10.%d.%d.%d", i>>16&255, i>>8&255, i&255))
		s.Process(e, nil)
	}
	buf := s.Snapshot(nil)
	b.ReportMetric(float64(len(buf))/float64(s.Stats().Entities), "B/entity")
	b.Run("snapshot", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			buf = s.Snapshot(buf[:0])
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			if err := NewShard(set, DefaultConfig()).Restore(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchForms are one rule of each form that every request of each client goes through.
func benchForms() map[string]string {
	const head = "id: r\ntitle: t\ngroup_by: [source.address]\n"
	return map[string]string{
		"sequence":   head + "sequence: {span: 60s, steps: [{name: a, filter: response.code == 401, count: 5, keep: {p: request.path}}, {name: b, filter: response.code == 200 && request.path == a.p}]}\n",
		"absence":    head + "filter: \"true\"\nabsence: {span: 10m, after: 1000000}\n",
		"first_seen": head + "filter: \"true\"\nfirst_seen: {value: request.path, learn: 14d}\n",
		"seenBefore": head + "filter: seenBefore(request.path) && seenBefore(request.method, duration(\"1s\"))\nsuppress: 1h\n",
		"rare":       head + "filter: \"true\"\nrare: {value: request.path, share: 0.001, span: 1h}\n",
	}
}

// BenchmarkForms is one event through a rule of each form: of 10,000 clients, half of whose requests are refused.
func BenchmarkForms(b *testing.B) {
	for name, text := range benchForms() {
		b.Run(name, func(b *testing.B) {
			s, st := NewShard(loadRules(b, text), DefaultConfig()), newStream()
			var events []*event.Event
			for i := range 20_000 {
				n := i * 7 % 10_000
				e, err := st.event(0, fmt.Sprintf("addr=10.0.%d.%d", n>>8&255, n&255), fmt.Sprintf("path=/%d", i%11), fmt.Sprintf("code=%d", 200+201*(i>>3&1)))
				if err != nil {
					b.Fatal(err)
				}
				events = append(events, e)
			}
			var dst []*alert.Alert
			b.ReportAllocs()
			at := base
			for i := 0; b.Loop(); i++ {
				e := events[i%len(events)]
				e.Time = at
				at = at.Add(time.Millisecond)
				dst = s.Process(e, dst[:0])
			}
		})
	}
}

// BenchmarkFormEntity reports the bytes of a group in the forms, real and as estimated, after five events of each.
func BenchmarkFormEntity(b *testing.B) {
	forms := benchForms()
	forms["sequence of different values"] = forms["sequence"]
	for name, text := range forms {
		spread := 1 // the events' values differ
		if name == "sequence" {
			spread = 0
		}
		b.Run(name, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.MaxBytes = 1 << 40
			set := loadRules(b, text)
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				s, st := NewShard(set, cfg), newStream()
				for i := range 100_000 {
					n := i % 20_000
					e, _ := st.event(time.Duration(i)*100*time.Microsecond, fmt.Sprintf("addr=10.%d.%d.%d", n>>16&255, n>>8&255, n&255), "code=401",
						"path=/"+strings.Repeat("x", i/20_000*spread))
					s.Process(e, nil)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/20_000, "B/group")
				b.ReportMetric(float64(s.Stats().Bytes)/20_000, "estimated-B/group")
			}
		})
	}
}
