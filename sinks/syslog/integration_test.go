//go:build integration

package syslog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/sinks/sinkstest"
)

// env returns a variable that the integration run must set.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run make integration, which starts a syslog server, or name yours", name)
	}
	return v
}

// wires are the transports with the inputs of .ci/rsyslog.conf, and how much may be under way on each at once: what exceeds
// the receiver's buffer is lost over UDP.
func wires() []wire {
	return []wire{{UDP, "WARDER_SYSLOG_UDP", "imudp", 50}, {TCP, "WARDER_SYSLOG_TCP", "imptcp", 500}, {TLS, "WARDER_SYSLOG_TLS", "imtcp", 500}}
}

type wire struct {
	transport Transport
	env       string
	input     string
	burst     int
}

// neighbour is a sink and what the real server wrote of its messages, which it knows by a host name of their own.
type neighbour struct {
	*Sink
	t    *testing.T
	wire wire
	file string
	from int64 // where in the file its messages can begin
}

func newNeighbour(t *testing.T, w wire, change func(*Config)) *neighbour {
	t.Helper()
	n := &neighbour{t: t, wire: w, file: env(t, "WARDER_SYSLOG_FILE")}
	n.Sink = newSink(t, env(t, w.env), func(c *Config) {
		c.Transport, c.Hostname = w.transport, fmt.Sprintf("warder-%016x", rand.Uint64())
		if w.transport == TLS {
			c.TLS.CAFile = env(t, "WARDER_TEST_CA")
		}
		if change != nil {
			change(c)
		}
	})
	if st, err := os.Stat(n.file); err == nil {
		n.from = st.Size()
	}
	return n
}

// lines returns the complete lines of the sink's messages.
func (n *neighbour) lines() []string {
	n.t.Helper()
	b, err := os.ReadFile(n.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the server makes the file with the first message
		n.t.Fatal(err)
	}
	var out []string
	for line := range bytes.Lines(b[min(n.from, int64(len(b))):]) {
		if bytes.HasSuffix(line, []byte("\n")) && bytes.Contains(line, []byte(" host="+n.hostname+" ")) {
			out = append(out, strings.TrimSuffix(string(line), "\n"))
		}
	}
	return out
}

// await waits until the server has written the number of lines, and returns them.
func (n *neighbour) await(count int) []string {
	n.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		got := n.lines()
		if len(got) >= count {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("%d of %d messages arrived", len(got), count)
		}
	}
}

// record is a message as it was sent or as the server wrote it.
type record struct{ Input, Priority, MsgID, ID, Text string }

// read takes a line apart: the server's own parser found the parts.
func read(t *testing.T, line string) record {
	t.Helper()
	f := strings.SplitN(line, " ", 6)
	if len(f) != 6 || f[3] != "app=warder" {
		t.Fatalf("not in the form of .ci/rsyslog.conf: %.300q", line)
	}
	data, text, ok := strings.Cut(f[5], `"] `) // in a value the bracket is escaped
	_, id, found := strings.Cut(data, ` id="`)
	id, _, _ = strings.Cut(id, `"`)
	if !ok || !found {
		t.Fatalf("no structured data: %.300q", line)
	}
	return record{Input: f[0], Priority: strings.TrimPrefix(f[2], "pri="), MsgID: strings.TrimPrefix(f[4], "msgid="), ID: id, Text: text}
}

// sent returns what must arrive of a message.
func (n *neighbour) sent(render func(text int) message) record {
	n.t.Helper()
	frame, _ := fit(n.limit, func(text int) []byte { return render(text).append(nil) })
	parsed, err := rfc5424.NewMachine(rfc5424.WithCompliantMsg()).Parse(frame)
	if err != nil {
		n.t.Fatal(err)
	}
	m, ok := parsed.(*rfc5424.SyslogMessage)
	if !ok {
		n.t.Fatalf("parsed as %T", parsed)
	}
	r := record{Input: n.wire.input, Priority: fmt.Sprint(*m.Priority), MsgID: *m.MsgID, Text: *m.Message}
	for _, params := range *m.StructuredData {
		r.ID = params["id"]
	}
	return r
}

