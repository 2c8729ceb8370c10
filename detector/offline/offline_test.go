package offline

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const testRules = `
id: admin
title: admin area
filter: request.path.startsWith("/admin")
group_by: [source.address]
---
id: burst
title: ten in ten seconds
filter: "true"
group_by: [source.address]
window: {size: 10s, type: sliding}
aggregates: {n: count(), paths: distinct(request.path)}
condition: n >= 10
suppress: 20s
---
id: everyone
title: a busy minute
filter: response.code >= 400
window: {size: 60s, type: tumbling}
aggregates: {n: count(), size: sum(response.size)}
condition: n >= 50
`

func testSet(t testing.TB) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(testRules)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// parseLine reads "UNIX ADDRESS PATH CODE SIZE".
func parseLine(line []byte, e *event.Event) error {
	f := strings.Fields(string(line))
	if len(f) != 5 {
		return errors.New("want five fields, in " + string(line))
	}
	sec, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return err
	}
	if e.Source.Address, err = netip.ParseAddr(f[1]); err != nil {
		return err
	}
	e.Time = time.Unix(sec, 0).UTC()
	e.Request.Path = f[2]
	e.Response.Code, _ = strconv.Atoi(f[3])
	e.Response.Size, _ = strconv.ParseInt(f[4], 10, 64)
	return nil
}

func testFormat(string, [][]byte) (func() (Parse, error), error) {
	return func() (Parse, error) { return parseLine, nil }, nil
}

// log is a deterministic log with a bit of everything: bursts, disorder, refused and blank lines.
func testLog(lines int) []byte {
	var b bytes.Buffer
	x := uint64(1)
	for i := range lines {
		x = x*6364136223846793005 + 1442695040888963407
		r := x >> 33
		switch {
		case r%97 == 0:
			fmt.Fprintf(&b, "garbage \x1b[31m %d\n", i)
			continue
		case r%89 == 0:
			b.WriteString("\r\n")
			continue
		}
		path := "/p" + strconv.Itoa(int(r%7))
		if r%501 == 0 {
			path = "/admin/" + strconv.Itoa(i)
		}
		fmt.Fprintf(&b, "%d 192.0.2.%d %s %d %d\n", 1_700_000_000+i/20-int(r%3), r%50*(r>>9%5)%250, path, 200+100*(r>>5%4), r%1000)
	}
	return b.Bytes()
}

func runOn(t testing.TB, workers int, stdin []byte, inputs ...string) (string, Summary, error) {
	t.Helper()
	var out strings.Builder
	s, err := Run(context.Background(), Options{
		Inputs: inputs, Stdin: bytes.NewReader(stdin), Format: testFormat, Set: testSet(t), Workers: workers,
		Out: func(a *alert.Alert) error {
			j, err := a.Encode()
			out.Write(append(j, '\n'))
			return err
		},
	})
	return out.String(), s, err
}

// TestSameForAnyWorkers: the output must not depend on how many goroutines made it.
func TestSameForAnyWorkers(t *testing.T) {
	data := testLog(60_000)
	want, sum, err := runOn(t, 1, data, "-")
	if err != nil {
		t.Fatal(err)
	}
	if sum.Lines != 60_000 || sum.Refused == 0 || len(sum.Samples) != MaxSamples {
		t.Errorf("summary: %+v", sum)
	}
	for _, rule := range []string{"admin", "burst", "everyone"} {
		if sum.Alerts[rule] == 0 {
			t.Errorf("no alert of %s", rule)
		}
	}
	for _, n := range []int{2, 8} {
		got, s, err := runOn(t, n, data, "-")
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%d workers: other alerts than one", n)
		}
		s.Seconds, s.LinesPerSecond = sum.Seconds, sum.LinesPerSecond
		if d := cmp.Diff(sum, s); d != "" {
			t.Errorf("%d workers (-one +many):\n%s", n, d)
		}
	}
}

