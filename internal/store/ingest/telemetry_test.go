package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/opsrecord"
	"github.com/warder/warder/internal/store/storetest"
)

// telemetry is a record of moment n.
func telemetry(t *testing.T, n int) bus.Record {
	t.Helper()
	at := time.Date(2026, 11, 12, 9, 0, 15*n, 0, time.UTC)
	r := opsrecord.Record{Version: opsrecord.Version, Time: at, Instance: "core-1/sinks",
		Samples: []opsrecord.Sample{{Name: "warder_a_total", Labels: map[string]string{"sink": "soc"}, Kind: opsrecord.Counter, Value: float64(n)},
			{Name: "warder_b", Kind: opsrecord.Gauge, Value: 0.5}},
		Deliveries: []opsrecord.Delivery{{Time: at, Sink: "soc", Kind: "slack", Result: opsrecord.Retry, Alert: "a1", Records: 1, Attempt: 1, Duration: time.Second, Error: "503"},
			{Time: at, Sink: "soc", Kind: "slack", Result: opsrecord.Delivered, Alert: "a1", Records: 1, Attempt: 2, Duration: time.Second}}}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return record(bus.TopicTelemetry, 0, b)
}

// one asks for a single text.
func one(t *testing.T, conn clickhouse.Conn, sql string) (out string, err error) {
	t.Helper()
	err = conn.QueryRow(t.Context(), sql).Scan(&out)
	return out, err
}

// What Warder tells of itself is there once, also when the stage starts again from what it had.
func TestTelemetry(t *testing.T) {
	c, cfg := bustest.New(t), storetest.Config(t)
	s, conn := storetest.OpenConfig(t, cfg), storetest.Conn(t, cfg)
	var recs []bus.Record
	for n := range 3 {
		recs = append(recs, telemetry(t, n))
	}
	if err := c.Produce(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	const rows = "SELECT concat(toString((SELECT count() FROM metrics)), ' ', toString((SELECT count() FROM deliveries)))"
	arrived := func(want string) func() error {
		return func() error {
			got, err := one(t, conn, rows)
			if err == nil && got != want {
				err = fmt.Errorf("%s metrics and deliveries, want %s", got, want)
			}
			return err
		}
	}
	stop := start(t, c, s)
	eventually(t, arrived("6 6"))
	stop()
	if err := c.Produce(t.Context(), telemetry(t, 3)); err != nil {
		t.Fatal(err)
	}
	start(t, c, s)
	eventually(t, arrived("8 8"))
	for sql, want := range map[string]string{
		"SELECT toString(groupArray((time, instance, name, labels, kind, value))) FROM (SELECT * FROM metrics WHERE time = '2026-11-12 09:00:15' ORDER BY name)": `[('2026-11-12 09:00:15.000','core-1/sinks','warder_a_total',{'sink':'soc'},'counter',1),` +
			`('2026-11-12 09:00:15.000','core-1/sinks','warder_b',{},'gauge',0.5)]`,
		"SELECT toString(groupArray((sink, kind, result, alert, records, attempt, duration, error))) FROM (SELECT * FROM deliveries WHERE time = '2026-11-12 09:00:15' ORDER BY attempt)": `[('soc','slack','retry','a1',1,1,1000000000,'503'),` +
			`('soc','slack','delivered','a1',1,2,1000000000,'')]`,
	} {
		got, err := one(t, conn, sql)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", sql, d)
		}
	}
}
