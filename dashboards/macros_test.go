package dashboards

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asked is what Grafana and its ClickHouse plugin, version 4, fill into a query.
type asked struct {
	from, to time.Time
	interval time.Duration
	values   map[string][]string // of variables; none is All, or an empty text box
	multi    map[string]bool
}

// expand writes a query out: $__conditionalAll and the variables as the plugin's and Grafana's part in the browser do, the other macros as
// the plugin's part in the server does.
func (a asked) expand(query string) (string, error) {
	query, err := a.conditions(query)
	if err != nil {
		return "", err
	}
	if query, err = a.variables(query); err != nil {
		return "", err
	}
	return a.macros(query)
}

const conditionalAll = "$__conditionalAll("

var replacing = regexp.MustCompile("[$]['`&$0-9]")

// conditions leaves a condition on a variable out where the variable is All or empty.
func (a asked) conditions(query string) (string, error) {
	for {
		at := strings.LastIndex(query, conditionalAll)
		if at < 0 {
			return query, nil
		}
		args, end, err := arguments(query[at+len(conditionalAll):])
		if err != nil || len(args) != 2 || !strings.HasPrefix(strings.TrimSpace(args[1]), "$") {
			return "", fmt.Errorf("%s: want a condition and a variable: %w", query[at:], err)
		}
		condition := args[0]
		if replacing.MatchString(condition) {
			return "", fmt.Errorf("%s: the plugin hands it to JavaScript's replace, to which this dollar is no dollar", condition)
		}
		if v := a.values[strings.TrimSpace(args[1])[1:]]; len(v) == 0 || strings.Join(v, ",") == "" {
			condition = "1=1"
		}
		query = query[:at] + condition + query[at+len(conditionalAll)+end:]
	}
}

// arguments splits what follows an opening parenthesis at its commas, and tells where the closing one ends. Like the plugin, it does not
// know of strings.
func arguments(s string) (args []string, end int, err error) {
	depth, begin := 1, 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if c == ',' && depth == 1 || depth == 0 {
			args = append(args, s[begin:i])
			begin = i + 1
		}
		if depth == 0 {
			return args, i + 1, nil
		}
	}
	return nil, 0, fmt.Errorf("no closing parenthesis")
}

var variableRef = regexp.MustCompile(`\$\{(\w+):(\w+)\}`)

func (a asked) variables(query string) (string, error) {
	var err error
	out := variableRef.ReplaceAllStringFunc(query, func(ref string) string {
		m := variableRef.FindStringSubmatch(ref)
		if m[2] != "percentencode" {
			err = fmt.Errorf("%s: format %s is not known here", ref, m[2])
		}
		v := strings.Join(a.values[m[1]], ",")
		if a.multi[m[1]] {
			v = "{" + v + "}"
		}
		return percentEncode(v)
	})
	return out, err
}

// percentEncode encodes everything except letters, digits and -_.~, as Grafana does.
func percentEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

var (
	macroCall = regexp.MustCompile(`\$__(\w+)(\([^()]*\))?`)
	withArg   = map[string]bool{"timeFilter": true, "timeFilter_ms": true, "dateFilter": true, "timeInterval": true, "timeInterval_ms": true}
)

func (a asked) macros(query string) (string, error) {
	var err error
	out := macroCall.ReplaceAllStringFunc(query, func(call string) string {
		m := macroCall.FindStringSubmatch(call)
		name, arg := m[1], strings.Trim(m[2], "()")
		if withArg[name] != (arg != "") {
			err = fmt.Errorf("%s: a macro's argument is missing, too much, or holds parentheses, which older plugins do not read", call)
		}
		sql, ok := a.macro(name, arg)
		if !ok {
			err = fmt.Errorf("%s: no macro of that name", call)
		}
		return sql
	})
	return out, err
}

func (a asked) macro(name, arg string) (string, bool) {
	second := func(t time.Time) string { return fmt.Sprintf("toDateTime(%d)", t.Unix()) }
	milli := func(t time.Time) string { return fmt.Sprintf("fromUnixTimestamp64Milli(%d)", t.UnixMilli()) }
	day := func(t time.Time) string { return "toDate('" + t.Format(time.DateOnly) + "')" }
	between := func(f func(time.Time) string) string {
		return arg + " >= " + f(a.from) + " AND " + arg + " <= " + f(a.to)
	}
	switch name {
	case "fromTime":
		return second(a.from), true
	case "toTime":
		return second(a.to), true
	case "fromTime_ms":
		return milli(a.from), true
	case "toTime_ms":
		return milli(a.to), true
	case "timeFilter":
		return between(second), true
	case "timeFilter_ms":
		return between(milli), true
	case "dateFilter":
		return between(day), true
	case "timeInterval":
		return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", arg, max(1, int(a.interval.Seconds()))), true
	case "timeInterval_ms":
		return fmt.Sprintf("toStartOfInterval(toDateTime64(%s, 3), INTERVAL %d millisecond)", arg, max(1, a.interval.Milliseconds())), true
	case "interval_s":
		return fmt.Sprint(max(1, int(a.interval.Seconds()))), true
	}
	return "", false
}

func TestExpand(t *testing.T) {
	a := asked{
		from: time.Unix(1700000000, 5e6).UTC(), to: time.Unix(1700003600, 0).UTC(), interval: 90 * time.Second,
		values: map[string][]string{"entity": {`\' OR 1=1 --`}, "api": {"a", "b"}, "all": nil},
		multi:  map[string]bool{"api": true, "all": true},
	}
	tests := []struct{ query, want string }{
		{"$__timeFilter(m.time)", "m.time >= toDateTime(1700000000) AND m.time <= toDateTime(1700003600)"},
		{"$__timeFilter_ms(t)", "t >= fromUnixTimestamp64Milli(1700000000005) AND t <= fromUnixTimestamp64Milli(1700003600000)"},
		{"$__dateFilter(day)", "day >= toDate('2023-11-14') AND day <= toDate('2023-11-14')"},
		{"toStartOfHour($__fromTime) + $__toTime", "toStartOfHour(toDateTime(1700000000)) + toDateTime(1700003600)"},
		{"$__fromTime_ms, $__toTime_ms", "fromUnixTimestamp64Milli(1700000000005), fromUnixTimestamp64Milli(1700003600000)"},
		{"$__timeInterval(time)", "toStartOfInterval(toDateTime(time), INTERVAL 90 second)"},
		{"$__timeInterval_ms(time)", "toStartOfInterval(toDateTime64(time, 3), INTERVAL 90000 millisecond)"},
		{"n / $__interval_s", "n / 90"},
		{"x = " + text("entity"), `x = decodeURLComponent('%5C%27%20OR%201%3D1%20--')`},
		{among("x", "all"), "1=1"},
		{among("x", "api"), `has(splitByChar(',', replaceRegexpOne(decodeURLComponent('%7Ba%2Cb%7D'), '^\\{(.*)\\}\\z', '\\1')), toString(x))`},
	}
	for _, tt := range tests {
		got, err := a.expand(tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
	}
	for _, bad := range []string{"$__timefilter(x)", "$__timeFilter", "$__timeFilter(f(x))", "$__fromTime(x)", "$__conditionalAll(x)", "$__conditionalAll(x", "$__conditionalAll(x = '$', $api)", "${api:sqlstring}"} {
		if got, err := a.expand(bad); err == nil {
			t.Errorf("%s became %s, want an error", bad, got)
		}
	}
}
