package store_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// traffic returns n events that look like a shop's API: few routes, many addresses, some failures.
func traffic(n int) []*event.Event {
	start := noon()
	out := make([]*event.Event, n)
	for i := range out {
		seq := uint64(i + 1)
		e := sample("edge", seq, start.Add(time.Duration(i)*1731*time.Microsecond))
		e.Source.Address = netip.AddrFrom4([4]byte{198, 51, byte(i * 7 % 40), byte(i * 31 % 251)})
		e.Source.Port = uint16(1024 + i*37%60000)
		e.Request.Path = fmt.Sprintf("/api/v1/items/%d", i*7919%50000)
		e.Request.UserAgent = fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0", 100+i%30, 100+i%30)
		e.Request.Duration = time.Duration(200+i*13%9000) * time.Microsecond
		e.Request.Headers = map[string]string{"accept": "application/json"}
		e.Response.Code, e.Response.Size = []int{200, 200, 200, 200, 404, 401, 304, 500}[i%8], int64(i*17%20000)
		e.API = event.API{Route: "/api/v1/items/{id}", Version: "v1", Name: "shop"}
		e.Principal = event.Principal{ID: fmt.Sprint("u", i*101%20000), Type: "jwt", Tenant: fmt.Sprint("t", i%20)}
		e.Auth.Outcome = "success"
		out[i] = e
	}
	return out
}

// BenchmarkInsert inserts 200,000 events in batches of store.MaxBatch with one writer; making the events is not counted.
func BenchmarkInsert(b *testing.B) {
	const n = 200_000
	events := traffic(n)
	b.ReportAllocs()
	var total time.Duration
	for range b.N {
		b.StopTimer()
		s := storetest.Open(b)
		w, err := s.NewEventWriter(0)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		for i := 0; i < n; i += store.MaxBatch {
			if err = w.Insert(b.Context(), events[i:i+store.MaxBatch]); err != nil {
				b.Fatal(err)
			}
		}
		total += time.Since(began)
	}
	b.ReportMetric(float64(n*b.N)/total.Seconds(), "events/s")
}
