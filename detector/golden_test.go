package detector

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/warder/warder/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden runs testdata/*.txt: rules, events, and the alerts and counts that must come out. Each case also runs with a
// snapshot and restore after every event, which must change nothing.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range ar.Files {
				part[f.Name] = string(f.Data)
			}
			set, cfg, events := loadRules(t, part["rules.yaml"]), goldenConfig(t, part["config"]), parseEvents(t, part["events"])

			s := NewShard(set, cfg)
			alerts := run(s, events)
			var got strings.Builder
			for _, a := range alerts {
				got.WriteString(describe(a) + "\n")
			}
			st := s.Stats()
			fmt.Fprintf(&got, "matches %d, suppressed %d, late %d, odd %d, evicted %d, expired %d, entities %d\n",
				st.Matches, st.Suppressed, st.Late, st.Odd, st.Evicted, st.Expired, st.Entities)
			if *update {
				writeGolden(t, file, ar, got.String())
			} else if d := cmp.Diff(part["alerts"], got.String()); d != "" {
				t.Errorf("alerts differ from %s (-want +got); -update accepts them:\n%s", file, d)
			}

			want := encode(t, alerts)
			alerts = alerts[:0]
			s = NewShard(set, cfg)
			for _, e := range events {
				alerts = s.Process(e, alerts)
				next := NewShard(set, cfg)
				if err := next.Restore(s.Snapshot(nil)); err != nil {
					t.Fatal(err)
				}
				s = next
			}
			if d := cmp.Diff(want, encode(t, alerts)); d != "" {
				t.Errorf("a restore after every event changed the alerts (-without +with):\n%s", d)
			}
		})
	}
}

func writeGolden(t *testing.T, file string, ar *txtar.Archive, alerts string) {
	t.Helper()
	kept := ar.Files[:0]
	for _, f := range ar.Files {
		if f.Name != "alerts" {
			kept = append(kept, f)
		}
	}
	ar.Files = append(kept, txtar.File{Name: "alerts", Data: []byte(alerts)})
	if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

// goldenConfig is the default with the bounds that the case sets.
func goldenConfig(t *testing.T, text string) Config {
	t.Helper()
	cfg := DefaultConfig()
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("config %q: %v", line, err)
		}
		switch k {
		case "max_entities":
			cfg.MaxEntities = n
		case "max_rule_entities":
			cfg.MaxRuleEntities = n
		case "max_bytes":
			cfg.MaxBytes = config.Bytes(n)
		case "exact_events":
			cfg.ExactEvents = n
		case "exact_distinct":
			cfg.ExactDistinct = n
		default:
			t.Fatalf("config %q", k)
		}
	}
	return cfg
}
