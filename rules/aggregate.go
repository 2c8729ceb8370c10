package rules

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// The aggregate functions.
const (
	Count    = "count"
	Sum      = "sum"
	Distinct = "distinct"
	Avg      = "avg"
	Min      = "min"
	Max      = "max"
	Ratio    = "ratio"
	Quantile = "quantile"
	Rate     = "rate"
	Top      = "top"
)

// Aggregate is a named value over the window's events.
type Aggregate struct {
	Name string
	Func string // one of the functions above
	// Of is the CEL text of what is added up, told apart, compared or, for a ratio, tested; empty for count and rate.
	Of string
	// Where is the CEL text that an event must fulfil to count here; empty for every event.
	Where string
	// Q is which quantile, 0 to 1: 0.95 is what 95 % of the events do not exceed. 0 for the other functions.
	Q float64

	of, where *expression // nil when the text is empty
	integer   bool        // the condition sees an int, not a double
}

// The parts of a top, as the condition and alerts name them behind the aggregate's name and a dot.
const (
	TopValue = "value" // string: the most frequent value
	TopCount = "count" // int: how many events have it
	TopShare = "share" // double: the same as a share of the events that count in the aggregate, 0 to 1
)

// Names returns what the condition and the values of an alert call the aggregate: its name, and for a top the names of its
// value, count and share.
func (a *Aggregate) Names() []string {
	if a.Func == Top {
		return []string{a.part(TopValue), a.part(TopCount), a.part(TopShare)}
	}
	return []string{a.Name}
}

func (a *Aggregate) part(name string) string { return a.Name + "." + name }

// Arg is what one event contributes to one aggregate.
type Arg struct {
	In bool // the aggregate's own where holds; the other fields are only set then
	// Number is for sum, avg, min, max and quantile; durations are in seconds. For ratio it is 1 when the event fulfils its
	// condition, else 0.
	Number float64
	Text   string // for distinct and top
}

// Value is one aggregate over a window, as a condition reads it.
type Value struct {
	Number float64 // of a top: how many events have the value
	Text   string  // of a top: the value
	Share  float64 // of a top: Number as a share of the events that count in the aggregate
}

// numeric tells whether the aggregate reads a number of each event.
func (a *Aggregate) numeric() bool {
	switch a.Func {
	case Sum, Avg, Min, Max, Quantile:
		return true
	}
	return false
}

// arg works out what the event, which fulfils the aggregate's where, contributes to it.
func (r *Rule) arg(in *input, a *Aggregate) Arg {
	if a.of == nil {
		return Arg{In: true}
	}
	arg, err := Arg{In: true}, error(nil)
	switch {
	case a.Func == Ratio:
		if r.accepts(in, a.of) {
			arg.Number = 1
		}
	case a.numeric():
		arg.Number, err = in.number(a.of)
	default:
		arg.Text, err = in.text(a.of)
		arg.In = arg.Text != ""
	}
	if err != nil {
		r.failed(in, err)
		return Arg{}
	}
	return arg
}

// number evaluates the operand of a numeric aggregate; a duration is its seconds.
func (in *input) number(x *expression) (float64, error) {
	if x.native.num != nil {
		n := x.native.num(in)
		if x.typ.IsExactType(cel.DurationType) {
			return float64(n) / 1e9, nil
		}
		return float64(n), nil
	}
	v, err := x.eval(in)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case types.Int:
		return float64(v), nil
	case types.Double:
		return float64(v), nil
	case types.Duration:
		return float64(v.Duration) / 1e9, nil
	}
	return 0, fmt.Errorf("%s is no number", v.Type())
}

// variables declares the names that the condition can read.
func (r *Rule) variables() (vars []cel.EnvOption, names []string) {
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		kinds := []*cel.Type{cel.DoubleType}
		switch {
		case a.Func == Top:
			kinds = []*cel.Type{cel.StringType, cel.IntType, cel.DoubleType}
		case a.integer:
			kinds[0] = cel.IntType
		}
		for j, name := range a.Names() {
			vars, names = append(vars, cel.Variable(name, kinds[j])), append(names, name)
		}
	}
	return vars, names
}
