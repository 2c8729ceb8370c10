package offline

import (
	"bytes"
	"context"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// TestSuspendedLikeLive checks that a file suspends a rule at the same record as the same events do live, with any number of workers.
func TestSuspendedLikeLive(t *testing.T) {
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(
		"id: frail\ntitle: Frail\nfilter: response.code == 500 && int(request.path) > 5 || request.path == \"/p3\"\ngroup_by: [source.address]\nsuppress: 1h\n")}})
	if err != nil {
		t.Fatal(err)
	}
	data := testLog(40_000)
	cfg := detector.DefaultConfig()
	cfg.SuspendWindow, cfg.SuspendFailures = 3000, 500
	live := detector.NewShard(set, cfg)
	m := matcher{}
	in := newInput("-")
	in.parse = func() (Parse, error) { return parseLine, nil }
	if err := m.use(in); err != nil {
		t.Fatal(err)
	}
	var want []string
	no := uint64(0)
	var alerts []*alert.Alert
	for line := range bytes.Lines(data) {
		if no++; len(trim(line)) == 0 || m.event(trim(bytes.TrimSuffix(line, []byte("\n"))), no) != nil {
			continue
		}
		alerts = live.Process(&m.e, alerts[:0])
		for _, a := range alerts {
			want = append(want, a.Rule+" "+a.Time.String()+" "+a.Group["rule"])
		}
	}
	if live.Stats().Suspended != 1 {
		t.Fatalf("not suspended live: %+v", live.Stats())
	}
	for _, workers := range []int{1, 4} {
		var got []string
		_, err := Run(context.Background(), Options{Inputs: []string{"-"}, Stdin: bytes.NewReader(data), Format: testFormat, Set: set, Workers: workers, Memory: cfg,
			Out: func(a *alert.Alert) error {
				got = append(got, a.Rule+" "+a.Time.String()+" "+a.Group["rule"])
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d workers (-live +file):\n%s", workers, diff)
		}
	}
}
