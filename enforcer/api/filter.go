package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/decision"
)

// MaxLimit is how many decisions a page may have.
const MaxLimit = 1000

const (
	defaultLimit = 100
	maxParameter = decision.MaxValue // bytes
)

// readFilter reads the parameters of the list. Unknown ones are refused: a mistyped filter would show too much.
func readFilter(q url.Values) (enforcer.Filter, *problem) {
	f := enforcer.Filter{Limit: defaultLimit}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		text, p := parameter(q, name)
		if p != nil {
			return f, p
		}
		switch name {
		case "state":
			f.States, p = readStates(text)
		case "action":
			f.Action = decision.Action(text)
			p = oneOf(name, f.Action, decision.Block, decision.Limit, decision.Challenge, decision.Log)
		case "scope":
			f.Scope = decision.Scope(text)
			p = oneOf(name, f.Scope, decision.Scopes()...)
		case "value":
			f.Value = text
		case "rule":
			f.Rule = text
		case "creator":
			f.Creator = text
		case "cursor":
			f.After = text
		case "limit":
			f.Limit, p = readLimit(text)
		default:
			p = invalid(cut(name, 60), "there is no such parameter; known are state, action, scope, value, rule, creator, limit and cursor")
		}
		if p != nil {
			return f, p
		}
	}
	return f, nil
}

// parameter returns the one value of a parameter of the query.
func parameter(q url.Values, name string) (string, *problem) {
	switch values := q[name]; {
	case len(values) != 1 || values[0] == "":
		return "", invalid(cut(name, 60), "must be given once, with a value")
	case len(values[0]) > maxParameter:
		return "", invalid(cut(name, 60), "has %d bytes, limit is %d", len(values[0]), maxParameter)
	default:
		return values[0], nil
	}
}

func readStates(text string) ([]decision.State, *problem) {
	var out []decision.State
	for s := range strings.SplitSeq(text, ",") {
		if p := oneOf("state", decision.State(s), decision.Proposed, decision.Active, decision.Expired, decision.Revoked); p != nil {
			return nil, p
		}
		out = append(out, decision.State(s))
	}
	return out, nil
}

func readLimit(text string) (int, *problem) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, invalid("limit", "%.20q is not a number from 1 to %d", text, MaxLimit)
	}
	return n, nil
}

// oneOf refuses a value that is none of the known ones.
func oneOf[T ~string](field string, got T, known ...T) *problem {
	if slices.Contains(known, got) {
		return nil
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return invalid(field, "%.40q is none of %s", string(got), strings.Join(names, ", "))
}
