package schema

import (
	"fmt"
	"time"

	"github.com/warder/warder/rules"
)

// span is a duration with its bounds, which a schema can only tell people.
func span(least, most time.Duration, description string) object {
	return described(ref("duration"), fmt.Sprintf("%s %s to %s.", description, rules.Span(least), rules.Span(most)))
}

func count(least, most int, description string) object {
	return object{"type": "integer", "minimum": least, "maximum": most, "description": description}
}

func sequence() object {
	return closed(object{
		"span":  span(time.Second, rules.MaxSpan, "From the first to the last step, both included."),
		"steps": object{"type": "array", "items": ref("step"), "minItems": 2, "maxItems": rules.MaxSteps, "description": "What must happen, in this order."},
	}, "span", "steps")
}

func step() object {
	out := closed(object{
		"name":   object{"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$", "description": "Later steps read what this one keeps as NAME.KEY."},
		"filter": described(ref("cel"), "Which events are the step. FIELD == STEP.KEY compares with a kept value."),
		"count":  count(1, rules.MaxCount, "How many such events; 1 when it is not written."),
		"absent": object{"type": "boolean", "default": false, "description": "It must not happen between its neighbours; as the last step, until the span ends."},
		"keep": object{"type": "object", "maxProperties": rules.MaxKeep, "propertyNames": object{"pattern": "^[a-z][a-z0-9_]{0,39}$"},
			"additionalProperties": ref("cel"), "description": "Values, strings or ints, that later steps read as STEP.NAME."},
	}, "name", "filter")
	out["if"] = object{"required": []string{"absent"}, "properties": object{"absent": object{"const": true}}}
	out["then"] = object{"not": object{"anyOf": []any{object{"required": []string{"count"}}, object{"required": []string{"keep"}}}}}
	return out
}

func absence() object {
	return closed(object{
		"span":  span(time.Second, rules.MaxSpan, "For how long nothing must match."),
		"after": count(1, rules.MaxAfter, "How often the group must have matched before; 1 when it is not written."),
	}, "span")
}

func firstSeen() object {
	return closed(object{
		"value":  described(ref("cel"), "A string, an int or a bool; an empty text is no value."),
		"learn":  span(0, rules.MaxRemember, "Nothing alerts until the group was known for so long; default 7d."),
		"forget": span(time.Second, rules.MaxRemember, "A value that was not seen for so long is new again; longer than learn; default 90d."),
	}, "value")
}

func rare() object {
	return closed(object{
		"value": described(ref("cel"), "A string, an int or a bool; an empty text is no value."),
		"peers": object{"type": "array", "maxItems": rules.MaxGroupBy, "items": ref("field"), "description": "Entities with the same values of these are compared; none: all are."},
		"share": object{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.01, "description": "Rare is a value that fewer than this share of the peers have."},
		"least": object{"type": "integer", "minimum": 2, "maximum": rules.MaxAfter, "default": 50, "description": "How many peers there must be."},
		"span":  span(time.Minute, rules.MaxSpan, "How far it looks back; default 24h."),
	}, "value")
}

// oneForm says which keys exclude each other.
func oneForm() []any {
	forms := []string{"window", "sequence", "absence", "first_seen", "rare"}
	var out []any
	for i, a := range forms {
		var others []any
		for _, b := range forms[i+1:] {
			others = append(others, object{"required": []string{b}})
		}
		if others != nil {
			out = append(out, object{"if": object{"required": []string{a}}, "then": object{"not": object{"anyOf": others}}})
		}
	}
	return out
}

// longAggregate is the mapping form of an aggregate.
func longAggregate() object {
	needs := func(fn []string, then object) object {
		return object{"if": object{"properties": object{"func": object{"enum": fn}}}, "then": then}
	}
	out := closed(object{
		"func":  object{"enum": []string{rules.Count, rules.Sum, rules.Distinct, rules.Avg, rules.Min, rules.Max, rules.Ratio, rules.Quantile, rules.Rate, rules.Top}},
		"of":    described(ref("cel"), "What is added up, told apart or compared; for a ratio, what is true or false. Not for count and rate."),
		"where": described(ref("cel"), "What an event must fulfil to count here."),
		"q":     object{"type": "number", "minimum": 0, "maximum": 1, "description": "Which quantile: 0.95 is what 95 % of the events do not exceed."},
	}, "func")
	quantile := []string{rules.Quantile}
	out["allOf"] = []any{
		object{"if": object{"properties": object{"func": object{"enum": quantile}}}, "then": object{"required": []string{"of", "q"}},
			"else": object{"not": object{"required": []string{"q"}}}},
		needs([]string{rules.Count, rules.Rate}, object{"not": object{"required": []string{"of"}}}),
		needs([]string{rules.Sum, rules.Distinct, rules.Avg, rules.Min, rules.Max, rules.Ratio, rules.Top}, object{"required": []string{"of"}}),
	}
	return out
}
