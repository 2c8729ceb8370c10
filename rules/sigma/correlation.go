package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// correlation is a correlation rule that is being converted.
type correlation struct {
	at     *node
	of     *source
	kind   string
	refs   []*source
	groups []string
	within time.Duration
}

// maxRefs bounds the rules of a correlation: each is an aggregate of the rule that is made.
const maxRefs = 16

// correlate converts a correlation.
func (c *converter) correlate(s *source) error {
	k := &correlation{at: s.correlation, of: s}
	if k.at.kind != mapNode {
		return refuse(k.at, "correlation is not a map")
	}
	if err := c.refer(k); err != nil {
		return err
	}
	k.kind = strings.ToLower(k.at.get("type").str())
	span := k.at.get("timespan")
	if span == nil {
		span = k.at.get("timeframe")
	}
	if span == nil {
		return refuse(k.at, "correlation has no timespan")
	}
	var err error
	if k.within, err = timespan(span); err != nil {
		return err
	}
	if err := k.group(); err != nil {
		return err
	}
	o := s.output(c.opt)
	o.groupBy = k.groups
	switch k.kind {
	case "event_count", "value_count", "value_sum", "value_avg", "value_min", "value_max", "value_median", "value_percentile":
		err = k.counted(o)
	case "temporal", "temporal_extended", "extended_temporal":
		err = k.temporal(o)
	case "temporal_ordered", "temporal_ordered_extended", "extended_temporal_ordered":
		err = k.ordered(o)
	default:
		return refuse(k.at.get("type"), "unknown correlation type %.40q", k.kind)
	}
	if err == nil {
		s.made = o
	}
	return err
}

// refer finds the rules that the correlation is over.
func (c *converter) refer(k *correlation) error {
	list := k.at.get("rules").list()
	if len(list) == 0 {
		return refuse(k.at, "correlation names no rules")
	}
	if len(list) > maxRefs {
		return refuse(k.at, "correlation over %d rules; the limit is %d", len(list), maxRefs)
	}
	generate := strings.EqualFold(k.of.at.get("generate").str(), "true") || strings.EqualFold(k.at.get("generate").str(), "true")
	for _, n := range list {
		ref := c.lookUp(k.of, n.str())
		if ref == nil {
			return refuse(n, "correlation refers to rule %.80q, which is not among the files", n.str())
		}
		k.refs = append(k.refs, ref)
		if !generate && c.used[ref] == nil {
			c.used[ref] = k.of
		}
	}
	for i, ref := range k.refs {
		if ref.err != nil {
			return refuse(list[i], "correlation refers to rule %.80q, which is refused: %s", list[i].str(), ref.err)
		}
	}
	return nil
}

// lookUp finds a rule by its name or id, in the correlation's own file first.
func (c *converter) lookUp(from *source, name string) *source {
	var found *source
	for _, s := range c.sources {
		if name == "" || s == from || s.name != name && !strings.EqualFold(s.id, name) {
			continue
		}
		if s.file == from.file {
			return s
		}
		if found == nil {
			found = s
		}
	}
	return found
}

// hidden tells whether the rule only serves correlations.
func (c *converter) hidden(s *source) bool { return c.used[s] != nil }

// group reads group-by. An alias must lead to the same event field in all rules: all of them see the same events.
func (k *correlation) group() error {
	for _, n := range k.at.get("group-by").list() {
		g, err := k.groupBy(n)
		if err != nil {
			return err
		}
		if !slices.Contains(k.groups, g) {
			k.groups = append(k.groups, g)
		}
	}
	const limit = 4
	if len(k.groups) > limit {
		return refuse(k.at.get("group-by"), "grouping by %d fields; the limit is %d", len(k.groups), limit)
	}
	return nil
}

