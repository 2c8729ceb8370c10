package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// What is told twice is there once, across days and after a restart.
func TestFiguresAndDeliveriesAreStoredOnce(t *testing.T) {
	cfg := storetest.Config(t)
	start := noon().Add(11*time.Hour + 59*time.Minute)
	var deliveries []store.Delivery
	var metrics []store.Metric
	var baselines []store.Baseline
	for i := range 200 {
		at := start.Add(time.Duration(i) * 1100 * time.Millisecond)
		deliveries = append(deliveries, store.Delivery{
			ID: [16]byte{byte(i), 7}, Time: at, Sink: "chat", Kind: "slack", Result: "delivered", Alert: fmt.Sprint("a", i), Records: 1, Attempt: 1, Duration: time.Second,
		})
		metrics = append(metrics, store.Metric{
			Time: at.Truncate(10 * time.Second), Instance: "one", Name: "warder_bus_lag", Kind: "gauge", Value: float64(i),
			Labels: map[string]string{"topic": "warder.events", "partition": fmt.Sprint(i), "group": "it's"},
		})
		baselines = append(baselines, store.Baseline{
			Time: at.Truncate(time.Minute), Model: "rate", Kind: "address", Entity: fmt.Sprintf("203.0.113.%d", i), Value: 3, Expected: 2, Low: 1, High: 4, Score: 0.5,
		})
	}
	for _, n := range []int{120, 120, 200} {
		s := storetest.OpenConfig(t, cfg)
		for range 2 {
			if err := s.InsertDeliveries(t.Context(), deliveries[:n]); err != nil {
				t.Fatal(err)
			}
			if err := s.InsertMetrics(t.Context(), metrics[:n]); err != nil {
				t.Fatal(err)
			}
			if err := s.InsertBaselines(t.Context(), baselines[:n]); err != nil {
				t.Fatal(err)
			}
		}
		for _, table := range []string{"deliveries", "metrics", "baselines"} {
			if got := count(t, cfg, table); got != uint64(n) {
				t.Errorf("%s: %d rows, want %d", table, got, n)
			}
		}
	}
}
