// Package opsrecord defines what Warder's processes tell of themselves on the telemetry topic: samples of their own metrics, and how
// sinks fared with what they sent. The store keeps both. The package is a leaf.
package opsrecord

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Version is the schema version of the JSON form.
const Version = 1

// Limits of a record's parts.
const (
	MaxEncoded    = 512 << 10
	MaxSamples    = 500 // of one record
	MaxDeliveries = 200 // of one record
	MaxName       = 128 // bytes: instance, name of a metric or label, sink
	MaxLabels     = 16
	MaxValue      = 128 // bytes of a label's value
	MaxError      = 300 // bytes
)

// Record is one record of the topic: what one process says of one moment. It is immutable.
type Record struct {
	Version    int        `json:"v"`
	Time       time.Time  `json:"time"`     // of the samples, or of writing; milliseconds
	Instance   string     `json:"instance"` // host/role
	Samples    []Sample   `json:"samples,omitempty"`
	Deliveries []Delivery `json:"deliveries,omitempty"`
}

// Kind says how to read a sample.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram" // of the series name_count, name_sum and name_bucket with the label le: all of them only grow
)

// Sample is the value of one series.
type Sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Kind   Kind              `json:"kind"`
	Value  float64           `json:"value"` // a number, and not infinite
}

// Result says how an attempt to deliver ended.
type Result string

// The results.
const (
	Delivered Result = "delivered"
	Retry     Result = "retry"   // failed, and will be tried again
	Failed    Result = "failed"  // refused, or tried for too long
	Dropped   Result = "dropped" // not sent: too old or silenced
)

// Delivery is the outcome of one attempt for one alert, or for a batch of access events.
type Delivery struct {
	Time    time.Time `json:"time"` // milliseconds
	Sink    string    `json:"sink"` // its name
	Kind    string    `json:"kind"` // slack, email, …
	Result  Result    `json:"result"`
	Alert   string    `json:"alert,omitempty"`   // its id; "" for a batch of access events
	Records int       `json:"records"`           // 1 for an alert, the batch's events otherwise
	Attempt int       `json:"attempt,omitempty"` // from 1; 0 when there was none
	// Duration of the attempt, in nanoseconds.
	Duration time.Duration `json:"duration,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// Bound cuts every part of the delivery to its limit and makes its texts printable.
func (d *Delivery) Bound() {
	d.Sink, d.Kind, d.Alert, d.Error = Text(d.Sink, MaxName), Text(d.Kind, MaxName), Text(d.Alert, MaxName), Text(d.Error, MaxError)
	d.Records, d.Attempt, d.Duration = min(max(d.Records, 0), math.MaxInt32), min(max(d.Attempt, 0), math.MaxInt32), max(d.Duration, 0)
}

// Text returns s without what cannot be printed, at most limit bytes of it.
func Text(s string, limit int) string {
	if len(s) <= limit && printable(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Key is the record's key on the topic.
func (r *Record) Key() []byte { return []byte(r.Instance) }

// Encode returns the record's JSON form. A record beyond the limits is an error: its reader would refuse it.
func (r *Record) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("encode telemetry: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode telemetry: %w", err)
	}
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("encode telemetry: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	return b, nil
}

// Decode reads and checks what Encode wrote.
func Decode(b []byte) (*Record, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode telemetry: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	r := new(Record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("decode telemetry: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("decode telemetry: %w", err)
	}
	return r, nil
}

func (r *Record) check() error {
	switch {
	case r.Version != Version:
		return fmt.Errorf("schema version %d, this program reads %d", r.Version, Version)
	case r.Time.IsZero():
		return errors.New("time is missing")
	case len(r.Samples) > MaxSamples, len(r.Deliveries) > MaxDeliveries:
		return fmt.Errorf("%d samples and %d deliveries, limits are %d and %d", len(r.Samples), len(r.Deliveries), MaxSamples, MaxDeliveries)
	}
	if err := named("instance", r.Instance, MaxName); err != nil {
		return err
	}
	for i := range r.Samples {
		if err := r.Samples[i].check(); err != nil {
			return fmt.Errorf("samples[%d]: %w", i, err)
		}
	}
	for i := range r.Deliveries {
		if err := r.Deliveries[i].check(); err != nil {
			return fmt.Errorf("deliveries[%d]: %w", i, err)
		}
	}
	return nil
}

func (s *Sample) check() error {
	switch {
	case s.Kind != Counter && s.Kind != Gauge && s.Kind != Histogram:
		return fmt.Errorf("unknown kind %.20q", s.Kind)
	case math.IsNaN(s.Value) || math.IsInf(s.Value, 0):
		return errors.New("value is not a number")
	case len(s.Labels) > MaxLabels:
		return fmt.Errorf("%d labels, limit is %d", len(s.Labels), MaxLabels)
	}
	for k, v := range s.Labels {
		if err := named("label", k, MaxName); err != nil {
			return err
		}
		if err := text("label "+k, v, MaxValue); err != nil {
			return err
		}
	}
	return named("name", s.Name, MaxName)
}

func (d *Delivery) check() error {
	switch {
	case d.Time.IsZero():
		return errors.New("time is missing")
	case d.Result != Delivered && d.Result != Retry && d.Result != Failed && d.Result != Dropped:
		return fmt.Errorf("unknown result %.20q", d.Result)
	case d.Records < 0, d.Records > math.MaxInt32, d.Attempt < 0, d.Attempt > math.MaxInt32, d.Duration < 0:
		return errors.New("records, attempt or duration is out of bounds")
	}
	return errors.Join(named("sink", d.Sink, MaxName), text("kind", d.Kind, MaxName), text("alert", d.Alert, MaxName), text("error", d.Error, MaxError))
}

// named checks a text that must be there.
func named(what, s string, limit int) error {
	if s == "" {
		return fmt.Errorf("%s is missing", what)
	}
	return text(what, s, limit)
}

func text(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%.40s has %d bytes, limit is %d", what, len(s), limit)
	}
	if !printable(s) {
		return fmt.Errorf("%.40q holds what cannot be printed, or is not UTF-8", what)
	}
	return nil
}
