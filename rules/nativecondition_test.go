package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
)

// conditionNames are the aggregates of the random conditions: whole numbers, doubles and texts.
const conditionAggregates = `{n: count(), d: distinct(request.path), s: sum(request.size), r: avg(response.size), v: rate(), ` +
	`q: "quantile(request.duration, 0.9)", t: top(request.path), u: top(principal.id)}`

func randomCondition(r *rand.Rand, depth int) string {
	sub := func() string { return randomCondition(r, depth-1) }
	if depth > 0 {
		switch r.IntN(5) {
		case 0, 1:
			return "(" + sub() + " && " + sub() + ")"
		case 2:
			return "(" + sub() + " || " + sub() + ")"
		case 3:
			return "!(" + sub() + ")"
		default:
			return fmt.Sprintf("[%d, %d].exists(n, n > %s || %s)", r.IntN(4), r.IntN(4), pick(r, []string{"d", "r", "t.count"}), sub())
		}
	}
	ints, doubles, texts := []string{"n", "d", "s", "t.count", "u.count"}, []string{"r", "v", "q"}, []string{"t.value", "u.value"}
	order, equal := []string{"<", "<=", ">", ">="}, []string{"==", "!="}
	literals := []string{"/login", "/", "", "a", "é"}
	switch r.IntN(13) {
	case 0:
		return fmt.Sprintf("%s %s %d", pick(r, ints), pick(r, append(order, equal...)), r.IntN(4))
	case 1:
		return fmt.Sprintf("%s %s %d", pick(r, doubles), pick(r, order), r.IntN(3))
	case 2:
		return fmt.Sprintf("%s %s %s", pick(r, doubles), pick(r, append(order, equal...)), pick(r, []string{"0.0", "0.5", "1.0", "2.5"}))
	case 3:
		return fmt.Sprintf("%s %s %s", pick(r, []string{"0.5", "1.5", "2"}), pick(r, order), pick(r, append(ints, doubles...)))
	case 4:
		return fmt.Sprintf("%s %s %s", pick(r, append(ints, doubles...)), pick(r, order), pick(r, append(ints, doubles...)))
	case 5:
		return fmt.Sprintf("%s %s %q", pick(r, texts), pick(r, append(order, equal...)), pick(r, literals))
	case 6:
		return fmt.Sprintf("%s in [%q, %q]", pick(r, texts), pick(r, literals), pick(r, literals))
	case 7:
		return fmt.Sprintf("%s in [1, %d]", pick(r, ints), r.IntN(4))
	case 8:
		return fmt.Sprintf("%s.%s(%q)", pick(r, texts), pick(r, []string{"startsWith", "endsWith", "contains", "matches"}), pick(r, literals))
	case 9:
		return fmt.Sprintf("n * %d > d + 1", r.IntN(4))
	case 11:
		return fmt.Sprintf("%s.share %s %s", pick(r, []string{"t", "u"}), pick(r, order), pick(r, []string{"0.5", "n", "v", "u.share"}))
	case 10:
		return fmt.Sprintf("s / n > %d", r.IntN(2))
	}
	return fmt.Sprintf("%s == %s", pick(r, texts), pick(r, texts))
}

// TestConditionAgreesWithCEL compares Holds, which decides natively what it can, with CEL alone.
func TestConditionAgreesWithCEL(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	exact, total, holds := 0, 0, 0
	for range 40 {
		var text strings.Builder
		for i := range 10 {
			fmt.Fprintf(&text, "---\nid: r%d\ntitle: R\nfilter: \"true\"\nwindow: {size: 1m}\naggregates: %s\ncondition: |\n  %s\n",
				i, conditionAggregates, randomCondition(r, i%4))
		}
		set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text.String())}})
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			var vals []Value
			for range 8 {
				vals = append(vals, Value{Number: float64(r.IntN(4))})
			}
			for _, i := range []int{3, 4, 5} {
				vals[i].Number = pick(r, []float64{0, 0.25, 0.5, 1, 2.5})
			}
			for _, i := range []int{6, 7} {
				vals[i].Text, vals[i].Share = pick(r, []string{"", "/login", "a", "/"}), pick(r, []float64{0, 0.5, 1})
			}
			for _, rule := range set.rules {
				total++
				if rule.condition.test.exact {
					exact++
				}
				in := &input{set: set, aggregates: rule.Aggregates, values: vals}
				want, wantErr := rule.condition.holds(in)
				got, err := rule.Holds(vals)
				if got != (want && wantErr == nil) {
					t.Fatalf("%s over %+v: %t, %v; CEL alone %t, %v", rule.condition.text, vals, got, err, want, wantErr)
				}
				if got {
					holds++
				}
			}
		}
	}
	if exact < total/3 || exact == total || holds < total/10 {
		t.Errorf("%d of %d exact, %d hold: the test does not tell", exact, total, holds)
	}
}

// TestHoldsAllocates: conditions over numbers and texts cost no memory.
func TestHoldsAllocates(t *testing.T) {
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte("id: a\ntitle: A\nfilter: \"true\"\nwindow: {size: 1m}\naggregates: " + conditionAggregates +
		"\ncondition: n >= 2 && r > 0.25 && v <= 3 && t.share >= 0.5 && t.value.startsWith(\"/\") && u.value in [\"a\", \"b\"]\n")}})
	if err != nil {
		t.Fatal(err)
	}
	rule := set.rules[0]
	vals := []Value{{Number: 2}, {}, {}, {Number: 0.5}, {Number: 1}, {}, {Number: 2, Text: "/x", Share: 1}, {Number: 2, Text: "a", Share: 1}}
	if !rule.condition.test.exact {
		t.Error("the condition is not decided natively")
	}
	if n := testing.AllocsPerRun(100, func() {
		if ok, err := rule.Holds(vals); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
