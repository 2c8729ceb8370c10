package stage

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/rules"
)

// TestUse: a running partition takes up changed rules between two batches. What did not change keeps its window, and windows of a
// rule that is gone are no longer counted as memory.
func TestUse(t *testing.T) {
	c := bustest.New(t)
	ctx := testContext(t)
	s, _ := testStage(t, c, nil)
	var recs []bus.Record
	for i := range 12 {
		e := makeEvent("tap", uint64(i+1), "192.0.2.1", "")
		recs = append(recs, bus.Record{Topic: bus.TopicEvents, Offset: int64(i), Value: e.Append(nil)})
	}
	p, _, err := s.openEvents(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	handle := func(recs []bus.Record) {
		t.Helper()
		if err := p.Handle(ctx, recs); err != nil {
			t.Fatal(err)
		}
	}
	handle(recs[:9])
	entities := testutil.ToFloat64(s.metrics.entities)
	next := testRules + strings.ReplaceAll("---"+strings.SplitN(testRules, "---", 2)[0], "id: local", "id: again")
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(next)}})
	if err != nil {
		t.Fatal(err)
	}
	s.Use(set)
	handle(recs[9:10])
	if got := fmt.Sprint(byRule(t, alerts(t, c))); got != "map[local:1]" {
		t.Errorf("alerts after the tenth request: %s", got)
	}
	if n := testutil.ToFloat64(s.metrics.entities); n != entities+1 {
		t.Errorf("%v groups with one more rule, %v before", n, entities)
	}
	s.Use(set.Only(func(r *rules.Rule) bool { return r.ID == "wide" }))
	handle(recs[10:])
	if n := testutil.ToFloat64(s.metrics.entities); n != 0 {
		t.Errorf("%v groups are still counted for rules that are gone", n)
	}
}
