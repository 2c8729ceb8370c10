package syslog

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/sinkstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSink(t testing.TB, addr string, change func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.Address, cfg.Transport, cfg.Hostname = "siem", addr, TCP, "warder.example"
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newReceiver(t *testing.T, network string, c *tls.Config) *receivers.Syslog {
	t.Helper()
	r, err := receivers.NewSyslog(network, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestConformance(t *testing.T) {
	for _, format := range []Format{CEF, OCSF} {
		for _, transport := range []Transport{UDP, TCP, TLS} {
			t.Run(string(transport)+" "+string(format), func(t *testing.T) {
				sinkstest.Run(t, func(t *testing.T) sinkstest.Fixture { return fixture(t, transport, format) })
			})
		}
	}
}

func fixture(t *testing.T, transport Transport, format Format) sinkstest.Fixture {
	change := func(c *Config) { c.Transport, c.Format = transport, format }
	network, server := "tcp", (*tls.Config)(nil)
	switch transport {
	case UDP:
		network = "udp"
	case TLS:
		pair := sinkstest.NewCertificate(t)
		server = &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, MinVersion: tls.VersionTLS12}
		change = func(c *Config) { c.Transport, c.Format, c.TLS.CAFile = transport, format, pair.CAFile }
	}
	r := newReceiver(t, network, server)
	f := sinkstest.Fixture{Sink: newSink(t, r.Addr(), change), Arrived: func() []string { return sinkstest.Collect(r.Messages()) }, Problems: r.Problems}
	if transport != UDP {
		f.Unreachable = func(t *testing.T) sinks.Sink { return newSink(t, sinkstest.Closed(t), change) }
	}
	return f
}

// A receiver that closed the connection does not swallow the next message.
func TestReconnect(t *testing.T) {
	for _, transport := range []Transport{TCP, TLS} {
		t.Run(string(transport), func(t *testing.T) {
			change := func(c *Config) { c.Transport = transport }
			var server *tls.Config
			if transport == TLS {
				pair := sinkstest.NewCertificate(t)
				server = &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, MinVersion: tls.VersionTLS12}
				change = func(c *Config) { c.Transport, c.TLS.CAFile = transport, pair.CAFile }
			}
			r := newReceiver(t, "tcp", server)
			s := newSink(t, r.Addr(), change)
			for n := range 5 {
				if _, err := s.Send(t.Context(), []*alert.Alert{sinkstest.Alert(n)}); err != nil {
					t.Fatal(err)
				}
				await(t, func() bool { return r.Count() == n+1 })
				r.Disconnect()
				await(t, func() bool { s.conn.mu.Lock(); defer s.conn.mu.Unlock(); return gone(s.conn.net) })
			}
			if r.Repeats() != 0 {
				t.Errorf("%d repeats", r.Repeats())
			}
		})
	}
}

func await(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the condition did not come true")
		}
	}
}

func TestCertificate(t *testing.T) {
	pair := sinkstest.NewCertificate(t)
	r := newReceiver(t, "tcp", &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, MinVersion: tls.VersionTLS12})
	s := newSink(t, r.Addr(), func(c *Config) { c.Transport = TLS })
	retry, err := s.Send(t.Context(), []*alert.Alert{sinkstest.Alert(1)})
	if err == nil || !retry || !strings.Contains(err.Error(), "is not trusted") || !strings.Contains(err.Error(), "tls.ca_file") {
		t.Fatalf("retry %v, error %v", retry, err)
	}
}

func testEvent(n uint64) *event.Event {
	e := &event.Event{ID: event.NewID("edge-1", n), Tap: "edge-1", Seq: n, Time: time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)}
	e.Request = event.RequestInfo{Method: "GET", Protocol: "HTTP/1.1", Host: "api.example.com", Path: "/orders/7", Query: "full=1&x=a|b",
		UserAgent: "curl/8.5", Size: 0, Duration: 12345 * time.Microsecond}
	e.Response = event.ResponseInfo{Code: 200, Size: 512, ContentType: "application/json"}
	e.Source = event.Source{Address: netip.MustParseAddr("2001:db8::7"), Port: 50123, Country: "AT", ASN: 64500}
	e.API = event.API{Route: "/orders/{id}", Version: "v2", Name: "orders"}
	return e
}

