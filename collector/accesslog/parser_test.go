package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestGolden parses each testdata/<format>.log and compares events and refusals with testdata/<format>.golden.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		format := strings.TrimSuffix(filepath.Base(file), ".log")
		t.Run(format, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewParser(format)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for line := range bytes.Lines(text) {
				fmt.Fprintln(&got, outcome(p, line))
			}
			golden := strings.TrimSuffix(file, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// outcome shows what the parser made of a line: the fields that are set, or the refusal.
func outcome(p *Parser, line []byte) string {
	var e event.Event
	if err := p.Parse(line, &e); err != nil {
		var r *Refusal
		if !errors.As(err, &r) {
			return "NOT A REFUSAL: " + err.Error()
		}
		return fmt.Sprintf("refused %s: %s", r.Reason, r.Msg)
	}
	b, err := json.Marshal(struct {
		Request   event.RequestInfo
		Response  event.ResponseInfo
		Source    event.Source
		Principal event.Principal
		Auth      event.Auth
		API       event.API
		TLS       event.TLS
		Ext       map[string]string
		Time      string
	}{e.Request, e.Response, e.Source, e.Principal, e.Auth, e.API, e.TLS, e.Ext, e.Time.Format("2006-01-02T15:04:05.999999999Z07:00")})
	if err != nil {
		return err.Error()
	}
	return strip(b)
}

// strip leaves out what is empty.
func strip(b []byte) string {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err.Error()
	}
	prune(m)
	out, _ := json.Marshal(m)
	return string(out)
}

func prune(m map[string]any) {
	for k, v := range m {
		if sub, ok := v.(map[string]any); ok {
			prune(sub)
			if len(sub) == 0 {
				delete(m, k)
			}
			continue
		}
		if v == nil || v == "" || v == 0.0 {
			delete(m, k)
		}
	}
}
