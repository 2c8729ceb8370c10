package detector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
)

const groupingRules = `
id: a-count
title: t
filter: "true"
group_by: [source.address]
window: {size: 10s}
aggregates: {n: count(), paths: distinct(request.path)}
condition: n >= 4
suppress: 5s
---
id: b-errors
title: t
filter: response.code >= 400
group_by: [source.address]
window: {size: 30s}
aggregates: {n: count()}
condition: n >= 3
suppress: 1s
---
id: c-single
title: t
filter: request.path == "/3"
group_by: [source.address]
suppress: 20s
---
id: d-path
title: t
filter: "true"
group_by: [request.path]
window: {size: 10s, type: tumbling}
aggregates: {n: count()}
condition: n >= 8
`

// TestUsedAgain: the memory of groups that are gone is used for new ones. A shard that does so raises the same alerts as one that
// is restored from a snapshot again and again, and so has none.
func TestUsedAgain(t *testing.T) {
	set := loadRules(t, groupingRules)
	cfg := DefaultConfig()
	long, fresh := NewShard(set, cfg), NewShard(set, cfg)
	r, st := rand.New(rand.NewPCG(1, 2)), newStream()
	var got, want []*alert.Alert
	spare := 0
	for i := range 20_000 {
		// Clients come in waves, with pauses in which all are forgotten.
		at := time.Duration(i)*100*time.Millisecond + time.Duration(i/500)*20*time.Minute
		e, err := st.event(at, fmt.Sprintf("addr=10.0.%d.%d", i/500, r.IntN(40)), fmt.Sprintf("path=/%d", r.IntN(30)), fmt.Sprintf("code=%d", 200+200*r.IntN(2)))
		if err != nil {
			t.Fatal(err)
		}
		got, want = long.Process(e, got), fresh.Process(e, want)
		for _, table := range long.tables {
			if len(table.spare) > maxSpare {
				t.Fatalf("%s keeps %d", table.rule.ID, len(table.spare))
			}
			spare += len(table.spare)
		}
		if i%250 == 249 {
			b := fresh.Snapshot(nil)
			fresh = NewShard(set, cfg)
			if err := fresh.Restore(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("alerts (-restored +long-lived):\n%s", d)
	}
	if len(got) == 0 || spare == 0 || long.Stats().Expired == 0 {
		t.Errorf("%d alerts, %d spare, %+v: the test does not tell", len(got), spare, long.Stats())
	}
	checkGroupings(t, long)
}

// checkGroupings holds the groupings against the lists of the tables.
func checkGroupings(t *testing.T, s *Shard) {
	t.Helper()
	members, listed := 0, 0
	for _, g := range s.groups {
		for key, st := range g.seats {
			if st.key != key || len(st.members) == 0 {
				t.Errorf("group %q: seat of %q with %d members", key, st.key, len(st.members))
			}
			members += len(st.members)
		}
	}
	for _, table := range s.tables {
		listed += table.len()
		for n := table.active.front; n != nil; n = n.next {
			if table.grouping.find([]byte(n.seat.key), table.place) != n {
				t.Errorf("%s: group %q is not found", table.rule.ID, n.seat.key)
			}
		}
	}
	if members != listed || listed != s.Stats().Entities {
		t.Errorf("%d members, %d in lists, %d entities", members, listed, s.Stats().Entities)
	}
}

func TestHashes(t *testing.T) {
	var h hashes
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		line := []byte(strings.Repeat("x", r.IntN(2)*r.IntN(400)) + fmt.Sprint(r.IntN(3*hashesSize)))
		if r.IntN(100) == 0 {
			line = nil
		}
		if s := string(line); h.of(s) != hashText(s) {
			t.Fatalf("%q: another hash", s)
		}
	}
	if len(h.table) != hashesSize {
		t.Errorf("a table of %d", len(h.table))
	}
	for _, e := range h.table {
		if len(e.text) > hashesText {
			t.Errorf("a text of %d bytes is remembered", len(e.text))
		}
	}
}