func samples() map[string]func(text int) string {
	withUser := testEvent(2)
	withUser.Principal = event.Principal{ID: "alice", Type: "jwt"}
	withUser.Auth.Outcome = "success"
	bare := &event.Event{ID: event.NewID("log", 3), Tap: "log", Seq: 3, Time: time.Unix(1_700_000_000, 0)}
	blocked := testEvent(4)
	blocked.Source.Address = netip.MustParseAddr("203.0.113.9")
	blocked.Enforced = event.Enforced{By: "d1", Action: "block"}
	blocked.Response.Code = 403
	hostile := testEvent(5)
	hostile.Request.Path, hostile.Request.UserAgent, hostile.Request.Host, hostile.Request.Method = "/"+strings.Repeat(sinkstest.Attack, 40), sinkstest.Attack, sinkstest.Attack, sinkstest.Attack
	plain := sinkstest.Alert(2)
	plain.Sample, plain.Group, plain.Values = nil, nil, map[string]float64{"rate": math.Inf(1), "z": math.NaN()}
	return map[string]func(int) string{
		"alert.cef":    func(n int) string { return cefAlert(sinkstest.Alert(1), n) },
		"alert.ocsf":   func(n int) string { return ocsfAlert(sinkstest.Alert(1), n) },
		"plain.cef":    func(n int) string { return cefAlert(plain, n) },
		"plain.ocsf":   func(n int) string { return ocsfAlert(plain, n) },
		"hostile.cef":  func(n int) string { return cefAlert(sinkstest.Hostile(1), n) },
		"hostile.ocsf": func(n int) string { return ocsfAlert(sinkstest.Hostile(1), n) },
		"event.cef":    func(n int) string { return cefEvent(testEvent(1), n) },
		"event.ocsf":   func(n int) string { return ocsfEvent(testEvent(1), n) },
		"user.cef":     func(n int) string { return cefEvent(withUser, n) },
		"user.ocsf":    func(n int) string { return ocsfEvent(withUser, n) },
		"bare.cef":     func(n int) string { return cefEvent(bare, n) },
		"bare.ocsf":    func(n int) string { return ocsfEvent(bare, n) },
		"blocked.cef":  func(n int) string { return cefEvent(blocked, n) },
		"blocked.ocsf": func(n int) string { return ocsfEvent(blocked, n) },
		"attack.cef":   func(n int) string { return cefEvent(hostile, n) },
		"attack.ocsf":  func(n int) string { return ocsfEvent(hostile, n) },
	}
}