// expect waits for the records and wants each of them once, unchanged, in order, and nothing else.
func (n *neighbour) expect(want []record) {
	n.t.Helper()
	var got []record
	for _, line := range n.await(len(want)) {
		r := read(n.t, line)
		if n.cfg.Format == OCSF {
			checkOCSF(n.t, r.Text)
		} else {
			checkCEF(n.t, r.Text)
		}
		got = append(got, r)
	}
	if d := cmp.Diff(want, got); d != "" {
		n.t.Fatalf("%d records, want %d (-want +got):\n%.4000s", len(got), len(want), d)
	}
}

// alerts sends alerts and returns what must arrive.
func (n *neighbour) alerts(alerts ...*alert.Alert) []record {
	n.t.Helper()
	if retry, err := n.Send(n.t.Context(), alerts); err != nil {
		n.t.Fatalf("Send: retry %v, %v", retry, err)
	}
	var want []record
	for _, a := range alerts {
		want = append(want, n.sent(func(text int) message { return n.alertMessage(a, text) }))
	}
	return want
}

// events sends events, as alerts does.
func (n *neighbour) events(events ...*event.Event) []record {
	n.t.Helper()
	if retry, err := n.SendEvents(n.t.Context(), events); err != nil {
		n.t.Fatalf("SendEvents: retry %v, %v", retry, err)
	}
	var want []record
	for _, e := range events {
		want = append(want, n.sent(func(text int) message { return n.eventMessage(e, text) }))
	}
	return want
}

// overAll runs a test over every transport in every format.
func overAll(t *testing.T, test func(t *testing.T, n *neighbour)) {
	for _, w := range wires() {
		for _, format := range []Format{CEF, OCSF} {
			t.Run(string(w.transport)+" "+string(format), func(t *testing.T) {
				test(t, newNeighbour(t, w, func(c *Config) { c.Format = format }))
			})
		}
	}
}

func TestIntegrationAlerts(t *testing.T) {
	overAll(t, func(t *testing.T, n *neighbour) {
		want := n.alerts(sinkstest.Alert(0))
		var burst []*alert.Alert
		for i := range 40 {
			burst = append(burst, sinkstest.Alert(i+1))
		}
		want = append(want, n.alerts(burst...)...)
		n.expect(want)
	})
}

func TestIntegrationEvents(t *testing.T) {
	overAll(t, func(t *testing.T, n *neighbour) {
		var want []record
		for first := 0; first < 500; first += n.wire.burst {
			var burst []*event.Event
			for i := range n.wire.burst {
				burst = append(burst, testEvent(uint64(first+i+1)))
			}
			want = append(want, n.events(burst...)...)
			n.await(len(want))
		}
		n.expect(want)
	})
}

// Line breaks, frame counts, header look-alikes and structured data in a request's text stay text: every message is one record
// between its neighbours.
func TestIntegrationHostile(t *testing.T) {
	overAll(t, func(t *testing.T, n *neighbour) {
		attack := testEvent(1)
		attack.Request.Path, attack.Request.UserAgent, attack.Request.Host = "/"+strings.Repeat(sinkstest.Attack, 40), sinkstest.Attack, sinkstest.Attack
		counts := testEvent(2)
		counts.Request.Path = "/\n5 <13>1 - - - - - -\n12 <13>1 2026-01-01T00:00:00Z evil evil - - - forged\r\n"
		want := n.alerts(sinkstest.Alert(1), sinkstest.Hostile(2), sinkstest.Hostile(3), sinkstest.Alert(4))
		want = append(want, n.events(testEvent(3), attack, counts, testEvent(4))...)
		want = append(want, n.alerts(sinkstest.Hostile(5), sinkstest.Alert(6))...)
		n.expect(want)
		for _, r := range want {
			if strings.ContainsAny(r.Text, "\r\n") {
				t.Errorf("a record has more than one line: %.300q", r.Text)
			}
		}
	})
}

