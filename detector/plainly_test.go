package detector

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// plainly works out one aggregate over what the events contribute to it.
func plainly(r *rules.Rule, i int, args []rules.Arg, start, end int64) rules.Value {
	a := r.Aggregates[i]
	var v rules.Value
	micros := int64(0) // the detector's sums are of millionths, too
	var numbers []float64
	texts := map[string]int{}
	for _, x := range args {
		micros += int64(math.Round(x.Number * 1e6))
		numbers = append(numbers, x.Number)
		texts[x.Text]++
	}
	slices.Sort(numbers)
	n, sum := len(args), float64(micros/1e6)+float64(micros%1e6)/1e6
	switch a.Func {
	case rules.Count:
		v.Number = float64(n)
	case rules.Sum:
		v.Number = sum
	case rules.Distinct:
		v.Number = float64(len(texts))
	case rules.Rate:
		seconds := r.Window.Size.Seconds()
		if r.Window.Type == rules.Session {
			seconds = max(1, time.Duration(end-start).Seconds())
		}
		v.Number = float64(n) / seconds
	case rules.Top:
		for text, n := range texts {
			if float64(n) > v.Number || float64(n) == v.Number && text < v.Text {
				v.Text, v.Number = text, float64(n)
			}
		}
		if n > 0 {
			v.Share = v.Number / float64(n)
		}
	}
	if n == 0 {
		return v
	}
	switch a.Func {
	case rules.Avg, rules.Ratio:
		v.Number = sum / float64(n)
	case rules.Min:
		v.Number = numbers[0]
	case rules.Max:
		v.Number = numbers[n-1]
	case rules.Quantile: // the least number that at least this share of the numbers does not exceed
		for k, x := range numbers {
			if v.Number = x; float64(k+1) >= a.Q*float64(n)-1e-9 {
				break
			}
		}
	}
	return v
}

// flat writes values as an alert has them.
func flat(r *rules.Rule, vals []rules.Value) []string {
	var out []string
	for i, v := range vals {
		if r.Aggregates[i].Func == rules.Top {
			out = append(out, v.Text, fmt.Sprint(round(v.Share)))
		}
		out = append(out, fmt.Sprint(round(v.Number)))
	}
	return out
}

// flatAlert is flat of the alert's values.
func flatAlert(r *rules.Rule, a *alert.Alert) []string {
	vals := make([]rules.Value, len(r.Aggregates))
	for i, agg := range r.Aggregates {
		names := agg.Names()
		if agg.Func == rules.Top {
			vals[i] = rules.Value{Text: a.Texts[names[0]], Number: a.Values[names[1]], Share: a.Values[names[2]]}
		} else {
			vals[i].Number = a.Values[names[0]]
		}
	}
	return flat(r, vals)
}
