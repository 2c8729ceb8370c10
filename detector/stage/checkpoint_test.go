package stage

import (
	"bytes"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
)

// incompressible returns n bytes that stay as long as they are.
func incompressible(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestTornCheckpoint applies every beginning of every checkpoint's records, as a process that is killed leaves them behind: what is
// loaded is always the newest complete one.
func TestTornCheckpoint(t *testing.T) {
	sizes := []int{10, 3*chunkBytes + 5, chunkBytes, 2 * chunkBytes, 0, 4 * chunkBytes}
	var topic held
	w := slots{topic: "in", partition: 3, good: 1}
	load := func() *saved {
		t.Helper()
		got, err := (&slots{topic: "in", partition: 3, good: 1}).choose(&topic)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if load() != nil {
		t.Error("loaded a checkpoint from nothing")
	}
	var before *saved
	for i, size := range sizes {
		want := &saved{offset: int64(100 * i), state: incompressible(size)}
		recs, err := w.records(want.state, want.offset)
		if err != nil {
			t.Fatal(err)
		}
		data := 0
		for _, r := range recs {
			if r.Value != nil {
				data++
			}
		}
		for n, r := range recs {
			got := load()
			complete := n >= data
			switch {
			case complete && (got == nil || got.offset != want.offset):
				t.Errorf("checkpoint %d: complete after %d records, but not loaded", i, n)
			case !complete && (got == nil) != (before == nil), !complete && got != nil && got.offset != before.offset:
				t.Errorf("checkpoint %d: torn after %d of %d records: did not get the one before", i, n, data)
			}
			if len(r.Value) > chunkBytes+headBytes {
				t.Errorf("a record of %d bytes", len(r.Value))
			}
			topic.put("in/3/", r.Key, r.Value)
		}
		w.written(recs)
		if got := load(); got == nil || got.offset != want.offset || !bytes.Equal(got.state, want.state) {
			t.Errorf("checkpoint %d was not loaded as it was saved", i)
		}
		before = want
		if i%2 == 1 { // a new process takes over
			w = slots{topic: "in", partition: 3, good: 1}
			if _, err := w.choose(&topic); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestMixedCheckpoint: two processes that both believe to own the partition write over each other; the damage is noticed.
func TestMixedCheckpoint(t *testing.T) {
	var topic held
	put := func(recs []bus.Record) {
		for _, r := range recs {
			topic.put("in/0/", r.Key, r.Value)
		}
	}
	w := slots{topic: "in", good: 1}
	recs, err := w.records(incompressible(chunkBytes), 1)
	if err != nil {
		t.Fatal(err)
	}
	put(recs)
	w.written(recs)
	other := w
	mine, err := w.records(incompressible(2*chunkBytes), 2)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.records(incompressible(2*chunkBytes+1), 3)
	if err != nil {
		t.Fatal(err)
	}
	put(mine)
	put(theirs[:1])
	got, err := (&slots{topic: "in", good: 1}).choose(&topic)
	if err != nil || got == nil || got.offset != 1 {
		t.Errorf("got %+v, %v; want the checkpoint at offset 1", got, err)
	}
}

// TestForgedCheckpoint: what somebody else wrote under our keys is told apart and never keeps the good checkpoint from being
// loaded, nor a partition without one from being opened.
func TestForgedCheckpoint(t *testing.T) {
	forge := func(gen uint64, payload []byte) []byte {
		h := head{gen: gen, offset: 99, of: 1, sum: sha256.Sum256(payload)}
		return append(h.append(nil), payload...)
	}
	good := slots{topic: "in", good: 1}
	recs, err := good.records([]byte("state"), 7) // goes to slot a
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{
		"noise": incompressible(500), "another version": {2, 1, 2, 3}, "not compressed": forge(1000, []byte("not zstd")),
		"last number": forge(math.MaxUint64, []byte("not zstd")),
	} {
		for _, with := range []bool{true, false} {
			var topic held
			if with && !topic.put("in/0/", recs[0].Key, recs[0].Value) {
				t.Fatal("a key of ours is not known")
			}
			topic.put("in/0/", []byte("in/0/b/0"), value)
			s := slots{topic: "in", good: 1}
			got, err := s.choose(&topic)
			if err != nil || s.damaged == 0 || with != (got != nil) || with && got.offset != 7 {
				t.Errorf("%s (a good one beside it: %t): got %+v, %v, %d damaged", name, with, got, err, s.damaged)
			}
			if s.gen > maxGen {
				t.Errorf("%s: the next checkpoint's number would be %d", name, s.gen+1)
			}
		}
	}
	for _, key := range []string{"", "in", "in/0/a", "in/0/c/0", "in/0/a/-1", "in/0/a/x", "in/0/a/99999999"} {
		if new(held).put("in/0/", []byte(key), []byte("x")) {
			t.Errorf("key %q is taken", key)
		}
	}
}

// TestCheckpointOnBus: checkpoints of several inputs share a partition of the topic without meeting.
func TestCheckpointOnBus(t *testing.T) {
	c := bustest.New(t)
	ctx := testContext(t)
	for i, topic := range []string{"a", "b"} {
		s := slots{topic: topic, good: 1}
		for gen := range 3 {
			recs, err := s.records(incompressible(100*(i+1)+gen), int64(10*i+gen))
			if err != nil {
				t.Fatal(err)
			}
			produce(t, c, recs...)
			s.written(recs)
		}
	}
	for i, topic := range []string{"a", "b"} {
		got, err := (&slots{topic: topic, good: 1}).load(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if got == nil || got.offset != int64(10*i+2) || len(got.state) != 100*(i+1)+2 {
			t.Errorf("%s: %+v", topic, got)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	s := slots{topic: "in", good: 1}
	recs, err := s.records([]byte("state"), 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recs[0].Value, []byte(nil))
	f.Add([]byte{chunkVersion}, recs[0].Value)
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		s := slots{topic: "in", good: 1}
		got, err := s.choose(&held{{0: a}, {0: b}})
		if err == nil && got != nil {
			_, _ = newMarks(10).restore(got.state)
		}
	})
}

func TestMarks(t *testing.T) {
	m := newMarks(2)
	for _, c := range []struct {
		source, number uint64
		rule           string
		want           bool
	}{
		{1, 5, "", false}, {1, 5, "", true}, {1, 4, "", true}, {1, 6, "", false},
		{2, 1, "a", false}, {2, 1, "b", false}, {2, 1, "a", true}, {2, 2, "a", false},
		{3, 1, "", false}, // source 1 was silent longest and gives way
		{2, 2, "a", true}, {1, 6, "", false},
	} {
		if got := m.repeat(c.source, c.number, c.rule, int64(c.source*100+c.number)); got != c.want {
			t.Errorf("source %d number %d rule %q: repeat is %t, want %t", c.source, c.number, c.rule, got, c.want)
		}
	}
	again := newMarks(2)
	rest, err := again.restore(append(m.append(nil), "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatal(string(rest), err)
	}
	if d := cmp.Diff(m.append(nil), again.append(nil)); d != "" {
		t.Error(d)
	}
	b := m.append(nil)
	for n := range b {
		if _, err := newMarks(2).restore(b[:n]); err == nil {
			t.Errorf("accepted %d of %d bytes", n, len(b))
		}
	}
}