func (k *correlation) groupBy(n *node) (string, error) {
	alias := k.at.get("aliases").get(n.str())
	if alias == nil {
		return groupOf(n, n.str())
	}
	out := ""
	for _, ref := range k.refs {
		of := alias.get(ref.name)
		if of == nil || ref.name == "" {
			of = alias.get(ref.id)
		}
		if of == nil {
			return "", refuse(alias, "alias %.60q has no field for rule %.60q", n.str(), ref.name)
		}
		g, err := groupOf(of, of.str())
		if err != nil {
			return "", err
		}
		if out != "" && g != out {
			return "", refuse(alias, "alias %.60q means %s in one rule and %s in another; events are grouped by the same fields in all rules", n.str(), out, g)
		}
		out = g
	}
	return out, nil
}

// event is the filter of a rule that the correlation refers to.
func (k *correlation) event(ref *source) (expr, error) {
	if ref.correlation != nil || ref.agg != nil {
		return expr{}, refuse(k.at, "a %s over another correlation (%.60q) cannot be converted", k.kind, ref.title)
	}
	e := ref.filter
	e.note = printable(ref.title, 100)
	return e, nil
}

func (k *correlation) any() (expr, error) {
	var all []expr
	for _, ref := range k.refs {
		e, err := k.event(ref)
		if err != nil {
			return expr{}, err
		}
		all = append(all, e)
	}
	return or(all...), nil
}

// counted converts the types that compare one aggregate with numbers.
func (k *correlation) counted(o *output) error {
	e, err := k.any()
	if err != nil {
		return err
	}
	o.filter = e.String()
	cond := k.at.get("condition")
	bounds, err := k.bounds(cond)
	if err != nil {
		return err
	}
	kind, quantile := k.kind, ""
	switch kind {
	case "value_median":
		quantile = "0.5"
	case "value_percentile":
		p, err := strconv.ParseFloat(cond.get("percentile").str(), 64)
		if err != nil || !(p > 0 && p < 100) {
			return refuse(cond, "value_percentile needs percentile: a number between 0 and 100")
		}
		quantile = strconv.FormatFloat(p/100, 'f', -1, 64)
	}
	return o.threshold(k.at, kind, cond.get("field").list(), quantile, bounds, k.groups, k.within)
}

// bounds reads the comparisons of a condition.
func (k *correlation) bounds(cond *node) ([]bound, error) {
	if cond == nil || cond.kind != mapNode {
		return nil, refuse(k.at, "correlation needs a condition such as {gte: 10}")
	}
	var out []bound
	for i, key := range cond.keys {
		switch key.text {
		case "gt", "gte", "lt", "lte", "eq", "neq":
			n, err := strconv.ParseInt(cond.vals[i].str(), 10, 64)
			if err != nil {
				return nil, refuse(key, "condition %s: want a whole number", key.text)
			}
			out = append(out, bound{key.text, n})
		case "field", "percentile":
		default:
			return nil, refuse(key, "unknown condition %.30q: want gt, gte, lt, lte, eq or neq", key.text)
		}
	}
	if len(out) == 0 {
		return nil, refuse(cond, "correlation needs a condition such as {gte: 10}")
	}
	return out, nil
}

// temporal converts "all within the time, in any order": each rule's events are counted.
func (k *correlation) temporal(o *output) error {
	e, err := k.any()
	if err != nil {
		return err
	}
	o.filter = e.String()
	names := k.names()
	var seen []expr
	for i, ref := range k.refs {
		f := ref.filter
		o.aggregates = append(o.aggregates, aggregate{name: names[i], fn: "count", where: f.String()})
		seen = append(seen, test("%s > 0", names[i]))
	}
	cond := and(seen...)
	switch c := k.at.get("condition"); {
	case c == nil:
	case c.kind == mapNode:
		bounds, err := k.bounds(c)
		if err != nil {
			return err
		}
		var kinds, parts []string
		for _, s := range seen {
			kinds = append(kinds, "("+s.text+" ? 1 : 0)")
		}
		for _, b := range bounds {
			parts = append(parts, fmt.Sprintf("%s %s %d", strings.Join(kinds, " + "), operator(b.op), b.n))
		}
		cond = test("%s", strings.Join(parts, " && "))
	default:
		if cond, err = parseCondition(c, c.text, k.labels(), k.resolver(seen)); err != nil {
			return err
		}
	}
	o.window, o.suppress, o.condition = k.within, max(suppress, k.within), cond.String()
	return nil
}

