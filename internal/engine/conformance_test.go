package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/engine"
)

// TestConformance runs clickhouse-go against the engine under each compression that it has.
func TestConformance(t *testing.T) {
	t.Parallel()
	e, _ := start(t, t.TempDir())
	if err := connect(t, e).Exec(t.Context(), "CREATE DATABASE d"); err != nil {
		t.Fatal(err)
	}
	methods := []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD}
	if e.Protocol() == engine.HTTP {
		methods = append(methods, clickhouse.CompressionGZIP, clickhouse.CompressionDeflate, clickhouse.CompressionBrotli)
	}
	for _, m := range methods {
		t.Run(m.String(), func(t *testing.T) {
			c := connectWith(t, e, e.Password().Reveal(), &clickhouse.Compression{Method: m, Level: 3})
			for name, check := range map[string]func(*testing.T, driver.Conn){
				"types": checkTypes, "stream": checkStream, "exceptions": checkExceptions, "parameters": checkParameters,
				"settings": checkSettings, "external table": checkExternalTable, "empty": checkEmpty, "cancel": checkCancel,
			} {
				t.Run(name, func(t *testing.T) { check(t, c) })
			}
		})
	}
}

func connectWith(t *testing.T, e *engine.Engine, password string, compression *clickhouse.Compression) driver.Conn {
	t.Helper()
	protocol := clickhouse.Native
	if e.Protocol() == engine.HTTP {
		protocol = clickhouse.HTTP
	}
	c, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{e.Addr()}, Protocol: protocol, Compression: compression,
		Auth: clickhouse.Auth{Database: "d", Username: e.User(), Password: password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// row has one field of each type that Warder's tables use, and of some that they do not.
type row struct {
	Time   time.Time         `ch:"time"`
	Host   string            `ch:"host"`
	Method string            `ch:"method"`
	Path   string            `ch:"path"`
	Code   uint16            `ch:"code"`
	Score  float64           `ch:"score"`
	IP     netip.Addr        `ch:"ip"`
	Tags   []string          `ch:"tags"`
	Pairs  map[string]string `ch:"pairs"`
	Maybe  *float64          `ch:"maybe"`
	Rare   *string           `ch:"rare"`
	Nested [][]uint32        `ch:"nested"`
	Flag   bool              `ch:"flag"`
	ID     string            `ch:"id"`
	Big    uint64            `ch:"big"`
}

func checkTypes(t *testing.T, c driver.Conn) {
	ctx := t.Context()
	for _, sql := range []string{"DROP TABLE IF EXISTS rows SYNC", `CREATE TABLE rows (
		time DateTime64(9, 'UTC'), host LowCardinality(String), method Enum8('GET'=1, 'POST'=2), path String, code UInt16, score Float64, ip IPv6,
		tags Array(LowCardinality(String)), pairs Map(LowCardinality(String), String), maybe Nullable(Float64), rare LowCardinality(Nullable(String)),
		nested Array(Array(UInt32)), flag Bool, id FixedString(3), big UInt64
	) ENGINE=MergeTree PARTITION BY toYYYYMMDD(time) ORDER BY (host, time)`} {
		if err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	const n = 5000
	half, rare := 1.5, "x"
	rows := make([]row, n)
	batch, err := c.PrepareBatch(ctx, "INSERT INTO rows")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i] = row{
			Time: time.Date(2026, 11, 1, 12, 0, 0, i, time.UTC), Host: fmt.Sprint("h", i%300), Method: []string{"GET", "POST"}[i%2],
			Path: fmt.Sprintf("/p\n\n\x00;'%d", i), Code: 200, Score: float64(i) / 3, IP: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)),
			Tags: []string{"a\n\n", fmt.Sprint(i)}, Pairs: map[string]string{"k": "v\n\nw", "z": ""}, Nested: [][]uint32{{1, 2}, {}, {uint32(i)}},
			Flag: i%3 == 0, ID: "a\x00c", Big: 1<<63 + uint64(i),
		}
		if i%2 == 0 {
			rows[i].Maybe, rows[i].Rare = &half, &rare
		}
		if err = batch.AppendStruct(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err = batch.Send(); err != nil {
		t.Fatal(err)
	}
	var got []row
	if err = c.Select(ctx, &got, "SELECT * FROM rows ORDER BY time"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%.2000s", diff)
	}
}

func checkStream(t *testing.T, c driver.Conn) {
	rows, err := c.Query(t.Context(), "SELECT number, toString(number) FROM numbers(300000)")
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for rows.Next() {
		var n uint64
		var s string
		if err = rows.Scan(&n, &s); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if err = rows.Err(); err != nil || sum != 44999850000 {
		t.Errorf("sum is %d, %v", sum, err)
	}
}

func checkExceptions(t *testing.T, c driver.Conn) {
	run := func(sql string) error {
		rows, err := c.Query(t.Context(), sql)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			continue
		}
		return rows.Err()
	}
	for sql, code := range map[string]int32{
		"SELECT * FROM nowhere":        60,
		"SELECT bogus FROM (SELECT 1)": 47,
		"SELEC 1":                      62,
		"SELECT number, throwIf(number = 250000) FROM numbers(300000)": 395, // behind the first part of the result
	} {
		var ex *clickhouse.Exception
		if err := run(sql); !errors.As(err, &ex) || ex.Code != code {
			t.Errorf("%s: %v, want exception %d", sql, err, code)
		}
	}
	var ex *clickhouse.Exception
	if _, err := c.PrepareBatch(t.Context(), "INSERT INTO nowhere"); !errors.As(err, &ex) || ex.Code != 60 {
		t.Errorf("batch into no table: %v", err)
	}
}

func checkParameters(t *testing.T, c driver.Conn) {
	var n uint8
	var text string
	var list []string
	hard := "a\tb'\\\n{x:String}"
	err := c.QueryRow(t.Context(), "SELECT {n:UInt8}, {text:String}, {list:Array(String)}", clickhouse.Named("n", 7), clickhouse.Named("text", hard),
		clickhouse.Named("list", []string{hard, ""})).Scan(&n, &text, &list)
	if err != nil || n != 7 || text != hard || !cmp.Equal(list, []string{hard, ""}) {
		t.Errorf("got %d %q %q, %v", n, text, list, err)
	}
}

func checkSettings(t *testing.T, c driver.Conn) {
	var ex *clickhouse.Exception
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_rows_to_read": 10}))
	if err := c.QueryRow(ctx, "SELECT sum(number) FROM numbers(1000)").Scan(new(uint64)); !errors.As(err, &ex) || ex.Code != 158 {
		t.Errorf("a limit of rows: %v", err)
	}
	ctx = clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"bogus": 1}))
	if err := c.Exec(ctx, "SELECT 1"); !errors.As(err, &ex) || ex.Code != 115 {
		t.Errorf("an unknown setting: %v", err)
	}
}

