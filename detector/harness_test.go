package detector

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// base is second zero of the tests' streams; it is aligned to every window size that they use.
var base = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func loadRules(t testing.TB, yaml string) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"rules.yaml": {Data: []byte(yaml)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// stream makes numbered events.
type stream struct{ seq map[string]uint64 }

func newStream() *stream { return &stream{map[string]uint64{}} }

func (s *stream) event(at time.Duration, attrs ...string) (*event.Event, error) {
	e := &event.Event{Tap: "tap", Time: base.Add(at), Source: event.Source{Address: netip.MustParseAddr("192.0.2.1")}}
	e.Request.Method, e.Request.Path, e.Response.Code = "GET", "/", 200
	for _, a := range attrs {
		k, v, ok := strings.Cut(a, "=")
		n, numErr := strconv.ParseInt(v, 10, 64)
		switch {
		case !ok:
			return nil, fmt.Errorf("attribute %q", a)
		case k == "tap":
			e.Tap = v
		case k == "addr":
			e.Source.Address = netip.MustParseAddr(v)
		case k == "user":
			e.Principal.ID = v
		case k == "path":
			e.Request.Path = v
		case k == "country":
			e.Source.Country = v
		case k == "outcome":
			e.Auth.Outcome = v
		case k == "api":
			e.API.Name = v
		case k == "route":
			e.API.Route = v
		case k == "method":
			e.Request.Method = v
		case k == "enforced":
			e.Enforced = event.Enforced{By: "d1", Action: v}
		case k == "kind" && v == "heartbeat":
			e.Kind = event.Heartbeat
		case k == "code" && numErr == nil:
			e.Response.Code = int(n)
		case k == "size" && numErr == nil:
			e.Response.Size = n
		case k == "us" && numErr == nil:
			e.Request.Duration = time.Duration(n) * time.Microsecond
		case k == "dropped" && numErr == nil:
			e.Dropped = uint64(n)
		default:
			return nil, fmt.Errorf("attribute %q", a)
		}
	}
	if e.Kind == event.Request {
		s.seq[e.Tap]++
	}
	e.Seq = s.seq[e.Tap]
	e.ID = event.NewID(e.Tap, e.Seq)
	return e, nil
}

// parseEvents reads lines "TIME [xN +STEP] attr=value…"; in a value, # is the number of the repetition, from 0.
func parseEvents(t testing.TB, text string) []*event.Event {
	t.Helper()
	var out []*event.Event
	s := newStream()
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " //")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		at, err := time.ParseDuration(f[0])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		f = f[1:]
		n, step := 1, time.Duration(0)
		if len(f) >= 2 && f[0][0] == 'x' {
			n, _ = strconv.Atoi(f[0][1:])
			if step, err = time.ParseDuration(f[1]); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			f = f[2:]
		}
		for i := range n {
			attrs := slices.Clone(f)
			for j := range attrs {
				attrs[j] = strings.ReplaceAll(attrs[j], "#", strconv.Itoa(i))
			}
			e, err := s.event(at+time.Duration(i)*step, attrs...)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, e)
		}
	}
	return out
}

// describe writes an alert in one line.
func describe(a *alert.Alert) string {
	var b strings.Builder
	since := func(t time.Time) time.Duration { return t.Sub(base) }
	fmt.Fprintf(&b, "%s at %s window %s..%s", a.Rule, since(a.Time), since(a.Window.Start), since(a.Window.End))
	for _, k := range slices.Sorted(maps.Keys(a.Group)) {
		fmt.Fprintf(&b, " %s=%s", k, a.Group[k])
	}
	for _, k := range slices.Sorted(maps.Keys(a.Values)) {
		fmt.Fprintf(&b, " %s=%s", k, strconv.FormatFloat(a.Values[k], 'f', -1, 64))
	}
	for _, k := range slices.Sorted(maps.Keys(a.Texts)) {
		fmt.Fprintf(&b, " %s=%q", k, a.Texts[k])
	}
	fmt.Fprintf(&b, " of %d events, ids", a.EventCount)
	seq := func(id string) uint64 { n, _ := strconv.ParseUint(id[16:], 16, 64); return n }
	fmt.Fprintf(&b, " %d..%d (%d)", seq(a.Events[0]), seq(a.Events[len(a.Events)-1]), len(a.Events))
	if a.Coverage.Dropped > 0 {
		fmt.Fprintf(&b, " dropped %d", a.Coverage.Dropped)
	}
	return b.String()
}

func run(s *Shard, events []*event.Event) []*alert.Alert {
	var out []*alert.Alert
	for _, e := range events {
		out = s.Process(e, out)
	}
	return out
}

func encode(t testing.TB, alerts []*alert.Alert) string {
	t.Helper()
	var b strings.Builder
	for _, a := range alerts {
		j, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(j, '\n'))
	}
	return b.String()
}
