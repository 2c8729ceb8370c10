package synthetic

import (
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// clock spreads a number of events over a span so that they follow the day and the week.
type clock struct {
	start time.Time
	step  time.Duration
	cum   []float64 // weight of all steps before, and at the end the sum
	made  int
	count int
	at    int // the step that the last event was in
}

func newClock(start, end time.Time, count int) clock {
	span := end.Sub(start)
	c := clock{start: start, step: max(min(5*time.Minute, span/288), time.Millisecond), count: count}
	n := int((span + c.step - 1) / c.step)
	c.cum = make([]float64, n+1)
	for i := range n {
		part := min(c.step, span-time.Duration(i)*c.step)
		c.cum[i+1] = c.cum[i] + rhythm(start.Add(time.Duration(i)*c.step))*part.Seconds()
	}
	return c
}

// rhythm is how busy a moment is: 1 on a weekday afternoon.
func rhythm(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	day := 0.66 - 0.34*math.Cos((hour-3)/24*2*math.Pi) // the least at 3:00, the most at 15:00
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		day *= 0.6
	}
	return day
}

// next returns the time of the next event; times ascend.
func (c *clock) next(rnd *rand.Rand) time.Time {
	want := (float64(c.made) + rnd.Float64()) / float64(c.count) * c.cum[len(c.cum)-1]
	c.made++
	for c.at < len(c.cum)-2 && c.cum[c.at+1] <= want {
		c.at++
	}
	return c.inStep(c.at, want)
}

// inStep returns the moment at which the weight before it is want, given the step that it lies in.
func (c *clock) inStep(i int, want float64) time.Time {
	share := (want - c.cum[i]) / (c.cum[i+1] - c.cum[i])
	length := c.step
	if i == len(c.cum)-2 {
		length = time.Duration((c.cum[i+1] - c.cum[i]) / rhythm(c.start.Add(time.Duration(i)*c.step)) * float64(time.Second))
	}
	return c.start.Add(time.Duration(i)*c.step + time.Duration(share*float64(length)))
}

// when returns the moment before which the share of all events happens.
func (c *clock) when(share float64) time.Time {
	want := share * c.cum[len(c.cum)-1]
	i := min(max(sort.SearchFloat64s(c.cum, want)-1, 0), len(c.cum)-2)
	return c.inStep(i, want)
}

// events estimates how many of the events lie between two moments.
func (c *clock) events(from, until time.Time) float64 {
	at := func(t time.Time) float64 {
		x := float64(t.Sub(c.start)) / float64(c.step)
		i := min(max(int(x), 0), len(c.cum)-2)
		return c.cum[i] + min(max(x-float64(i), 0), 1)*(c.cum[i+1]-c.cum[i])
	}
	return (at(until) - at(from)) / c.cum[len(c.cum)-1] * float64(c.count)
}