func checkExternalTable(t *testing.T, c driver.Conn) {
	table, err := ext.NewTable("outside", ext.Column("s", "String"), ext.Column("n", "UInt32"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err = table.Append("a\n\nb", uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
	var sum uint64
	if err = c.QueryRow(clickhouse.Context(t.Context(), clickhouse.WithExternalTable(table)), "SELECT sum(n) FROM outside").Scan(&sum); err != nil || sum != 3 {
		t.Errorf("sum is %d, %v", sum, err)
	}
}

func checkEmpty(t *testing.T, c driver.Conn) {
	rows, err := c.Query(t.Context(), "SELECT number FROM numbers(10) WHERE 0")
	if err != nil {
		t.Fatal(err)
	}
	if rows.Next() || rows.Err() != nil {
		t.Errorf("rows in an empty result, or %v", rows.Err())
	}
	_ = rows.Close()
}

func checkCancel(t *testing.T, c driver.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	rows, err := c.Query(ctx, "SELECT number FROM system.numbers WHERE number % 1000000007 = 1000000006")
	if err == nil {
		for rows.Next() {
			continue
		}
		err = rows.Err()
		_ = rows.Close()
	}
	if err == nil {
		t.Error("no error from a statement that was cancelled")
	}
	// The engine must stop working on it too.
	eventually(t, func() error {
		var n uint64
		err := c.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE query LIKE '%1000000007%' AND query NOT LIKE '%processes%'").Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d statements still run", n)
		}
		return err
	})
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	e, _ := start(t, t.TempDir())
	var ex *clickhouse.Exception
	if err := connectWith(t, e, "wrong", nil).Exec(t.Context(), "SELECT 1"); !errors.As(err, &ex) || ex.Code != 516 {
		t.Errorf("want exception 516, got %v", err)
	}
}

// ask sends a plain HTTP request, as curl would.
func ask(t *testing.T, e *engine.Engine, method string, q url.Values, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.Addr()+"/?"+q.Encode(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(e.User(), e.Password().Reveal())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	e, _ := start(t, t.TempDir())
	if e.Protocol() != engine.HTTP {
		t.Skip("a clickhouse binary was found; its own HTTP interface is not what is tested here")
	}
	session := url.Values{"session_id": {"s1"}}
	for _, c := range []struct {
		name, method string
		q            url.Values
		body         string
		status       int
		want         string
	}{
		{"statement in the body", "POST", nil, "SELECT 1 AS a FORMAT JSONEachRow", 200, `{"a":1}`},
		{"statement in the URL", "GET", url.Values{"query": {"SELECT {x:UInt8}"}, "param_x": {"5"}}, "", 200, "5"},
		{"default format", "POST", url.Values{"default_format": {"CSV"}}, "SELECT 'a', 2", 200, `"a",2`},
		{"a session keeps its tables", "POST", session, "CREATE TEMPORARY TABLE kept (n UInt8) ENGINE=Memory", 200, ""},
		{"rows in VALUES behind the URL's statement", "POST", url.Values{"session_id": {"s1"}, "query": {"INSERT INTO kept VALUES"}}, "(1), (2)", 200, ""},
		{"rows in CSV in the body", "POST", session, "INSERT INTO kept FORMAT CSV\n3\n4\n", 200, ""},
		{"what the session has", "POST", session, "SELECT sum(n) FROM kept", 200, "10"},
		{"nothing leaks out of it", "POST", nil, "SELECT * FROM kept", 404, "UNKNOWN_TABLE"},
		{"a file", "POST", nil, "SELECT 1 INTO OUTFILE 'x'", 403, "ACCESS_DENIED"},
		{"not SQL", "POST", nil, "SELEC 1", 400, "SYNTAX_ERROR"},
	} {
		status, got := ask(t, e, c.method, c.q, c.body)
		if status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %.200q; want %d %q", c.name, status, got, c.status, c.want)
		}
	}
}
