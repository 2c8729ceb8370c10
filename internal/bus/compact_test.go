package bus

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// open starts a broker on the directory with a client, for tests that look inside.
func open(t *testing.T, dir string) (*Embedded, *Client) {
	t.Helper()
	cfg := DefaultEmbeddedConfig()
	cfg.Dir = dir
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := StartEmbedded(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	c, err := New(e.ClientConfig(DefaultConfig()), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.EnsureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, c
}

// fill writes rounds of values for ten keys, in batches of one record.
func fill(t *testing.T, c *Client, from, rounds int) {
	t.Helper()
	for round := from; round < from+rounds; round++ {
		for key := range 10 {
			value := append(fmt.Appendf(nil, "%d", round), make([]byte, 10_000)...)
			if err := c.Produce(t.Context(), Record{Topic: TopicDecisions, Key: fmt.Appendf(nil, "%d", key), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// values returns each key's last value and how many records there are.
func values(t *testing.T, c *Client) (map[string]string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, n := make(map[string]string), 0
	err := c.ReadPartition(ctx, TopicDecisions, 0, func(r Record) error {
		out[string(r.Key)] = string(r.Value[:len(r.Value)-10_000])
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, n
}

func all(value string) map[string]string {
	out := make(map[string]string)
	for key := range 10 {
		out[fmt.Sprint(key)] = value
	}
	return out
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	e, c := open(t, dir)
	sizes := make(map[string]int64)
	compact := func() {
		if err := e.compact(sizes); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, c, 0, 10)
	compact()
	if _, n := values(t, c); n != 100 {
		t.Errorf("%d records, want 100: a small log is left alone", n)
	}
	fill(t, c, 10, 90)
	compact()
	got, n := values(t, c)
	if d := cmp.Diff(all("99"), got); d != "" {
		t.Error(d)
	}
	if n > 20 {
		t.Errorf("%d records after compaction, want about 10", n)
	}
	fill(t, c, 100, 1)
	compact() // has not doubled
	if got, n := values(t, c); got["0"] != "100" || n < 20 {
		t.Errorf("%d records, key 0 is %s", n, got["0"])
	}
	if _, err := os.Stat(filepath.Join(dir, backupName)); !os.IsNotExist(err) {
		t.Errorf("the backup is still there: %v", err)
	}
}

// TestInterruptedCompaction puts the directory into the states that a kill leaves behind.
func TestInterruptedCompaction(t *testing.T) {
	part := TopicDecisions + "-0"
	tests := []struct {
		name   string
		damage func(t *testing.T, live string)
		want   string
	}{
		{"before it began", func(*testing.T, string) {}, "4"},
		{"files deleted", func(t *testing.T, live string) { removeLogs(t, live) }, "4"},
		{"folder deleted", func(t *testing.T, live string) {
			if err := os.RemoveAll(live); err != nil {
				t.Fatal(err)
			}
		}, "4"},
		{"new file cut short", func(t *testing.T, live string) {
			// The backup has the same file, so write a shorter new one, as compaction does.
			data, err := os.ReadFile(filepath.Join(live, "0.dat"))
			if err != nil {
				t.Fatal(err)
			}
			removeLogs(t, live)
			if err := os.WriteFile(filepath.Join(live, "0.dat"), data[:len(data)/2], 0o600); err != nil {
				t.Fatal(err)
			}
		}, "4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			e, c := open(t, dir)
			fill(t, c, 0, 5)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if err := makeBackup(dir, []string{part}); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, filepath.Join(partitionsDir(dir), part))
			_, c = open(t, dir)
			if got, _ := values(t, c); cmp.Diff(all(tt.want), got) != "" {
				t.Error(cmp.Diff(all(tt.want), got))
			}
			if _, err := os.Stat(filepath.Join(dir, backupName)); !os.IsNotExist(err) {
				t.Errorf("the backup is still there: %v", err)
			}
		})
	}
}

// TestFinishedCompaction: the process died between the end of compaction and the removal of the backup; what was written
// since must stay.
func TestFinishedCompaction(t *testing.T) {
	dir := t.TempDir()
	e, c := open(t, dir)
	fill(t, c, 0, 5)
	if err := makeBackup(dir, []string{TopicDecisions + "-0"}); err != nil {
		t.Fatal(err)
	}
	e.cluster.Compact()
	fill(t, c, 5, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, c = open(t, dir)
	if got, _ := values(t, c); cmp.Diff(all("5"), got) != "" {
		t.Error(cmp.Diff(all("5"), got))
	}
}

func removeLogs(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRetentionKeepsOffsets: the log is never emptied, because the broker would number from 0 again after a restart.
func TestRetentionKeepsOffsets(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultEmbeddedConfig()
	cfg.Dir, cfg.Retention = dir, 1<<20
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := StartEmbedded(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(e.ClientConfig(DefaultConfig()), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 100_000)
	for range 50 {
		if err := c.Produce(t.Context(), Record{Topic: TopicEvents, Value: value, Time: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	e.cluster.ApplyRetention()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, c = open(t, dir)
	first, last, n := int64(-1), int64(-1), 0
	err = c.ReadPartition(t.Context(), TopicEvents, 0, func(r Record) error {
		if first < 0 {
			first = r.Offset
		}
		last = r.Offset
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != 49 || n < 8 || n > 11 {
		t.Errorf("%d records, offsets %d to %d; want about 10 and the last one 49", n, first, last)
	}
}
