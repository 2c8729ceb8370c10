package dashboards

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

//go:embed testdata/fill.sql
var fillSQL string

//go:embed testdata/fill_more.sql
var fillMoreSQL string

// fillEnd is when the filled history ends, fillSpan how long it is.
var fillEnd = time.Now().UTC().Truncate(time.Hour)

const fillSpan = 7 * 24 * time.Hour

// textBoxes are what a person types: values that the filled history knows.
var textBoxes = map[string]string{"entity": "203.0.113.7", "prompt_price": "3", "completion_price": "15"}

// portion is how many requests are made at a time: the engine keeps what one statement adds to the rollups in memory.
const portion = 250_000

// fill fills all tables; requests are made inside the engine.
func fill(t testing.TB, conn clickhouse.Conn, rows int) {
	t.Helper()
	for sql := range strings.SplitSeq(fillSQL+"\n"+fillMoreSQL, ";\n") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		for first := 0; first == 0 || first < rows && strings.Contains(sql, "{first}"); first += portion {
			values := strings.NewReplacer("{rows}", strconv.Itoa(rows), "{clients}", strconv.Itoa(max(50, rows/2000)),
				"{end}", strconv.FormatInt(fillEnd.Unix(), 10), "{seconds}", strconv.Itoa(int(fillSpan.Seconds())),
				"{first}", strconv.Itoa(first), "{count}", strconv.Itoa(min(portion, rows-first)))
			if err := conn.Exec(context.Background(), values.Replace(sql)); err != nil {
				t.Fatalf("%v\n%s", err, values.Replace(sql))
			}
		}
	}
}