func TestGolden(t *testing.T) {
	for name, render := range samples() {
		t.Run(name, func(t *testing.T) {
			m := message{priority: 134, time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), hostname: "warder.example", id: "alert",
				dataName: "warder@32473", data: []param{{"id", `a"]\b`}}, text: render(512)}
			frame := m.append(nil)
			golden(t, name, string(frame)+"\n")
			checkFrame(t, frame, m.text)
			if strings.HasSuffix(name, ".ocsf") {
				checkOCSF(t, m.text)
			} else {
				checkCEF(t, m.text)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// checkFrame reads the frame with another implementation.
func checkFrame(t *testing.T, frame []byte, text string) {
	t.Helper()
	m, err := rfc5424.NewMachine(rfc5424.WithCompliantMsg()).Parse(frame)
	if err != nil {
		t.Fatalf("not RFC 5424: %v: %q", err, frame)
	}
	got, ok := m.(*rfc5424.SyslogMessage)
	if !ok || got.Message == nil || *got.Message != text {
		t.Fatalf("message %v, want %q", got.Message, text)
	}
}

var unescaped = regexp.MustCompile(`[^\\](\\\\)*[=]`)

// checkCEF splits at what is not escaped: seven pipes, then key=value pairs of known form.
func checkCEF(t *testing.T, s string) {
	t.Helper()
	var parts []string
	start := 0
	for i := 0; i < len(s) && len(parts) < 7; i++ {
		switch s[i] {
		case '\\':
			i++
		case '|':
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	if len(parts) != 7 || parts[0] != "CEF:0" || strings.ContainsAny(s, "\r\n\x00\x1b") {
		t.Fatalf("not CEF: %q", s)
	}
	key := regexp.MustCompile(`(^| )[a-zA-Z0-9]+$`)
	extension := s[start:]
	for _, m := range unescaped.FindAllStringIndex(" "+extension, -1) {
		if before := extension[:m[1]-2]; !key.MatchString(before) {
			t.Errorf("an equals sign is not escaped after %q", before[max(0, len(before)-40):])
		}
	}
}

// checkOCSF checks what the schema requires of the three classes.
func checkOCSF(t *testing.T, s string) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("not JSON: %v: %q", err, s)
	}
	has := func(path ...string) bool {
		var v any = m
		for _, p := range path {
			o, ok := v.(map[string]any)
			if !ok || o[p] == nil || o[p] == "" {
				return false
			}
			v = o[p]
		}
		return true
	}
	class, ok := m["class_uid"].(float64)
	if !ok || m["type_uid"] != class*100+m["activity_id"].(float64) || m["category_uid"] != math.Floor(class/1000) {
		t.Errorf("class %v, type %v, category %v", m["class_uid"], m["type_uid"], m["category_uid"])
	}
	required := [][]string{{"severity_id"}, {"time"}, {"metadata", "version"}, {"metadata", "product", "name"}, {"metadata", "product", "vendor_name"}}
	switch class {
	case 2004:
		required = append(required, []string{"finding_info", "uid"}, []string{"finding_info", "title"}, []string{"finding_info", "analytic", "type_id"}, []string{"status_id"})
	case 4002:
		required = append(required, []string{"http_request", "url"}, []string{"http_response", "code"}, []string{"dst_endpoint", "name"})
	case 6003:
		required = append(required, []string{"actor", "user", "uid"}, []string{"api", "operation"}, []string{"src_endpoint", "ip"})
	default:
		t.Errorf("class %v", class)
	}
	for _, path := range required {
		if !has(path...) {
			t.Errorf("%s is missing in %s", strings.Join(path, "."), s)
		}
	}
	if list, ok := m["evidences"].([]any); ok {
		for _, e := range list {
			if o := e.(map[string]any); o["src_endpoint"] == nil && o["actor"] == nil {
				t.Errorf("evidence without source and actor: %v", o)
			}
		}
	}
}

// Whatever the content, a message fits its limit and its JSON stays whole.
func TestLimit(t *testing.T) {
	for _, limit := range []config.Bytes{minMessage, 2048, 8192} {
		for name, render := range samples() {
			frame, _ := fit(int(limit), func(text int) []byte { return []byte(render(text)) })
			if len(frame) > int(limit) {
				t.Errorf("%s: %d bytes, limit %d", name, len(frame), limit)
			}
			if strings.HasSuffix(name, ".ocsf") {
				if limit > minMessage && !json.Valid(frame) {
					t.Errorf("%s within %d: not JSON: %s", name, limit, frame)
				}
			}
		}
	}
}

func TestEvents(t *testing.T) {
	r := newReceiver(t, "tcp", nil)
	s := newSink(t, r.Addr(), func(c *Config) { c.Format = OCSF })
	var events []*event.Event
	for n := range uint64(1200) {
		events = append(events, testEvent(n+1))
	}
	if _, err := s.SendEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return r.Count() == len(events) })
	if p := r.Problems(); len(p) > 0 {
		t.Error(p[0])
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"tls", "name: s\naddress: siem.example.com:6514\nevents: true\n", ""},
		{"udp", "name: s\naddress: siem.example.com:514\ntransport: udp\nformat: ocsf\nmax_message: 4KiB\nfacility: authpriv\n", ""},
		{"no port", "name: s\naddress: siem\n", "address: "},
		{"transport", "name: s\naddress: a:1\ntransport: sctp\n", "transport: "},
		{"format", "name: s\naddress: a:1\nformat: leef\n", "format: "},
		{"facility", "name: s\naddress: a:1\nfacility: local8\n", "facility: "},
		{"small", "name: s\naddress: a:1\nmax_message: 100\n", "max_message: "},
		{"tls over udp", "name: s\naddress: a:1\ntransport: udp\ntls: {ca_file: x}\n", "tls: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := config.Decode("s.yaml", []byte(tt.yaml), &c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(sinkstest.Attack, sinkstest.Attack)
	f.Add("", "a=b|c\\")
	f.Fuzz(func(t *testing.T, rule, path string) {
		a := sinkstest.Alert(1)
		a.Rule, a.ID, a.Title = "r"+rule, "i"+rule, path
		a.Sample.Path, a.Group = path, map[string]string{rule: path}
		s := &Sink{cfg: DefaultConfig(), hostname: "h"}
		for _, format := range []Format{CEF, OCSF} {
			s.cfg.Format = format
			m := s.alertMessage(a, 1024)
			checkFrame(t, m.append(nil), m.text)
			if format == CEF {
				checkCEF(t, m.text)
			} else {
				checkOCSF(t, m.text)
			}
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	for _, format := range []Format{CEF, OCSF} {
		b.Run(string(format), func(b *testing.B) {
			s := newSink(b, "127.0.0.1:1", func(c *Config) { c.Format = format })
			e := testEvent(1)
			b.ReportAllocs()
			for b.Loop() {
				s.eventMessage(e, fullText).append(nil)
			}
		})
	}
}
