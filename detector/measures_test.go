package detector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// TestQuantileError: in slices a quantile is within 1/128 of the exact one, for numbers of any size and sign.
func TestQuantileError(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, q := range []float64{0, 0.01, 0.5, 0.95, 0.999, 1} {
		l := newLayout([]rules.Aggregate{{Name: "q", Func: rules.Quantile, Q: q}}, 0, 0)
		s := newSliced(l, 60_000, 1, 1)
		var all []float64
		for i := range 5000 {
			v := math.Exp(r.Float64()*60-13) * float64(1-2*r.IntN(2))
			if i%10 == 0 {
				v = float64(r.IntN(3) - 1)
			}
			bits, ok := number(v)
			if !ok {
				t.Fatal(v)
			}
			s.add([]uint64{uint64(60_000 + i), 1, uint64(i), 1, bits}, nil)
			all = append(all, math.Max(-maxNumber, math.Min(maxNumber, v)))
		}
		slices.Sort(all)
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		if got := s.values(nil)[0].Number; math.Abs(got-want) > math.Abs(want)/128+1e-6 {
			t.Errorf("quantile %v is %v, exactly %v", q, got, want)
		}
	}
}

// TestBuckets: bounds of buckets are in order and every number is in the bucket whose middle is near it.
func TestBuckets(t *testing.T) {
	last := middle(-mostBucket)
	for no := int16(-mostBucket + 1); no <= mostBucket; no++ {
		m := middle(no)
		if m <= last || bucketOf(m) != no {
			t.Fatalf("bucket %d: middle %v is in %d, the one before has %v", no, m, bucketOf(m), last)
		}
		last = m
	}
	for _, c := range []struct {
		v    float64
		want int16
	}{{0, 0}, {1e-9, 0}, {-1e-9, 0}, {1 << 60, mostBucket}, {-1 << 60, -mostBucket}} {
		if got := bucketOf(c.v); got != c.want {
			t.Errorf("%v is in bucket %d, want %d", c.v, got, c.want)
		}
	}
}

// TestNumberBounds: what is no number does not count, and what is too great is cut.
func TestNumberBounds(t *testing.T) {
	var got []string
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1.5} {
		bits, ok := number(v)
		got = append(got, fmt.Sprint(math.Float64frombits(bits), math.Signbit(math.Float64frombits(bits)), ok))
	}
	want := []string{"0 false false", "1.125899906842624e+15 false true", "-1.125899906842624e+15 true true", "0 false true", "1.5 false true"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestTopError: above the bound a top's count is at most a 101st of the events too low and never too high, over slices that come
// and go, and in one.
func TestTopError(t *testing.T) {
	l := newLayout([]rules.Aggregate{{Name: "t", Func: rules.Top}}, 0, 0)
	for _, slicesOf := range []int64{1, 16} {
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, 8))
			s := newSliced(l, 1_000_000/slicesOf, slicesOf, 1)
			type seen struct {
				slot int64
				name string
			}
			var all []seen
			at := int64(1_000_000_000)
			for i := range 20_000 {
				at += r.Int64N(40)
				name := fmt.Sprint("rare", r.IntN(5000))
				if r.IntN(10) == 0 || i < 500 {
					name = fmt.Sprint("often", r.IntN(3))
				}
				s.add([]uint64{uint64(at), 1, uint64(i), 1, hashText(name)}, []Arg{{Text: name}})
				all = append(all, seen{s.slot64(at), name})
				if i%500 != 0 {
					continue
				}
				counts, n := map[string]int{}, 0
				for _, x := range all {
					if x.slot > s.slot64(at)-slicesOf {
						counts[x.name]++
						n++
					}
				}
				most := 0
				for _, c := range counts {
					most = max(most, c)
				}
				got := s.values(nil)[0]
				low := float64(most) - float64(n)/(topCounters+1)
				if got.Number > float64(counts[got.Text]) || got.Number < low || got.Share != got.Number/float64(n) {
					t.Fatalf("%d slices, event %d: %+v; the most is %d of %d, %q has %d", slicesOf, i, got, most, n, got.Text, counts[got.Text])
				}
			}
			if c := s.cost(); c > int(slicesOf+1)*topCounters*150+20_000 {
				t.Errorf("%d slices cost %d bytes", slicesOf, c)
			}
		}
	}
}

// TestTopTable compares with counting, through values that come and go in any number.
func TestTopTable(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	var top topTable
	counts := map[string]int64{}
	for range 50_000 {
		name := fmt.Sprint(r.IntN(1 + r.IntN(60)))
		if r.IntN(2) == 0 {
			top.add(hashText(name), name, 1)
			counts[name]++
		} else if counts[name] > 0 {
			top.take(hashText(name), 1)
			if counts[name]--; counts[name] == 0 {
				delete(counts, name)
			}
		}
		want, all := rules.Value{}, int64(0)
		for name, n := range counts {
			all += n
			if float64(n) > want.Number || float64(n) == want.Number && name < want.Text {
				want.Text, want.Number = name, float64(n)
			}
		}
		want.Share = share(want.Number, all)
		if got := top.value(all); got != want || len(top.list) != len(counts) {
			t.Fatalf("got %+v, want %+v; %d values, want %d", got, want, len(top.list), len(counts))
		}
	}
}

