package opsrecord_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/opsrecord"
)

func record() *opsrecord.Record {
	at := time.Date(2026, 11, 12, 9, 30, 0, 5e6, time.UTC)
	return &opsrecord.Record{Version: opsrecord.Version, Time: at, Instance: "core-1/sinks",
		Samples: []opsrecord.Sample{{Name: "warder_sinks_alerts_total", Labels: map[string]string{"sink": "soc"}, Kind: opsrecord.Counter, Value: 3}},
		Deliveries: []opsrecord.Delivery{{Time: at, Sink: "soc", Kind: "slack", Result: opsrecord.Retry, Alert: "8fcc", Records: 2, Attempt: 1,
			Duration: time.Second, Error: "slack: 503"}}}
}

func TestRoundTrip(t *testing.T) {
	want := record()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := opsrecord.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What a reader would refuse is not written.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*opsrecord.Record)
		want   string
	}{
		"version":        {func(r *opsrecord.Record) { r.Version = 9 }, "schema version 9"},
		"no time":        {func(r *opsrecord.Record) { r.Time = time.Time{} }, "time is missing"},
		"no instance":    {func(r *opsrecord.Record) { r.Instance = "" }, "instance is missing"},
		"long instance":  {func(r *opsrecord.Record) { r.Instance = strings.Repeat("x", 129) }, "instance has 129 bytes"},
		"control":        {func(r *opsrecord.Record) { r.Instance = "a\x1b[31m" }, "cannot be printed"},
		"many samples":   {func(r *opsrecord.Record) { r.Samples = make([]opsrecord.Sample, 501) }, "501 samples"},
		"kind":           {func(r *opsrecord.Record) { r.Samples[0].Kind = "odd" }, `unknown kind "odd"`},
		"not a number":   {func(r *opsrecord.Record) { r.Samples[0].Value = math.NaN() }, "not a number"},
		"no name":        {func(r *opsrecord.Record) { r.Samples[0].Name = "" }, "name is missing"},
		"long label":     {func(r *opsrecord.Record) { r.Samples[0].Labels["sink"] = strings.Repeat("x", 200) }, "label sink has 200 bytes"},
		"empty label":    {func(r *opsrecord.Record) { r.Samples[0].Labels[""] = "x" }, "label is missing"},
		"result":         {func(r *opsrecord.Record) { r.Deliveries[0].Result = "maybe" }, `unknown result "maybe"`},
		"no sink":        {func(r *opsrecord.Record) { r.Deliveries[0].Sink = "" }, "sink is missing"},
		"negative":       {func(r *opsrecord.Record) { r.Deliveries[0].Attempt = -1 }, "out of bounds"},
		"delivery's day": {func(r *opsrecord.Record) { r.Deliveries[0].Time = time.Time{} }, "deliveries[0]: time is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record()
			c.change(r)
			if _, err := r.Encode(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "unexpected end",
		"{}":                     "schema version 0",
		`{"v":1,"instance":"a"}`: "time is missing",
		strings.Repeat(" ", opsrecord.MaxEncoded+1): "limit is",
	} {
		if _, err := opsrecord.Decode([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%.30q): got error %v, want %q", in, err, want)
		}
	}
}

// A delivery's texts come from anywhere; bounded, they can be written.
func TestBound(t *testing.T) {
	r := record()
	r.Deliveries[0].Error = "a\x1b[2J\xff" + strings.Repeat("ü", 400)
	r.Deliveries[0].Attempt = -3
	r.Deliveries[0].Bound()
	if _, err := r.Encode(); err != nil {
		t.Error(err)
	}
	if e := r.Deliveries[0].Error; !strings.HasPrefix(e, "a?[2J?ü") || len(e) > opsrecord.MaxError {
		t.Errorf("the error is %q", e)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := record().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"time":"2026-01-01T00:00:00Z","instance":"a","samples":[{"name":"x","kind":"gauge","value":1e308}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := opsrecord.Decode(in)
		if err != nil {
			return
		}
		b, err := r.Encode()
		if err != nil {
			if strings.Contains(err.Error(), "bytes, limit is") || strings.Contains(err.Error(), "year outside of range") {
				return // written anew, some texts are longer
			}
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := opsrecord.Decode(b)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if d := cmp.Diff(r, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