// A line break within a frame does not end it: the receiver counts octets, as Warder does, and has one record with the break
// escaped. Warder itself writes none; that it never has to is what TestIntegrationHostile shows.
func TestIntegrationOctetCounting(t *testing.T) {
	for _, w := range wires() {
		t.Run(string(w.transport), func(t *testing.T) {
			n := newNeighbour(t, w, nil)
			m := n.alertMessage(sinkstest.Alert(1), fullText)
			want := record{Input: w.input, Priority: fmt.Sprint(m.priority), MsgID: "alert", ID: sinkstest.Alert(1).ID, Text: "one#01230 <13>1 - - - - - -#012two"}
			m.text = "one\n30 <13>1 - - - - - -\ntwo"
			frame := m.append(nil)
			if err := n.conn.write(t.Context(), [][]byte{frame, frame}); err != nil {
				t.Fatal(err)
			}
			after := n.alerts(sinkstest.Alert(2))
			var got []record
			for _, line := range n.await(3) {
				got = append(got, read(t, line))
			}
			if d := cmp.Diff(append([]record{want, want}, after...), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A message longer than the default limit arrives whole where the receiver takes it.
func TestIntegrationLong(t *testing.T) {
	for _, w := range wires()[1:] {
		t.Run(string(w.transport), func(t *testing.T) {
			n := newNeighbour(t, w, func(c *Config) { c.Format, c.MaxMessage = OCSF, maxMessage })
			want := n.alerts(sinkstest.Alert(1), sinkstest.Hostile(2), sinkstest.Hostile(3), sinkstest.Alert(4))
			if len(want[1].Text) < 2*defaultStream {
				t.Fatalf("the message has %d bytes only", len(want[1].Text))
			}
			n.expect(want)
		})
	}
}

// A sink that closed its connection, as a restart does, opens another one and repeats nothing.
func TestIntegrationReconnect(t *testing.T) {
	for _, w := range wires() {
		t.Run(string(w.transport), func(t *testing.T) {
			n := newNeighbour(t, w, nil)
			var want []record
			for i := range 3 {
				want = append(want, n.alerts(sinkstest.Alert(i))...)
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
				n.await(len(want)) // connections do not keep an order between them
			}
			n.expect(want)
		})
	}
}

func TestIntegrationCertificate(t *testing.T) {
	tls, other := wires()[2], sinkstest.NewCertificate(t).CAFile
	for name, change := range map[string]func(*Config){
		"authority": func(c *Config) { c.TLS.CAFile = other },
		"name":      func(c *Config) { c.TLS.ServerName = "other.example" },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNeighbour(t, tls, change)
			retry, err := n.Send(t.Context(), []*alert.Alert{sinkstest.Alert(1)})
			if err == nil || !retry {
				t.Fatalf("Send: retry %v, error %v; want an error that may be retried", retry, err)
			}
			for _, want := range []string{"the certificate of " + n.cfg.Address + " is not trusted", "tls.ca_file"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not hold %q: %v", want, err)
				}
			}
		})
	}
}

// A port without TLS is named as such, within the time that the sink has.
func TestIntegrationNotTLS(t *testing.T) {
	n := newNeighbour(t, wires()[2], func(c *Config) {
		c.Address = env(t, "WARDER_SYSLOG_TCP")
		c.Timeout = config.Duration(500 * time.Millisecond)
	})
	retry, err := n.Send(t.Context(), []*alert.Alert{sinkstest.Alert(1)})
	if err == nil || !retry || !strings.Contains(err.Error(), n.cfg.Address) || !strings.Contains(err.Error(), "check that it is a TLS port") {
		t.Fatalf("Send: retry %v, error %v", retry, err)
	}
}