// TestSlicedMeasures holds measures in slices against exact ones over the events that the slices cover.
func TestSlicedMeasures(t *testing.T) {
	const size = 64_000
	aggs := []rules.Aggregate{{Func: rules.Avg}, {Func: rules.Min}, {Func: rules.Max}, {Func: rules.Ratio}, {Func: rules.Quantile, Q: 0.9},
		{Func: rules.Rate}, {Func: rules.Top}}
	l := newLayout(aggs, size, 0)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 4))
		s := newSliced(l, size/slicesPerWindow, slicesPerWindow, 1)
		var all [][]uint64
		at := int64(1_000_000)
		for i := range 3000 {
			at += r.Int64N(120)
			bits := math.Float64bits(float64(r.IntN(1000) - 300))
			h := uint64(1 + r.IntN(5))
			e := []uint64{uint64(at - r.Int64N(300)), 1, uint64(i), 0x7f | holdBit<<3*r.Uint64N(2), bits, bits, bits, bits, h}
			s.add(e, []Arg{6: {Text: fmt.Sprint(h)}})
			all = append(all, e)
			exact := newRing(l, forever)
			for _, e := range all[max(0, len(all)-1300):] {
				if s.slot64(int64(e[wordTime])) > s.slot64(s.last)-slicesPerWindow && i%50 == 0 {
					exact.add(e, []Arg{6: {Text: fmt.Sprint(e[8])}})
				}
			}
			if i%50 != 0 {
				continue
			}
			got, want := s.values(nil), exact.values(nil)
			if math.Abs(got[4].Number-want[4].Number) > math.Abs(want[4].Number)/128 {
				t.Fatalf("seed %d, event %d: quantile %v, exactly %v", seed, i, got[4], want[4])
			}
			got[4] = want[4]
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d, event %d (-exact +slices):\n%s", seed, i, d)
			}
		}
	}
}

const memoryRules = `
id: measures
title: t
filter: "true"
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {slow: avg(request.duration), bad: ratio(response.code >= 500), tail: "quantile(request.duration, 0.95)"}
condition: tail > 1000000.0
---
id: top
title: t
filter: "true"
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count(), t: top(request.path)}
condition: n > 1000000 && t.share > 0.5
---
id: session
title: t
filter: "true"
group_by: [source.address]
window: {type: session, gap: 5m, size: 2h}
aggregates: {n: count(), most: max(response.size), speed: rate()}
condition: n > 1000000 && most > 0 && speed > 0
`

// entityBytes fills a shard with n groups of a rule, of some events each, and returns what a group costs: really, and as estimated.
func entityBytes(t testing.TB, rule string, n, events int) (heap, estimate float64) {
	set := loadRules(t, memoryRules).Only(func(r *rules.Rule) bool { return r.ID == rule })
	cfg := DefaultConfig()
	cfg.MaxBytes = 1 << 40
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewShard(set, cfg)
	st := newStream()
	var dst []*alert.Alert
	for i := range events * n {
		g := i % n
		e, err := st.event(time.Duration(i)*time.Microsecond, fmt.Sprintf("addr=10.%d.%d.%d", g>>16&255, g>>8&255, g&255), fmt.Sprintf("path=/some/path/%d", i/n))
		if err != nil {
			t.Fatal(err)
		}
		dst = s.Process(e, dst[:0])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if s.Stats().Entities != n {
		t.Fatalf("%d groups, want %d", s.Stats().Entities, n)
	}
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n), float64(s.Stats().Bytes) / float64(n)
}

// TestEntityMemory: a group with few events costs a few hundred bytes in the real heap, and the estimate is near.
func TestEntityMemory(t *testing.T) {
	for _, c := range []struct {
		rule   string
		events int
		most   float64
	}{{"measures", 1, 500}, {"top", 1, 650}, {"session", 1, 500}, {"measures", 3, 700}, {"top", 3, 1000}, {"session", 3, 700}} {
		heap, estimate := entityBytes(t, c.rule, 100_000/(c.events*c.events), c.events)
		t.Logf("%s, %d events: %.0f B a group, estimated %.0f", c.rule, c.events, heap, estimate)
		if heap > c.most {
			t.Errorf("%s, %d events: %.0f B a group, want at most %.0f", c.rule, c.events, heap, c.most)
		}
		if estimate < heap*0.6 || estimate > heap*1.6 {
			t.Errorf("%s, %d events: estimated at %.0f B a group, costs %.0f", c.rule, c.events, estimate, heap)
		}
	}
}

// TestBusyMemory: the window of a group with very many events of different values is bounded.
func TestBusyMemory(t *testing.T) {
	for _, r := range loadRules(t, memoryRules).Rules() {
		s := NewShard(loadRules(t, memoryRules).Only(func(o *rules.Rule) bool { return o.ID == r.ID }), DefaultConfig())
		st := newStream()
		for i := range 60_000 {
			e, err := st.event(time.Duration(i)*time.Millisecond, fmt.Sprintf("path=/some/path/%d", i), fmt.Sprintf("us=%d", i*7919%10_000_000),
				fmt.Sprintf("size=%d", i))
			if err != nil {
				t.Fatal(err)
			}
			s.Process(e, nil)
		}
		t.Logf("%s: %d B", r.ID, s.Stats().Bytes)
		if b := s.Stats().Bytes; b > 600_000 {
			t.Errorf("%s: a busy group costs %d B", r.ID, b)
		}
	}
}
