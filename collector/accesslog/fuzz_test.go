package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/warder/warder/internal/event"
)

// seeds adds every fixture line.
func seeds(f *testing.F, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			f.Add(line)
		}
	}
}

// fuzz gives the line to the parser: it must not panic, refuse with a reason, and make a usable event.
func fuzz(f *testing.F, format string) {
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := NewParser(format)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := p.Parse(line, &e); err != nil {
			var r *Refusal
			if !errors.As(err, &r) || r.Reason == "" || r.Msg == "" {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if e.Response.Code < 0 || e.Response.Code > 999 || e.Request.Duration < 0 || e.Request.Size < 0 || e.Response.Size < 0 {
			t.Fatalf("impossible numbers in %+v", e)
		}
		if e.Time.IsZero() {
			t.Fatal("event without a time")
		}
		e.Bound()
		e.Tap, e.Seq, e.ID = "t", 1, event.NewID("t", 1)
		if _, err := event.Decode(e.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCombined(f *testing.F)   { seeds(f, "testdata/combined.log"); fuzz(f, "combined") }
func FuzzTraefikCLF(f *testing.F) { seeds(f, "testdata/traefik_clf.log"); fuzz(f, "traefik_clf") }
func FuzzEnvoy(f *testing.F)      { seeds(f, "testdata/envoy.log"); fuzz(f, "envoy") }
func FuzzNPM(f *testing.F) {
	seeds(f, "testdata/nginx_proxy_manager.log")
	fuzz(f, "nginx_proxy_manager")
}
func FuzzALB(f *testing.F)     { seeds(f, "testdata/aws_alb.log"); fuzz(f, "aws_alb") }
func FuzzHAProxy(f *testing.F) { seeds(f, "testdata/haproxy.log"); fuzz(f, "haproxy") }
func FuzzJSON(f *testing.F)    { seeds(f, "testdata/*json.log"); fuzz(f, "json") }
func FuzzCaddy(f *testing.F)   { seeds(f, "testdata/caddy.log"); fuzz(f, "caddy") }
func FuzzAuto(f *testing.F)    { seeds(f, "testdata/*.log"); fuzz(f, Auto) }

// FuzzScanner compares with encoding/json: what that takes as an object the scanner takes too, with the same top-level strings.
func FuzzScanner(f *testing.F) {
	seeds(f, "testdata/*json.log")
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.TrimSpace(line)
		var want map[string]any
		if len(line) == 0 || line[0] != '{' || len(line) > MaxLine || json.Unmarshal(line, &want) != nil {
			return
		}
		got := map[string]string{}
		c := scanner{s: string(line), visit: func(path []byte, v string, isString bool) {
			if isString {
				got[string(path)] = v
			}
		}}
		err := c.object(0)
		if errors.Is(err, errJSONDepth) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !utf8.Valid(line) {
			return // encoding/json repairs names
		}
		for k, v := range want {
			if s, ok := v.(string); ok && !strings.Contains(k, ".") && got[k] == "" && s != "" {
				t.Fatalf("%q: %q is missing", line, k)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, format := range []string{"combined", "traefik_json", "caddy", "json", "envoy", "envoy_json", "haproxy", "aws_alb", "nginx_proxy_manager"} {
		b.Run(format, func(b *testing.B) {
			text, err := os.ReadFile("testdata/" + format + ".log")
			if err != nil {
				b.Fatal(err)
			}
			line, _, _ := bytes.Cut(text, []byte("\n"))
			p, err := NewParser(format)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				var e event.Event
				if err := p.Parse(line, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
