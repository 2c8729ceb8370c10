package detector

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/warder/warder/rules"
)

// TestSlicedError holds a window in slices against the exact one: it never counts more, and at least what the newest 63 of
// 64 parts hold.
func TestSlicedError(t *testing.T) {
	const size = 64_000
	l := newLayout([]rules.Aggregate{{Name: "n", Func: rules.Count}, {Name: "d", Func: rules.Distinct}, {Name: "s", Func: rules.Sum}}, 0, 0)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		all, most, s := newRing(l, size), newRing(l, size-size/slicesPerWindow), newSliced(l, size/slicesPerWindow, slicesPerWindow, 1<<20)
		at := int64(1_000_000)
		for i := range 3000 {
			at += r.Int64N(120)
			e := []uint64{uint64(at - r.Int64N(300)), 1, uint64(i), 0b111, r.Uint64N(500), math.Float64bits(float64(r.IntN(10)))}
			all.add(e, nil)
			s.add(e, nil)
			if most.near(int64(e[wordTime])) {
				most.add(e, nil)
			}
			upper, got, lower := all.values(nil), s.values(nil), most.values(nil)
			for k := range got {
				if got[k].Number > upper[k].Number || got[k].Number < lower[k].Number {
					t.Fatalf("seed %d, event %d, aggregate %d: %v, want %v to %v", seed, i, k, got[k], lower[k], upper[k])
				}
			}
		}
	}
}

// TestSketchError: above the bound a distinct is estimated within three standard errors and what the refresh may lag.
func TestSketchError(t *testing.T) {
	const exact = 4096
	l := newLayout([]rules.Aggregate{{Name: "d", Func: rules.Distinct}}, 0, 0)
	s := newSliced(l, 60_000, 1, exact)
	for i := range 60_000 {
		s.add([]uint64{uint64(60_000 + i), 1, uint64(i), 1, hashText(strconv.Itoa(i))}, nil)
		got, want := s.values(nil)[0].Number, float64(i+1)
		if i < exact && got != want || math.Abs(got-want) > 3*0.0163*want+sketchRefresh {
			t.Fatalf("%v after %v values", got, want)
		}
	}
	if s.cost() > 100<<10 {
		t.Errorf("costs %d bytes", s.cost())
	}
}

// TestSumIsExact: adding and taking away in any order leaves no trace, as it would with floating point.
func TestSumIsExact(t *testing.T) {
	var tot total
	r := rand.New(rand.NewPCG(1, 1))
	var in []float64
	for range 1000 {
		v := math.Round((r.Float64()-0.5)*1e12) / 1e6 * math.Pow(10, float64(r.IntN(6)))
		in = append(in, v)
		tot.addNumber(math.Float64bits(v), 1)
	}
	in = append(in, math.NaN(), math.Inf(1), math.Inf(-1))
	for _, v := range in[1000:] {
		tot.addNumber(math.Float64bits(v), 1)
	}
	r.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
	for _, v := range in {
		tot.addNumber(math.Float64bits(v), -1)
	}
	if tot.n != 0 || tot.micro != 0 {
		t.Errorf("left over: %+v", tot)
	}
}
