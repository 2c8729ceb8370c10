package sinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/internal/bus"
)

// memory knows which alerts were delivered, bounded by number and age; the oldest are forgotten first. One goroutine owns it.
type memory struct {
	limit int
	age   time.Duration
	at    map[string]time.Time
	order []string // oldest first; may hold ids that are no longer in at
}

func newMemory(r Remember) *memory {
	return &memory{limit: r.Alerts, age: r.Age.Std(), at: make(map[string]time.Time)}
}

func (m *memory) has(id string) bool {
	_, ok := m.at[id]
	return ok
}

func (m *memory) add(id string, t time.Time) {
	if !m.has(id) {
		m.order = append(m.order, id)
	}
	m.at[id] = t
}

func (m *memory) remove(id string) { delete(m.at, id) }

// forget removes what is beyond the bounds and returns its ids.
func (m *memory) forget(now time.Time) []string {
	var gone []string
	for len(m.order) > 0 {
		id := m.order[0]
		t, ok := m.at[id]
		if ok && len(m.at) <= m.limit && now.Sub(t) <= m.age {
			break
		}
		m.order = m.order[1:]
		if ok {
			delete(m.at, id)
			gone = append(gone, id)
		}
	}
	return gone
}

// deliveryVersion is the schema version of deliveryRecord.
const deliveryVersion = 1

// deliveryRecord is the value of a record on the deliveries topic. Its key is "<sink>/<alert id>".
type deliveryRecord struct {
	Version int       `json:"v"`
	Sink    string    `json:"sink"`
	Alert   string    `json:"alert"`
	Outcome outcome   `json:"outcome"`
	Time    time.Time `json:"time"`
}

func deliveryKey(sink, id string) []byte { return []byte(sink + "/" + id) }

// decodeDelivery reads the value of a delivery record and checks that it is the one of the sink and alert.
func decodeDelivery(b []byte, sink, id string) error {
	var r deliveryRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("decode delivery: %w", err)
	}
	switch {
	case r.Version != deliveryVersion:
		return fmt.Errorf("decode delivery: schema version %d, this program reads %d", r.Version, deliveryVersion)
	case r.Sink != sink || r.Alert != id:
		return errors.New("decode delivery: it is not the one of its key")
	}
	return nil
}

// remembered returns the id in the key of one of the sink's delivery records.
func remembered(sink string, key []byte) (id string, ok bool) {
	return strings.CutPrefix(string(key), sink+"/")
}

func encodeDelivery(sink string, partition int, id string, o outcome, now time.Time) (bus.Record, error) {
	v, err := json.Marshal(deliveryRecord{Version: deliveryVersion, Sink: sink, Alert: id, Outcome: o, Time: now.UTC()})
	if err != nil {
		return bus.Record{}, fmt.Errorf("encode delivery: %w", err)
	}
	return bus.Record{Topic: bus.TopicDeliveries, Partition: partition, Key: deliveryKey(sink, id), Value: v, Time: now}, nil
}

// tombstone lets compaction remove a forgotten delivery.
func tombstone(sink string, partition int, id string) bus.Record {
	return bus.Record{Topic: bus.TopicDeliveries, Partition: partition, Key: deliveryKey(sink, id)}
}
