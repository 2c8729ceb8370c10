package offline

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const formRules = `
id: absence
title: a client that was there is gone
filter: response.code == 200
group_by: [source.address]
absence: {span: 2m, after: 3}
---
id: first
title: new path of a client
filter: request.path.startsWith("/admin/1")
group_by: [source.address]
first_seen: {value: request.path, learn: 5m, forget: 1d}
---
id: rare
title: a path of few
filter: request.path.startsWith("/admin")
group_by: [source.address]
rare: {value: request.path, share: 0.2, least: 5, span: 10m}
---
id: sequence
title: refused twice, then let in, and then nothing
group_by: [source.address]
sequence:
  span: 20s
  steps:
    - {name: refused, filter: response.code >= 400, count: 2, keep: {path: request.path}}
    - {name: entered, filter: response.code == 200 && request.path != refused.path}
    - {name: big, filter: response.size > 900, absent: true}
suppress: 1s
---
id: again
title: the same path again
filter: response.code == 300 && seenBefore(request.path, duration("60s"))
group_by: [source.address]
suppress: 1m
`

func runForms(t *testing.T, text string, workers int, stdin []byte, inputs ...string) (alerts []string, sum Summary) {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	sum, err = Run(context.Background(), Options{
		Inputs: inputs, Stdin: bytes.NewReader(stdin), Format: testFormat, Set: set, Workers: workers,
		Out: func(a *alert.Alert) error {
			j, err := a.Encode()
			alerts = append(alerts, string(j))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum.Seconds, sum.LinesPerSecond = 0, 0
	return alerts, sum
}

// TestFormsSameForAnyWorkers: the forms, too, say the same for any number of workers, and what one shard says that sees every line.
func TestFormsSameForAnyWorkers(t *testing.T) {
	data := testLog(60_000)
	want, sum := runForms(t, formRules, 1, data, "-")
	for _, rule := range []string{"absence", "first", "rare", "sequence", "again"} {
		if sum.Alerts[rule] == 0 {
			t.Errorf("no alert of %s", rule)
		}
	}
	for _, n := range []int{2, 8} {
		got, s := runForms(t, formRules, n, data, "-")
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%d workers (-one +many):\n%.2000s", n, d)
		}
		if d := cmp.Diff(sum, s); d != "" {
			t.Errorf("%d workers (-one +many):\n%s", n, d)
		}
	}

	set, _ := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(formRules)}})
	shard := detector.NewShard(set, DefaultMemory())
	var live []string
	no := uint64(0)
	for line := range bytes.Lines(data) {
		no++
		e := &event.Event{Tap: "file:-", Seq: no, ID: event.NewID("file:-", no)}
		if parseLine(bytes.TrimSpace(line), e) != nil {
			continue
		}
		for _, a := range shard.Process(e, nil) {
			j, _ := a.Encode()
			live = append(live, string(j))
		}
	}
	if d := cmp.Diff(live, want); d != "" {
		t.Errorf("(-one shard +files):\n%.2000s", d)
	}
}

// TestRotatedLogs: what is due after a file's end becomes so in the next one, which has a tap of its own.
func TestRotatedLogs(t *testing.T) {
	const text = "id: absence\ntitle: t\nfilter: request.path == \"/beat\"\ngroup_by: [source.address]\nabsence: {span: 2m}\n"
	lines := func(from, to int, clients ...string) string {
		var b strings.Builder
		for at := from; at < to; at += 10 {
			for _, c := range clients {
				fmt.Fprintf(&b, "%d %s /beat 200 1\n", 1_700_000_000+at, c)
			}
			fmt.Fprintf(&b, "%d 203.0.113.1 /other 200 1\n", 1_700_000_000+at)
		}
		return b.String()
	}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "log.1"), filepath.Join(dir, "log")
	_ = os.WriteFile(one, []byte(lines(0, 600, "192.0.2.1", "192.0.2.2")), 0o600)
	_ = os.WriteFile(two, []byte(lines(600, 1200, "192.0.2.1")), 0o600)
	alerts, _ := runForms(t, text, 2, nil, one, two)
	if len(alerts) != 1 || !strings.Contains(alerts[0], `"192.0.2.2"`) || !strings.Contains(alerts[0], `"time":"2023-11-14T22:25:10Z"`) {
		t.Errorf("want one alert, for 192.0.2.2 two minutes after its last line at 22:23:10: %v", alerts)
	}
}
