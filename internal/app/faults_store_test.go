package app_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/store"
)

// A store that hangs, dies and comes back under traffic, twice, as in a bad minute: blocks go on, nothing is lost or doubled, and the rollups count what the
// events do.
func TestDeadStoreLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownEngine)
	<-r.app.Up()
	r.server = r.app.EngineConfig()
	r.closes("203.0.113.1")
	for _, attacker := range []string{"203.0.113.2", "203.0.113.3"} {
		pid := r.app.EnginePID()
		r.signal(pid, syscall.SIGSTOP)
		for began := time.Now(); time.Since(began) < 1500*time.Millisecond; {
			r.serves(20)
		}
		r.closes(attacker)
		r.signal(pid, syscall.SIGKILL)
		r.serves(150)
		r.wait("the engine's next life", func() bool { now := r.app.EnginePID(); return now != 0 && now != pid })
	}
	r.stored()
	r.rolledUp()
	if n := len(r.answered); n < 600 {
		t.Errorf("only %d requests were answered", n)
	}
}

// ownEngine gives Warder an engine of its own, which a test may kill.
func ownEngine(c *app.Config) {
	name := c.Store.Database
	c.Store = store.DefaultConfig()
	c.Store.Database = name
	c.Engine.Memory = 1 << 30
}

func (r *rig) signal(pid int, s syscall.Signal) {
	r.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		r.Fatalf("%s: %v", s, err)
	}
}

// rolledUp says that each rollup has as many requests as there are events.
func (r *rig) rolledUp() {
	r.Helper()
	conn := r.conn()
	tables := []string{"traffic_minute", "traffic_hour", "origin_minute", "entity_hour WHERE kind = 'address'", "endpoints"}
	var parts []string
	for _, table := range tables {
		parts = append(parts, "assumeNotNull((SELECT sum(requests) FROM "+table+"))")
	}
	sql := "SELECT assumeNotNull((SELECT count() FROM events)), [" + strings.Join(parts, ", ") + "]"
	want, got := map[string]uint64{}, map[string]uint64{}
	r.wait("the rollups", func() bool {
		var events uint64
		var sums []uint64
		if err := conn.QueryRow(r.Context(), sql).Scan(&events, &sums); err != nil {
			r.Fatal(err)
		}
		all := true
		for i, table := range tables {
			want[table], got[table] = events, sums[i]
			all = all && sums[i] >= events
		}
		return all
	})
	if d := cmp.Diff(want, got); d != "" {
		r.Errorf("the rollups differ from the events (-events +rollup):\n%s", d)
	}
}