func (k *correlation) labels() []string {
	var out []string
	for _, ref := range k.refs {
		out = append(out, ref.name)
	}
	return out
}

func (k *correlation) resolver(seen []expr) func(*node, string) (expr, error) {
	return func(at *node, name string) (expr, error) {
		for i, ref := range k.refs {
			if name == ref.name || strings.EqualFold(name, ref.id) {
				return seen[i], nil
			}
		}
		return expr{}, refuse(at, "condition names %.60q, which is not among the correlation's rules", name)
	}
}

// ordered converts "one after the other within the time": a sequence. A step can be a number of events.
func (k *correlation) ordered(o *output) error {
	if err := k.plainOrder(); err != nil {
		return err
	}
	names := k.names()
	for i, ref := range k.refs {
		s := step{name: names[i], count: 1}
		if ref.correlation != nil {
			inner, n, err := k.repeated(ref)
			if err != nil {
				return err
			}
			s.count, s.filter = n, inner
		} else {
			e, err := k.event(ref)
			if err != nil {
				return err
			}
			s.filter = e.String()
		}
		o.sequence = append(o.sequence, s)
	}
	o.span, o.suppress = k.within, max(suppress, k.within)
	return nil
}

// plainOrder refuses a condition that asks for less than all steps.
func (k *correlation) plainOrder() error {
	c := k.at.get("condition")
	switch {
	case c == nil:
		return nil
	case c.kind == mapNode:
		bounds, err := k.bounds(c)
		if err != nil {
			return err
		}
		if len(bounds) == 1 && (bounds[0].op == "gte" || bounds[0].op == "eq") && bounds[0].n == int64(len(k.refs)) {
			return nil
		}
	case strings.Join(strings.Fields(strings.ToLower(c.text)), " ") == strings.ToLower(strings.Join(k.labels(), " and ")):
		return nil
	}
	return refuse(c, "an ordered correlation whose condition asks for less than all its rules in order cannot be converted")
}

// repeated is a step that is an event_count itself: so many events of it, by the same entity, within at least the whole's time.
func (k *correlation) repeated(ref *source) (filter string, n int64, err error) {
	in := ref.made
	if in == nil || len(in.aggregates) != 1 || in.aggregates[0].call != "count()" {
		return "", 0, refuse(k.at, "step %.60q is a correlation that is no event_count, or comes later in the files than this one", ref.title)
	}
	if !slices.Equal(in.groupBy, k.groups) || in.window < k.within {
		return "", 0, refuse(k.at, "step %.60q counts by other fields, or within a shorter time, than the sequence", ref.title)
	}
	m := regexp.MustCompile(`^events (>=|>) (\d+)$`).FindStringSubmatch(in.condition)
	if m == nil {
		return "", 0, refuse(k.at, "step %.60q counts with another condition than gt or gte", ref.title)
	}
	n, err = strconv.ParseInt(m[2], 10, 64)
	if m[1] == ">" {
		n++
	}
	return in.filter, n, err
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// names are names for the rules in conditions and steps: their own where that is possible.
func (k *correlation) names() []string {
	var out []string
	for i, ref := range k.refs {
		n := strings.ReplaceAll(slug(ref.name), "-", "_")
		reserved := slices.Contains(strings.Fields("as break const continue else false for function if import in let loop package namespace null return "+
			"true var void while bool bytes double duration int list map string timestamp type uint dyn math sets optional cel "+
			"event request response source principal auth api tls llm enforced waf intel ext"), n)
		if !nameForm.MatchString(n) || reserved || slices.Contains(out, n) {
			n = fmt.Sprintf("rule_%d", i+1)
		}
		out = append(out, n)
	}
	return out
}
