package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tail is the old aggregation after a condition: "| count(field) by field > 10" within timeframe.
type tail struct {
	at     *node
	fn, of string
	by     []string
	bounds []bound
	within time.Duration
}

// bound is one comparison of an aggregate with a number.
type bound struct {
	op string // lt, lte, gt, gte, eq, neq
	n  int64
}

var tailForm = regexp.MustCompile(`(?i)^(count|sum|avg|min|max)\s*\(\s*([^()]*?)\s*\)\s*(?:by\s+([^<>=!]+?))?\s*(>=|<=|==|=|>|<)\s*(\d{1,15})$`)

// read is the filter, and the old aggregation where there is one.
func (d *detection) read() (expr, *tail, error) {
	list, err := d.conditions()
	if err != nil {
		return expr{}, nil, err
	}
	at := list[0]
	cond, agg, piped := strings.Cut(at.text, "|")
	if len(list) > 1 || !piped {
		e, err := d.filter()
		return e, nil, err
	}
	m := tailForm.FindStringSubmatch(strings.TrimSpace(agg))
	if m == nil {
		return expr{}, nil, refuse(at, "aggregation %.60q: want count(), count(field), sum, avg, min or max, by fields, compared with a number; `near` is a correlation of its own", strings.TrimSpace(agg))
	}
	if d.at.get("timeframe") == nil {
		return expr{}, nil, refuse(at, "an aggregation without timeframe has no bound")
	}
	t := &tail{at: at, fn: strings.ToLower(m[1]), of: m[2]}
	if t.within, err = timespan(d.at.get("timeframe")); err != nil {
		return expr{}, nil, err
	}
	if by := strings.TrimSpace(m[3]); by != "" {
		t.by = regexp.MustCompile(`\s*,\s*|\s+`).Split(by, -1)
	}
	n, err := strconv.ParseInt(m[5], 10, 64)
	if err != nil {
		return expr{}, nil, refuse(at, "aggregation: %s is too large", m[5])
	}
	op := map[string]string{">=": "gte", "<=": "lte", "==": "eq", "=": "eq", ">": "gt", "<": "lt"}[m[4]]
	t.bounds = []bound{{op, n}}
	e, err := parseCondition(at, cond, d.names, d.identifier)
	return e, t, err
}

// apply puts the aggregation into the rule.
func (t *tail) apply(o *output) error {
	var groups []string
	for _, name := range t.by {
		g, err := groupOf(t.at, name)
		if err != nil {
			return err
		}
		groups = append(groups, g)
	}
	kind := map[string]string{"count": "event_count", "sum": "value_sum", "avg": "value_avg", "min": "value_min", "max": "value_max"}[t.fn]
	var of []*node
	if t.of != "" {
		of = []*node{{kind: textNode, line: t.at.line, text: t.of}}
		if t.fn == "count" {
			kind = "value_count"
		}
	}
	return o.threshold(t.at, kind, of, "", t.bounds, groups, t.within)
}

// threshold makes a rule over a window of the rule: an aggregate and what it must come to.
func (o *output) threshold(at *node, kind string, of []*node, quantile string, bounds []bound, groups []string, within time.Duration) error {
	const limit = 4
	if groups = slices.Compact(groups); len(groups) > limit {
		return refuse(at, "grouping by %d fields; the limit is %d", len(groups), limit)
	}
	name, call, inMillis, err := aggregation(at, kind, of, quantile)
	if err != nil {
		return err
	}
	rising := kind == "event_count" || kind == "value_count" || kind == "value_sum" || kind == "value_max"
	if rising && !slices.ContainsFunc(bounds, func(b bound) bool { return b.op != "lt" && b.op != "lte" && b.op != "neq" }) {
		return refuse(at, "%s with an upper bound alone holds from the first event on: whether it stays below can only be told when the time is over; write an `absence` rule", kind)
	}
	var parts []string
	for _, b := range bounds {
		n := strconv.FormatInt(b.n, 10)
		if inMillis {
			n = strconv.FormatFloat(float64(b.n)/1000, 'f', -1, 64)
			if !strings.Contains(n, ".") {
				n += ".0"
			}
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", name, operator(b.op), n))
	}
	o.groupBy, o.window, o.suppress = groups, within, max(suppress, within)
	o.aggregates, o.condition = []aggregate{{name: name, call: call}}, strings.Join(parts, " && ")
	return nil
}

// aggregation is the aggregate of a kind of correlation; inMillis tells that it is in seconds where Sigma has milliseconds.
func aggregation(at *node, kind string, of []*node, quantile string) (name, call string, inMillis bool, err error) {
	if kind == "event_count" {
		return "events", "count()", false, nil
	}
	if len(of) == 0 {
		return "", "", false, refuse(at, "%s needs a field", kind)
	}
	if kind == "value_count" {
		cel, err := valueOf(of)
		return "different", fmt.Sprintf("distinct(%s)", cel), false, err
	}
	f, err := fieldOf(of[0], of[0].str())
	if err != nil {
		return "", "", false, err
	}
	inMillis = f.kind == millisField
	if f.kind != numberField && !inMillis || len(of) > 1 || inMillis && kind == "value_sum" {
		return "", "", false, refuse(of[0], "%s of %.60q: want one field that is a number of bytes, or time-taken where it is no sum", kind, of[0].str())
	}
	fn := strings.TrimPrefix(kind, "value_")
	if quantile != "" {
		return "value", fmt.Sprintf("quantile(%s, %s)", f.on.cel, quantile), inMillis, nil
	}
	return "value", fmt.Sprintf("%s(%s)", fn, f.on.cel), inMillis, nil
}

// valueOf is the text whose different values are counted; of several fields it is the values side by side.
func valueOf(of []*node) (string, error) {
	var parts []string
	for _, n := range of {
		f, err := fieldOf(n, n.str())
		if err != nil {
			return "", err
		}
		cel := f.on.cel
		switch {
		case f.kind > urlField || f.kind == millisField:
			return "", refuse(n, "values of %.60q cannot be counted", n.str())
		case f.on.guard.op != 'T':
			cel = fmt.Sprintf("(%s ? %s : \"\")", f.on.guard, f.on.cel)
		case len(of) > 1 && (f.kind == numberField || f.kind == statusField):
			cel = "string(" + cel + ")"
		}
		parts = append(parts, cel)
	}
	return strings.Join(parts, ` + " " + `), nil
}

// groupOf is the event field that a field of Sigma's names an entity by.
func groupOf(at *node, name string) (string, error) {
	f, err := fieldOf(at, name)
	if err != nil {
		return "", err
	}
	if f.group == "" {
		return "", refuse(at, "cannot group by %.60q: it is no single field of the event", name)
	}
	return f.group, nil
}

var spanForm = regexp.MustCompile(`^(\d{1,6})\s*([smhd])$`)

// timespan reads 30s, 5m, 1h, 1d, within what a rule's window can be.
func timespan(at *node) (time.Duration, error) {
	m := spanForm.FindStringSubmatch(at.str())
	if m == nil {
		return 0, refuse(at, "time span %.30q: want a number and s, m, h or d", at.str())
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, refuse(at, "time span %.30q: %s", at.str(), err)
	}
	d := time.Duration(n) * map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	const limit = 24 * time.Hour
	if d < time.Second || d > limit {
		return 0, refuse(at, "time span %s: a window is 1s to 24h", at.str())
	}
	return d, nil
}
