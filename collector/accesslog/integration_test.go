//go:build integration

package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// seen is what a log tells of a request.
type seen struct {
	Method, Path, Query, Protocol, Host, User, Agent, Referer, Outcome, Address string
	Code                                                                        int
	Size                                                                        int64
	Port                                                                        uint16
}

func look(e *event.Event) seen {
	return seen{Method: e.Request.Method, Path: e.Request.Path, Query: e.Request.Query, Protocol: e.Request.Protocol, Host: e.Request.Host,
		User: e.Principal.ID, Agent: e.Request.UserAgent, Referer: e.Request.Referer, Outcome: e.Auth.Outcome, Code: e.Response.Code,
		Size: e.Response.Size, Address: e.Source.Address.String(), Port: e.Source.Port}
}

// inLog returns what the log with the name must tell of the request.
func (x exchange) inLog(name string) seen {
	s := seen{Method: x.method, Path: x.path, Query: x.query, Protocol: x.protocol, User: x.user, Agent: x.agent, Referer: x.referer,
		Code: x.status, Size: int64(x.size), Address: "127.0.0.1"}
	switch {
	case x.status == http.StatusUnauthorized:
		s.Outcome = "failure"
	case x.user != "":
		s.Outcome = "success"
	}
	switch name {
	case "combined.log":
		s.Host = x.absolute
	case "line.log":
		s.Host, s.Port = x.host, x.port
	case "parts.log":
		if x.unparsed == "all" {
			s.Method, s.Protocol = "", ""
		}
		if x.unparsed != "" {
			s.Path, s.Query = "", ""
		}
	}
	return s
}

// reader follows one of the logs and keeps what comes.
type reader struct {
	*web
	name    string
	cfg     Config
	stopTap func()

	mu      sync.Mutex
	events  []*event.Event
	changed chan struct{}
}

func (w *web) reader(name, format string) *reader {
	r := &reader{web: w, name: name, cfg: DefaultConfig(), changed: make(chan struct{}, 1)}
	r.cfg.Path, r.cfg.Format, r.cfg.State = filepath.Join(w.dir, "logs", name), format, w.TempDir()
	r.cfg.Poll = config.Duration(50 * time.Millisecond)
	return r
}

func (r *reader) follow() {
	r.Helper()
	tap, err := New(r.cfg, slog.New(slog.NewTextHandler(r.log, nil)), nil)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tap.Run(ctx, r.emit) }()
	r.stopTap = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("%s: %v", r.name, err)
		}
	})
	r.Cleanup(r.stopTap)
}

func (r *reader) emit(_ context.Context, e *event.Event) error {
	if e.Kind == event.Heartbeat {
		return nil
	}
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

func (r *reader) arrived() []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// wait waits until as many events have come as requests were made.
func (r *reader) wait(made []exchange) {
	r.Helper()
	deadline := time.After(20 * time.Second)
	for len(r.arrived()) < len(made) {
		select {
		case <-r.changed:
		case <-deadline:
			r.Fatalf("%s: %d events of %d requests: %s", r.name, len(r.arrived()), len(made), r.log)
		}
	}
}

// check wants one event of each request, in their order, in the given number of files.
func (r *reader) check(made []exchange, files int) {
	r.Helper()
	var want, got []seen
	for _, x := range made {
		want = append(want, x.inLog(r.name))
	}
	high := make(map[string]uint64)
	earliest, latest := r.began.Add(-time.Second), time.Now().Add(time.Second)
	for _, e := range r.arrived() {
		got = append(got, look(e))
		if e.Seq <= high[e.Tap] {
			r.Errorf("%s: number %d of %s comes after %d", r.name, e.Seq, e.Tap, high[e.Tap])
		}
		high[e.Tap] = e.Seq
		if e.Time.Before(earliest) || e.Time.After(latest) {
			r.Errorf("%s: an event of %s, between %s and %s", r.name, e.Time, earliest, latest)
		}
	}
	if len(got) != len(want) {
		r.Errorf("%s: %d events of %d requests", r.name, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if d := cmp.Diff(want[i], got[i]); d != "" {
			r.Fatalf("%s: event %d of the request %.200q (-want +got):\n%s", r.name, i, made[i].raw, d)
		}
	}
	if len(high) != files {
		r.Errorf("%s: events of %d files, want %d", r.name, len(high), files)
	}
}

// Every request that NGINX answers is one event, in order and whole, over rotations while the tap follows and while it does not.
func TestIntegrationNGINX(t *testing.T) {
	w := startNGINX(t)
	readers := []*reader{w.reader("combined.log", "combined"), w.reader("line.log", "json"), w.reader("parts.log", "json")}
	var made []exchange
	ask := func() {
		for _, x := range requests(len(made)) {
			made = append(made, w.do(x))
		}
	}
	each := func(do func(r *reader)) {
		for _, r := range readers {
			do(r)
		}
	}
	ask() // before the tap is there
	each((*reader).follow)
	for i := range 3 {
		ask()
		w.rotate(fmt.Sprintf(".%d", i), ask)
		ask()
		each(func(r *reader) { r.wait(made) }) // a file that comes and goes between two looks is not seen
	}
	each(func(r *reader) { r.stopTap() })
	ask() // nobody follows
	w.rotate(".3", ask)
	ask()
	each((*reader).follow)
	ask()
	each(func(r *reader) { r.wait(made); r.stopTap(); r.check(made, 5) })
}

// The format that Detect finds in NGINX's logs is the one to read them with.
func TestIntegrationDetect(t *testing.T) {
	w := startNGINX(t)
	for _, x := range requests(0) {
		w.do(x)
	}
	for name, want := range map[string]string{"combined.log": "combined", "line.log": "json", "parts.log": "json"} {
		b, err := os.ReadFile(filepath.Join(w.dir, "logs", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Detect(bytes.Split(bytes.TrimSpace(b), []byte("\n")))
		if err != nil || got != want {
			t.Errorf("%s: format %q, %v, want %q", name, got, err, want)
		}
	}
}
