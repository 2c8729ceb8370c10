package spool

import (
	"context"
	"testing"

	"github.com/warder/warder/internal/event"
)

func FuzzDecodeFrame(f *testing.F) {
	e := testEvent("/seed")
	e.Tap, e.Seq, e.ID = "t", 1, event.NewID("t", 1)
	f.Add(appendFrame(nil, flagOwn, e))
	f.Add([]byte{})
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := decodeFrame(b)
		if err != nil {
			return
		}
		if n < headSize+metaSize || n > len(b) || len(r.Key)+len(r.Value)+headSize+metaSize != n {
			t.Fatalf("%d bytes of %d, key %d, value %d", n, len(b), len(r.Key), len(r.Value))
		}
	})
}

func TestHeader(t *testing.T) {
	b := header{7, 3}.append(nil)
	if h, err := decodeHeader(b); err != nil || h != (header{7, 3}) || len(b) != headerSize {
		t.Errorf("%+v %v, %d bytes", h, err, len(b))
	}
	b[9] ^= 1
	if _, err := decodeHeader(b); err == nil {
		t.Error("a damaged header was accepted")
	}
}

func BenchmarkAppend(b *testing.B) {
	cfg := testConfig(b.TempDir())
	s := mustOpen(b, cfg, osDisk{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var batch Batch
		for s.Next(ctx, &batch) == nil {
			s.Ack(&batch)
		}
	}()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Append(ctx, testEvent("/users/1/orders")); err != nil {
				b.Error(err)
			}
		}
	})
	cancel()
	<-done
}
