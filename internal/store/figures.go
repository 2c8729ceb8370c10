package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// Metric is one sample of one of Warder's own series. Instance, Name, Labels and Time identify it; none of them holds a zero byte.
type Metric struct {
	Time     time.Time // milliseconds
	Instance string    // which Warder process
	Name     string    // as on /metrics
	Labels   map[string]string
	Kind     string // "counter", "gauge", "histogram"
	Value    float64
}

func (m Metric) key() string {
	parts := []string{m.Name, m.Instance}
	for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
		parts = append(parts, k, m.Labels[k])
	}
	return rowKey(append(parts, strconv.FormatInt(storedTime(m.Time).UnixMilli(), 10)))
}

// Baseline is what a learned model expected of an entity in a window, and what came. Model, Kind, Entity, Route and Time identify it;
// none of them holds a zero byte.
type Baseline struct {
	Time     time.Time // the window's beginning, seconds
	Model    string    // the rule or model
	Kind     string    // what the entity is: "address", "principal", …
	Entity   string
	Route    string // "" when the model does not look at routes apart
	Value    float64
	Expected float64
	Low      float64 // the expected band
	High     float64
	Score    float64
}

func (b Baseline) key() string {
	return rowKey([]string{b.Model, b.Kind, b.Entity, b.Route, strconv.FormatInt(storedTime(b.Time).Unix(), 10)})
}

// rowKey is a hash of what identifies a row; the statements below compute the same.
func rowKey(parts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func metricColumns() []column[Metric] {
	return []column[Metric]{
		col("time", func(m Metric) time.Time { return storedTime(m.Time) }),
		low("instance", func(m Metric) string { return m.Instance }),
		low("name", func(m Metric) string { return m.Name }),
		col("labels", func(m Metric) chcolumn.IterableOrderedMap { return sortedMap(m.Labels) }),
		low("kind", func(m Metric) string { return m.Kind }),
		col("value", func(m Metric) float64 { return m.Value }),
	}
}

func baselineColumns() []column[Baseline] {
	return []column[Baseline]{
		col("time", func(b Baseline) time.Time { return storedTime(b.Time) }),
		low("model", func(b Baseline) string { return b.Model }),
		low("kind", func(b Baseline) string { return b.Kind }),
		col("entity", func(b Baseline) string { return b.Entity }),
		low("route", func(b Baseline) string { return b.Route }),
		col("value", func(b Baseline) float64 { return b.Value }),
		col("expected", func(b Baseline) float64 { return b.Expected }),
		col("low", func(b Baseline) float64 { return b.Low }),
		col("high", func(b Baseline) float64 { return b.High }),
		col("score", func(b Baseline) float64 { return b.Score }),
	}
}

// sortedMap is a map that goes into a Map column in the order of its keys, so that equal maps are equal there.
type sortedMap map[string]string

// Iterator implements chcolumn.IterableOrderedMap.
func (m sortedMap) Iterator() chcolumn.MapIterator {
	return &sortedIterator{keys: slices.Sorted(maps.Keys(m)), m: m}
}

// Put implements chcolumn.IterableOrderedMap.
func (m sortedMap) Put(key, value any) { m[key.(string)] = value.(string) }

// sortedIterator steps through a sortedMap; keys begins with the current one once Next was called.
type sortedIterator struct {
	keys    []string
	m       sortedMap
	started bool
}

func (i *sortedIterator) Next() bool {
	if i.started && len(i.keys) > 0 {
		i.keys = i.keys[1:]
	}
	i.started = true
	return len(i.keys) > 0
}

func (i *sortedIterator) Key() any   { return i.keys[0] }
func (i *sortedIterator) Value() any { return i.m[i.keys[0]] }

// InsertMetrics inserts the samples that the table does not have. nil says that all are in the table. After an error some may be; the same
// ones can be given again. Two calls at once must not hold the same sample.
func (s *Store) InsertMetrics(ctx context.Context, samples []Metric) error {
	return insertOnce(ctx, s, "metrics", metricColumns(), samples, keyed[Metric, Metric]{
		id:   Metric.key,
		time: func(m Metric) time.Time { return m.Time.Truncate(time.Millisecond) },
		row:  func(m Metric) (Metric, error) { return m, nil },
		existing: "SELECT lower(hex(SHA256(arrayStringConcat(arrayConcat([toString(name), toString(instance)], " +
			"arrayFlatten(arrayMap(k -> [toString(k), labels[k]], arraySort(mapKeys(labels)))), [toString(toUnixTimestamp64Milli(time))]), '\\0')))) AS key " +
			"FROM metrics WHERE time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')} AND key IN {ids:Array(String)}",
	})
}

// InsertBaselines inserts the rows that the table does not have. nil says that all are in the table. After an error some may be; the same
// ones can be given again. Two calls at once must not hold the same row.
func (s *Store) InsertBaselines(ctx context.Context, rows []Baseline) error {
	return insertOnce(ctx, s, "baselines", baselineColumns(), rows, keyed[Baseline, Baseline]{
		id:   Baseline.key,
		time: func(b Baseline) time.Time { return b.Time.Truncate(time.Second) },
		row:  func(b Baseline) (Baseline, error) { return b, nil },
		existing: "SELECT lower(hex(SHA256(arrayStringConcat([toString(model), toString(kind), entity, toString(route), toString(toUnixTimestamp(time))], '\\0')))) AS key " +
			"FROM baselines WHERE time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')} AND key IN {ids:Array(String)}",
	})
}
