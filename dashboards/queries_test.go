package dashboards

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/store/storetest"
)

// result is what a query returned: its columns, the kind of each (time, number, text or other), and the rows.
type result struct {
	names, kinds []string
	rows         [][]any
}

func query(ctx context.Context, conn clickhouse.Conn, sql string) (*result, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := &result{names: rows.Columns()}
	types := rows.ColumnTypes()
	for _, c := range types {
		out.kinds = append(out.kinds, kindOf(c.DatabaseTypeName()))
	}
	for rows.Next() {
		row := make([]any, len(types))
		for i, c := range types {
			row[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(row...); err != nil {
			return nil, err
		}
		for i := range row {
			row[i] = plain(reflect.ValueOf(row[i]).Elem())
		}
		out.rows = append(out.rows, row)
	}
	return out, rows.Err()
}

// plain follows pointers, which nullable columns have.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	return v.Interface()
}

// kindOf tells what Grafana makes of a ClickHouse type.
func kindOf(name string) string {
	for _, wrapper := range []string{"LowCardinality(", "Nullable("} {
		if rest, ok := strings.CutPrefix(name, wrapper); ok {
			return kindOf(strings.TrimSuffix(rest, ")"))
		}
	}
	switch {
	case strings.HasPrefix(name, "Date"):
		return "time"
	case strings.HasPrefix(name, "Int"), strings.HasPrefix(name, "UInt"), strings.HasPrefix(name, "Float"), strings.HasPrefix(name, "Decimal"):
		return "number"
	case name == "String", strings.HasPrefix(name, "Enum"):
		return "text"
	}
	return "other"
}

// shapeFaults tells why a panel cannot show a result.
func shapeFaults(p Panel, r *result) []string {
	var out []string
	fault := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	if !cmp.Equal(p.Columns, r.names) {
		return []string{fmt.Sprintf("returns columns %q, the panel is said to have %q", r.names, p.Columns)}
	}
	texts := 0
	for i, k := range r.kinds {
		fault(k == "other", "column %s is of no type that Grafana shows", r.names[i])
		if k == "text" {
			texts++
		}
	}
	numbers := slices.Contains(r.kinds, "number")
	switch {
	case overTime(p):
		fault(r.kinds[0] != "time" || r.names[0] != "time", "does not begin with a time called time, but with a %s called %s", r.kinds[0], r.names[0])
		fault(!numbers, "has no numbers")
		fault(texts > 0 && p.By == "", "has a text column, and By does not name it")
		fault(texts > 1, "has %d text columns; one can part the series", texts)
		fault(p.By != "" && (!slices.Contains(r.names, p.By) || r.kinds[slices.Index(r.names, p.By)] != "text"), "%q is no text column", p.By)
		fault(!ascending(r), "is not sorted by time")
	case byRow(p), p.Kind == Bars:
		fault(r.kinds[0] == "number", "does not begin with a name")
		fault(slices.ContainsFunc(r.kinds[1:], func(k string) bool { return k != "number" }), "has columns behind the name that are no numbers: %q", r.kinds)
	case p.Kind == Stat, p.Kind == Pie, p.Kind == Gauge:
		fault(slices.ContainsFunc(r.kinds, func(k string) bool { return k != "number" }), "has columns that are no numbers: %q", r.kinds)
		fault(len(r.rows) > 1, "has %d rows, one is shown", len(r.rows))
	}
	return out
}

func ascending(r *result) bool {
	return r.kinds[0] != "time" || slices.IsSortedFunc(r.rows, func(a, b []any) int { return a[0].(time.Time).Compare(b[0].(time.Time)) })
}

// empty tells whether there is nothing to see in a result: no row, or no number.
func empty(r *result) bool {
	numbers := 0
	for _, row := range r.rows {
		for i, v := range row {
			if r.kinds[i] != "number" {
				continue
			}
			numbers++
			if v == nil {
				continue
			}
			f := reflect.ValueOf(v)
			if !f.CanFloat() || !math.IsNaN(f.Float()) {
				return false
			}
		}
	}
	return len(r.rows) == 0 || numbers > 0
}

// choices are what the variables of a board are set to: for those with a query its first value, for text boxes what the filled tables know.
func (b Board) choices(ctx context.Context, t testing.TB, conn clickhouse.Conn, a asked) asked {
	a.values, a.multi = map[string][]string{}, map[string]bool{}
	for _, v := range b.Variables {
		a.multi[v.Name] = v.Multi
		if v.Query == "" {
			a.values[v.Name] = []string{textBoxes[v.Name]}
			continue
		}
		sql, err := a.expand(v.Query)
		if err != nil {
			t.Fatalf("variable %s: %v", v.Name, err)
		}
		r, err := query(ctx, conn, sql)
		switch {
		case err != nil:
			t.Fatalf("variable %s: %v\n%s", v.Name, err, sql)
		case len(r.rows) == 0 || r.kinds[0] != "text":
			t.Fatalf("variable %s: want text to choose from, got %d rows of %q", v.Name, len(r.rows), r.kinds)
		case v.Value != "":
			a.values[v.Name] = []string{v.Value}
		default:
			a.values[v.Name] = []string{r.rows[0][0].(string)}
		}
	}
	return a
}

// TestQueries runs every panel's query on the engine: with the variables set it must return what the panel shows, for days and for a
// week; for minutes, with All, with empty text boxes and with text that would like to be SQL it must not fail.
func TestQueries(t *testing.T) {
	ctx := context.Background()
	conn := filled(t, 20_000)
	day := 24 * time.Hour
	each(t, func(t *testing.T, b Board) {
		set := b.choices(ctx, t, conn, asked{from: fillEnd.Add(-2 * day), to: fillEnd, interval: time.Hour})
		week, minutes := set, set
		week.from, minutes.from, minutes.interval = fillEnd.Add(-fillSpan), fillEnd.Add(-15*time.Minute), time.Second
		all, hostile := set, set
		all.values, hostile.values = map[string][]string{}, map[string][]string{}
		for name := range set.values {
			hostile.values[name] = []string{`\' OR throwIf(1) --`}
		}
		panels(b, func(p Panel) {
			if p.Kind == Text {
				return
			}
			t.Run(p.Title, func(t *testing.T) {
				r := run(ctx, t, conn, set, p)
				for _, f := range shapeFaults(p, r) {
					t.Error(f)
				}
				if empty(r) {
					t.Errorf("the filled tables give it nothing to show: %d rows", len(r.rows))
				}
				if r := run(ctx, t, conn, week, p); empty(r) {
					t.Errorf("a week gives it nothing to show: %d rows", len(r.rows))
				}
				run(ctx, t, conn, minutes, p)
				run(ctx, t, conn, all, p)
				if r := run(ctx, t, conn, hostile, p); p.Raw != "" && len(r.rows) > 0 {
					t.Errorf("%d rows for a value that nothing has", len(r.rows))
				}
			})
		})
	})
}

func run(ctx context.Context, t testing.TB, conn clickhouse.Conn, a asked, p Panel) *result {
	t.Helper()
	sql, err := a.expand(p.Query)
	if err != nil {
		t.Fatal(err)
	}
	r, err := query(ctx, conn, sql)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return r
}

func TestShapeFaults(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	series := Panel{Kind: TimeSeries, Columns: []string{"time", "route", "n"}, By: "route"}
	tests := []struct {
		name  string
		panel Panel
		got   result
		want  string
	}{
		{"good", series, result{series.Columns, []string{"time", "text", "number"}, [][]any{{at(1), "a", 1}, {at(1), "b", 1}, {at(2), "a", 1}}}, ""},
		{"other columns", series, result{[]string{"time", "n"}, []string{"time", "number"}, nil}, "returns columns"},
		{"not sorted", series, result{series.Columns, []string{"time", "text", "number"}, [][]any{{at(2), "a", 1}, {at(1), "a", 1}}}, "not sorted"},
		{"unnamed series", Panel{Kind: TimeSeries, Columns: series.Columns}, result{series.Columns, []string{"time", "text", "number"}, nil}, "By does not name it"},
		{"text for a number", Panel{Kind: Stat, Columns: []string{"n"}}, result{[]string{"n"}, []string{"text"}, nil}, "no numbers"},
		{"a pie without names", Panel{Kind: Pie, Columns: []string{"a", "b"}}, result{[]string{"a", "b"}, []string{"number", "number"}, nil}, "begin with a name"},
		{"a map", Panel{Kind: Table, Columns: []string{"m"}}, result{[]string{"m"}, []string{kindOf("Map(String, String)")}, nil}, "no type that Grafana shows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(shapeFaults(tt.panel, &tt.got), "; ")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// filled is a connection to a database with rows in every table.
func filled(t testing.TB, events int) clickhouse.Conn {
	t.Helper()
	cfg := storetest.Config(t)
	_ = storetest.OpenConfig(t, cfg)
	conn := storetest.Conn(t, cfg)
	fill(t, conn, events)
	return conn
}
