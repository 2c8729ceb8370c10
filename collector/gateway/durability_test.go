package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
)

// The promise under test: while the event is not in the spool, the client does not have the whole answer. The hook holds the
// emit; meanwhile the test reads everything that the gateway lets out, and checks that it is not complete.

// shapes is an upstream with every way to end a response.
func shapes(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, strings.Repeat("a", 10000))
		case "/chunked":
			for range 3 {
				_, _ = io.WriteString(w, "piece")
				_ = http.NewResponseController(w).Flush()
			}
		case "/empty":
			w.Header().Set("Content-Length", "0")
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/101":
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_ = rw.Flush()
			_, _ = io.Copy(c, rw)
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "42")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestEventComesBeforeTheEnd(t *testing.T) {
	const header = "\r\n\r\n"
	for _, tt := range []struct {
		name, request string
		code          int
		size          int64
		// done tells whether a client that got this much may take the response for complete.
		done func(got string) bool
	}{
		{"content length", "GET /length", 200, 10000, func(s string) bool { return strings.Count(s, "a") >= 10000 }},
		{"chunked", "GET /chunked", 200, 15, func(s string) bool { return strings.HasSuffix(s, "\r\n0"+header) }},
		{"trailer", "GET /trailer", 200, 4, func(s string) bool { return strings.Contains(s, "X-Sum: 42") }},
		{"empty", "GET /empty", 200, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"head", "HEAD /length", 200, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"head chunked", "HEAD /chunked", 200, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"204", "GET /204", 204, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"304", "GET /304", 304, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"upgrade", "GET /101", 101, 0, func(s string) bool { return strings.Contains(s, header) }},
		{"malformed", "GET /%zz", 400, 0, func(s string) bool { return s != "" }},
		{"no route", "GET /nowhere", 404, 10, func(s string) bool { return strings.Contains(s, "Not Found\n") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, "", func(c *Config) {
				for _, p := range []string{"/length", "/chunked", "/trailer", "/empty", "/204", "/304", "/101"} {
					c.Routes = append(c.Routes, Route{PathPrefix: p, Upstream: Upstreams{shapes(t).URL}})
				}
			})
			reached, release := make(chan *event.Event), make(chan struct{})
			b.hook(func(e *event.Event) error { reached <- e; <-release; return nil })
			c, err := net.Dial("tcp", b.gw.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			extra := ""
			if tt.code == 101 {
				extra = "Connection: Upgrade\r\nUpgrade: echo\r\n"
			}
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: h\r\n%s\r\n", tt.request, extra)

			var e *event.Event
			select {
			case e = <-reached:
			case <-time.After(patience):
				t.Fatal("no event")
			}
			// Nothing can be written now but what was before the emit; a deadline in the near future ends the reading.
			got := &strings.Builder{}
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = io.Copy(got, c)
			if tt.done(got.String()) {
				t.Errorf("the client had everything before the event:\n%s", got)
			}
			if e.Response.Code != tt.code || e.Response.Size != tt.size {
				t.Errorf("event has code %d, size %d; want %d, %d", e.Response.Code, e.Response.Size, tt.code, tt.size)
			}
			close(release)
			_ = c.SetReadDeadline(time.Now().Add(patience))
			buf := make([]byte, 4096)
			for !tt.done(got.String()) {
				n, err := c.Read(buf)
				got.Write(buf[:n])
				if err != nil {
					t.Fatalf("after the event: %v\n%s", err, got)
				}
			}
			if n := len(b.events) + len(reached); n > 1 {
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestStreamingReachesTheClientAtOnce(t *testing.T) {
	next := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))
	defer up.Close()
	b := start(t, up.URL, nil)
	res, err := b.client.Get(b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for i := range 3 {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want {
			t.Fatalf("got %q, %v, want %q", line, err, want)
		}
		_, _ = r.ReadString('\n')
		if len(b.events) != 0 {
			t.Error("the event came before the stream's end")
		}
		next <- struct{}{}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("want the end, got %v", err)
	}
	if e := b.event(); e.Response.Size != 27 || e.Response.ContentType != "text/event-stream" {
		t.Errorf("%+v", e.Response)
	}
}

func TestUpgradeEchoes(t *testing.T) {
	b := start(t, shapes(t).URL, nil)
	c, err := net.Dial("tcp", b.gw.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "GET /101 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	for _, word := range []string{"one\n", "two\n"} {
		fmt.Fprint(c, word)
		if got, err := r.ReadString('\n'); got != word {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if e := b.event(); e.Response.Code != 101 {
		t.Errorf("code %d", e.Response.Code)
	}
	b.stop() // ends the upgraded connection too
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection outlived the gateway")
	}
}

func TestClientThatLeavesHasAnEvent(t *testing.T) {
	asked := make(chan struct{}, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		} else {
			asked <- struct{}{}
		}
		<-r.Context().Done()
	}))
	defer up.Close()
	b := start(t, up.URL, nil)
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		<-asked
		leave()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Do(req); err == nil {
		t.Error("there was an answer")
	}
	if e := b.event(); e.Response.Code != statusClientLeft {
		t.Errorf("left before the answer: code %d", e.Response.Code)
	}
	res, err := b.client.Get(b.url + "/body")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close() // in the middle of it
	if e := b.event(); e.Response.Code != 200 || e.Response.Size != 4 || e.Ext["aborted_by"] != "client" {
		t.Errorf("left in the middle: %+v, ext %v", e.Response, e.Ext)
	}
}

func TestUpstreamThatBreaksOffHasAnEvent(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer up.Close()
	b := start(t, up.URL, nil)
	res, err := b.client.Get(b.url)
	if err == nil { // else the gateway had not passed anything on yet
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the client took a broken response for complete")
	}
	if e := b.event(); e.Response.Code != 200 || e.Response.Size != 4 || e.Ext["aborted_by"] != "upstream" {
		t.Errorf("%+v, ext %v", e.Response, e.Ext)
	}
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	defer up.Close()
	b := start(t, up.URL, nil)
	answer := make(chan string, 1)
	go func() {
		res, err := b.client.Get(b.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- string(text)
	}()
	<-asked
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	eventually(t, "the listener closes", func() bool {
		c, err := net.Dial("tcp", b.gw.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-answer; got != "late" {
		t.Errorf("got %q", got)
	}
	<-stopped
	if e := b.event(); e.Response.Code != 200 {
		t.Errorf("code %d", e.Response.Code)
	}
}
