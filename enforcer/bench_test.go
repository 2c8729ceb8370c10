package enforcer

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// sink is a bus that keeps nothing.
type sink struct{ log }

func (*sink) Produce(context.Context, ...bus.Record) error { return nil }

func crowd(i int) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(a[12:], uint32(i))
	return netip.AddrFrom16(a)
}

// full returns an enforcer that knows a million decisions in force.
func full(b *testing.B) *Enforcer {
	cfg := DefaultConfig()
	cfg.Enforce, cfg.MaxNewPerMinute = true, 1<<30
	e, err := New(cfg, &sink{}, &seen{}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	e.now = func() time.Time { return noon }
	e.caughtUp()
	for i := range 1_000_000 {
		a := crowd(i).String()
		e.ledger.put(&decision.Decision{Version: 1, ID: a, Action: decision.Block, Scope: decision.Address, Value: a, Mode: decision.Enforce,
			State: decision.Active, Creator: "rule:crowd", Created: noon.Add(-time.Hour), Expires: noon.Add(time.Duration(i) * time.Second)}, noon)
	}
	return e
}

// BenchmarkDecide is the path from a decoded alert to its decision on the bus.
func BenchmarkDecide(b *testing.B) {
	e := full(b)
	i := 2_000_000
	b.ReportAllocs()
	for b.Loop() {
		a := attack(crowd(i).String(), noon, nil)
		if err := e.inTurn(b.Context(), func() error { return e.decide(b.Context(), []*alert.Alert{a}) }); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkSweep is what each second costs when nothing ends.
func BenchmarkSweep(b *testing.B) {
	e := full(b)
	e.now = func() time.Time { return noon.Add(-time.Second) }
	b.ReportAllocs()
	for b.Loop() {
		if err := e.end(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := e.rollback(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