// TestCompressed: the same content gives the same alerts however it is packed; only the tap's name differs, so files share one.
func TestCompressed(t *testing.T) {
	data := testLog(20_000)
	zip := func(b []byte) []byte {
		var gz bytes.Buffer
		w := gzip.NewWriter(&gz)
		_, _ = w.Write(b)
		_ = w.Close()
		return gz.Bytes()
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var want string
	for _, c := range []struct {
		name string
		data []byte
	}{{"plain", data}, {"gzip", zip(data)}, {"two gzip members", append(zip(data[:99_999]), zip(data[99_999:])...)}, {"zstd", enc.EncodeAll(data, nil)}} {
		if err := os.WriteFile("access.log", c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, sum, err := runOn(t, 4, nil, "access.log")
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if want == "" {
			want = got
		}
		if got != want || got == "" || sum.Lines != 20_000 {
			t.Errorf("%s: other alerts, or none (%d lines)", c.name, sum.Lines)
		}
	}
}

// TestBrokenInput: an input that fails does not stop the others and is named in the error.
func TestBrokenInput(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(testLog(5_000))
	_ = w.Close()
	t.Chdir(t.TempDir())
	_ = os.WriteFile("cut.gz", gz.Bytes()[:gz.Len()/2], 0o600)
	_ = os.WriteFile("whole.log", testLog(1_000), 0o600)
	_, sum, err := runOn(t, 2, nil, "absent.log", "cut.gz", "whole.log")
	for _, want := range []string{"open absent.log", "read cut.gz, line ", "unexpected EOF"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if sum.Lines <= 1_000 || sum.Lines >= 6_000 {
		t.Errorf("read %d lines, want those of whole.log and some of cut.gz", sum.Lines)
	}
}

// TestLines: chunk borders, lines of any length, missing line ends.
func TestLines(t *testing.T) {
	line := "1700000000 192.0.2.1 /admin 200 1"
	pad := func(n int) string { return strings.Repeat(" ", n-len(line)) + line }
	for _, c := range []struct {
		name           string
		text           string
		lines, refused uint64
		events         []uint64 // line numbers that alerted
	}{
		{name: "empty"},
		{name: "no end", text: line, lines: 1, events: []uint64{1}},
		{name: "carriage return", text: line + "\r\n", lines: 1, events: []uint64{1}},
		{name: "blank lines first", text: strings.Repeat("\n", 2*chunkSize) + line, lines: 2*chunkSize + 1, events: []uint64{2*chunkSize + 1}},
		{name: "exactly a chunk", text: pad(chunkSize-1) + "\nx\n", lines: 2, refused: 1, events: []uint64{1}},
		{name: "longer than a chunk", text: "x\n" + pad(3*chunkSize) + "\nx", lines: 3, refused: 2, events: []uint64{2}},
		{name: "the longest", text: pad(MaxLine) + "\n", lines: 1, events: []uint64{1}},
		{name: "too long", text: line + "\n" + pad(MaxLine+1) + "\n" + line + "\n", lines: 3, refused: 1, events: []uint64{1}},
		{name: "too long, first and alone", text: pad(3 * MaxLine), lines: 1, refused: 1},
		{name: "too long, then more", text: pad(3*MaxLine) + "\n" + line, lines: 2, refused: 1, events: []uint64{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, input := range []string{file, "-"} {
				out, sum, err := runOn(t, 2, []byte(c.text), input)
				if err != nil {
					t.Fatal(err)
				}
				if sum.Lines != c.lines || sum.Refused != c.refused {
					t.Errorf("%.3s: %d lines, %d refused; want %d, %d", input, sum.Lines, sum.Refused, c.lines, c.refused)
				}
				var got []uint64
				for l := range strings.Lines(out) {
					a, err := alert.Decode([]byte(l))
					if err != nil {
						t.Fatal(err)
					}
					id, err := event.ParseID(a.Events[0])
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, binary.BigEndian.Uint64(id[8:]))
				}
				if d := cmp.Diff(c.events, got); d != "" {
					t.Errorf("%.3s: alerting lines (-want +got):\n%s", input, d)
				}
			}
		})
	}
}

// TestRefusedLineIsHarmless: what is shown of a hostile line steers no terminal and has a bound.
func TestRefusedLineIsHarmless(t *testing.T) {
	hostile := "\x1b]0;owned\x07\u202e" + strings.Repeat("\xff", 10_000)
	_, sum, err := runOn(t, 1, []byte(hostile+"\n"), "-")
	if err != nil || len(sum.Samples) != 1 {
		t.Fatal(err, sum)
	}
	s := sum.Samples[0]
	if s.Place != "-:1" || len(s.Text) > 6*shownText || len(s.Why) > 3*shownText {
		t.Errorf("sample: %+v", s)
	}
	for _, text := range []string{s.Text, s.Why} {
		if strings.ContainsAny(text, "\x1b\x07\n") {
			t.Errorf("%q holds control characters", text)
		}
	}
}

func TestOutErrorEndsTheRun(t *testing.T) {
	full := errors.New("disk full")
	_, err := Run(context.Background(), Options{Inputs: []string{"-"}, Stdin: bytes.NewReader(testLog(50_000)), Format: testFormat,
		Set: testSet(t), Workers: 2, Out: func(*alert.Alert) error { return full }})
	if !errors.Is(err, full) {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, Options{Inputs: []string{"-"}, Stdin: bytes.NewReader(testLog(50_000)), Format: testFormat, Set: testSet(t),
		Workers: 2, Out: func(*alert.Alert) error { cancel(); return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	data := testLog(30_000)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var last, total int64
	_, err := Run(context.Background(), Options{Inputs: []string{file}, Format: testFormat, Set: testSet(t), Workers: 2,
		Out: func(*alert.Alert) error { return nil }, Progress: func(d, n int64) {
			if d < last {
				t.Errorf("progress went back from %d to %d", last, d)
			}
			last, total = d, n
		}})
	if err != nil || last != int64(len(data)) || total != last {
		t.Errorf("progress ended at %d of %d, want %d: %v", last, total, len(data), err)
	}
}
