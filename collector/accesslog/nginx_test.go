//go:build integration

package accesslog

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nginxConf writes every request to three logs: the format of NGINX's own, JSON with the whole request line, and JSON with its parts.
const nginxConf = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  log_format line escape=json '{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr","remote_port":"$remote_port",'
    '"remote_user":"$remote_user","request":"$request","status":$status,"body_bytes_sent":$body_bytes_sent,'
    '"request_length":$request_length,"request_time":$request_time,"http_host":"$http_host","http_referer":"$http_referer",'
    '"http_user_agent":"$http_user_agent"}';
  log_format parts escape=json '{"msec":$msec,"remote_addr":"$remote_addr","remote_user":"$remote_user","request_method":"$request_method",'
    '"request_uri":"$request_uri","server_protocol":"$server_protocol","status":"$status","body_bytes_sent":"$body_bytes_sent",'
    '"http_referer":"$http_referer","http_user_agent":"$http_user_agent"}';
  access_log %[1]s/logs/combined.log combined;
  access_log %[1]s/logs/line.log line;
  access_log %[1]s/logs/parts.log parts;
  lingering_close off;
  server {
    listen 127.0.0.1:%[2]d;
    location / { return 200 "hello\n"; }
    location /login { return 401 "no\n"; }
    location /missing { return 404; }
    location /old { return 301 /new; }
  }
}
`

// web is a running NGINX. Its requests are made one after the other, each on a connection of its own: the order of the log's
// lines is then the order of the requests.
type web struct {
	*testing.T
	dir   string
	addr  string
	cmd   *exec.Cmd
	began time.Time
	log   *output
}

// output keeps what NGINX says. It is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// nginx finds the program, which distributions put where only root's PATH leads.
func nginx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("nginx is not installed: run .ci/install.sh, or install nginx, and run make integration again")
	return ""
}

func startNGINX(t *testing.T) *web {
	t.Helper()
	program := nginx(t)
	w := &web{T: t, dir: t.TempDir(), began: time.Now(), log: &output{}}
	if err := os.Mkdir(filepath.Join(w.dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 3 { // somebody else can come by the port between its choice and NGINX's start
		if w.launch(program) {
			return w
		}
	}
	t.Fatalf("NGINX did not start: %s", w.log)
	return nil
}

// launch starts NGINX on a free port and tells whether it runs.
func (w *web) launch(program string) bool {
	w.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.addr = l.Addr().String()
	conf := filepath.Join(w.dir, "nginx.conf")
	text := fmt.Appendf(nil, nginxConf, w.dir, l.Addr().(*net.TCPAddr).Port)
	if err := errors.Join(os.WriteFile(conf, text, 0o600), l.Close()); err != nil {
		w.Fatal(err)
	}
	w.cmd = exec.Command(program, "-e", "stderr", "-p", w.dir, "-c", conf)
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := w.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.cmd.Wait() }()
	gone := false
	w.Cleanup(func() {
		if !gone {
			w.stop(ended)
		}
	})
	w.await("NGINX did not start", func() bool {
		gone = len(ended) > 0
		_, err := os.Stat(filepath.Join(w.dir, "nginx.pid")) // NGINX writes it when it listens
		return err == nil || gone
	})
	return !gone
}

// stop ends NGINX and waits for it.
func (w *web) stop(ended <-chan error) {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			w.Errorf("NGINX: %v: %s", err, w.log)
		}
	case <-time.After(10 * time.Second):
		_ = w.cmd.Process.Kill()
		w.Errorf("NGINX did not stop: %v: %s", <-ended, w.log)
	}
}

// await waits until the condition holds.
func (w *web) await(what string, cond func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("%s: %s", what, w.log)
		}
	}
}

// rotate does what logrotate does with NGINX: renames the logs, then has them opened anew. Between the two, requests still go to the
// old files.
func (w *web) rotate(suffix string, between func()) {
	w.Helper()
	logs := []string{"combined.log", "line.log", "parts.log"}
	for _, name := range logs {
		path := filepath.Join(w.dir, "logs", name)
		if err := os.Rename(path, path+suffix); err != nil {
			w.Fatal(err)
		}
	}
	between()
	if err := w.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		w.Fatal(err)
	}
	w.await("NGINX did not reopen its logs", func() bool {
		for _, name := range logs {
			if _, err := os.Stat(filepath.Join(w.dir, "logs", name)); err != nil {
				return false
			}
		}
		return true
	})
}

// exchange is a request as it goes over the wire, and what an event of it must hold.
type exchange struct {
	raw                           string
	method, path, query, protocol string // of the request line
	host, user, agent, referer    string // of the headers, when NGINX came to read them
	absolute                      string // the host in an absolute URI
	unparsed                      string // what NGINX's variables lack of a request line that it refused: "all" or "uri"
	status, size                  int    // as the client saw them
	port                          uint16 // of the client
}

// do makes the request and notes what came back.
func (w *web) do(x exchange) exchange {
	w.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.Fatal(err)
	}
	x.port = c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	if _, err := io.WriteString(c, x.raw); err != nil {
		w.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		w.Fatalf("%.100q: %v", x.raw, err)
	}
	if !bytes.HasPrefix(got, []byte("HTTP/")) { // HTTP/0.9: a body and nothing else
		x.status, x.size = http.StatusOK, len(got)
		return x
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), &http.Request{Method: x.method})
	if err != nil {
		w.Fatalf("%.100q: %v: %.300q", x.raw, err, got)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	x.status, x.size = resp.StatusCode, len(body)
	return x
}

// tail ends a request that gets an answer and no more.
const tail = "Host: api.example.com\r\nConnection: close\r\n\r\n"

// requests are the kinds of requests that are made; n makes them distinct.
func requests(n int) []exchange {
	id := strconv.Itoa(n)
	const hostile = "\x80\xff\"'\\\\x41\\u0041\\n <b>{}"
	const user = `mallory" - [x] "GET /forged HTTP/1.1" 200 5 "-`
	plain := func(x exchange) exchange {
		x.raw, x.host, x.protocol = x.raw+tail, "api.example.com", "HTTP/1.1"
		return x
	}
	refused := func(x exchange) exchange {
		x.unparsed = cmp.Or(x.unparsed, "all")
		return x
	}
	return []exchange{
		plain(exchange{raw: "GET /" + id + "?q=1&r=%2F HTTP/1.1\r\nUser-Agent: curl/8.5\r\nReferer: https://example.com/\r\n", method: "GET", path: "/" + id,
			query: "q=1&r=%2F", agent: "curl/8.5", referer: "https://example.com/"}),
		plain(exchange{raw: "GET /a/b/%2e%2E/%41//./" + id + "%20%22 HTTP/1.1\r\n", method: "GET", path: "/a/b/%2e%2E/%41//./" + id + "%20%22"}),
		plain(exchange{raw: "GET /" + id + "/\x80\xff\"\\x41'<> HTTP/1.1\r\n", method: "GET", path: "/" + id + "/\x80\xff\"\\x41'<>"}),
		plain(exchange{raw: "GET /agent" + id + " HTTP/1.1\r\nUser-Agent: " + hostile + "\x01\x1b[31m\x7f\t\" 200 5 \"-\" \"x\r\nReferer: \u202e" + hostile + "\r\n", method: "GET",
			path: "/agent" + id, agent: hostile + "\x01\x1b[31m\x7f\t\" 200 5 \"-\" \"x", referer: "\u202e" + hostile}),
		plain(exchange{raw: "GET /user" + id + " HTTP/1.1\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":pw")) + "\r\n", method: "GET",
			path: "/user" + id, user: user}),
		plain(exchange{raw: "POST /login/" + id + " HTTP/1.1\r\nContent-Length: 0\r\n", method: "POST", path: "/login/" + id}),
		plain(exchange{raw: "HEAD /missing/" + id + " HTTP/1.1\r\n", method: "HEAD", path: "/missing/" + id}),
		plain(exchange{raw: "GET /old/" + id + " HTTP/1.1\r\n", method: "GET", path: "/old/" + id}),
		plain(exchange{raw: "GET http://evil.example/" + id + "?y HTTP/1.1\r\n", method: "GET", path: "/" + id, query: "y", absolute: "evil.example"}),
		plain(exchange{raw: "GET   /spaces" + id + "   HTTP/1.1  \r\n", method: "GET", path: "/spaces" + id}),
		plain(exchange{raw: "\r\nGET /" + id + "?a?b HTTP/1.1\r\n", method: "GET", path: "/" + id, query: "a?b"}),
		plain(exchange{raw: "GET /login/" + id + "#x?y HTTP/1.1\r\n", method: "GET", path: "/login/" + id, query: "#x?y"}),
		{raw: "GET /zero" + id + "\r\n", method: "GET", path: "/zero" + id},
		{raw: "GET /one" + id + " HTTP/1.0\r\n\r\n", method: "GET", path: "/one" + id, protocol: "HTTP/1.0"},
		{raw: "GET /nohost" + id + " HTTP/1.1\r\nConnection: close\r\n\r\n", method: "GET", path: "/nohost" + id, protocol: "HTTP/1.1"},
		{raw: "GET /long" + id + " HTTP/1.1\r\n" + strings.Repeat("x", 8192), method: "GET", path: "/long" + id, protocol: "HTTP/1.1"},
		refused(exchange{raw: "GET /nul" + id + "%00 HTTP/1.1\r\n" + tail, method: "GET", path: "/nul" + id + "%00", protocol: "HTTP/1.1", unparsed: "uri"}),
		refused(exchange{raw: "GET /../" + id + " HTTP/1.1\r\n" + tail, method: "GET", path: "/../" + id, protocol: "HTTP/1.1", unparsed: "uri"}),
		refused(exchange{raw: "GET /a b" + id + " HTTP/1.1\r\n" + tail, method: "GET", path: "/a b" + id, protocol: "HTTP/1.1"}),
		refused(exchange{raw: "GET /\x01\x1b" + id + " HTTP/1.1\r\n" + tail, method: "GET", path: "/\x01\x1b" + id, protocol: "HTTP/1.1"}),
		refused(exchange{raw: "get /lower" + id + " HTTP/1.1\r\n" + tail, method: "get", path: "/lower" + id, protocol: "HTTP/1.1"}),
		refused(exchange{raw: "GET /" + id + " HTTP/9.9\r\n" + tail, method: "GET", path: "/" + id, protocol: "HTTP/9.9"}),
		refused(exchange{raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", method: "PRI", path: "*", protocol: "HTTP/2.0"}),
		refused(exchange{raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + id + "\r\n", path: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + id}),
		refused(exchange{raw: "\"] '; DROP TABLE " + id + "\r\n\r\n", path: "\"] '; DROP TABLE " + id}),
		refused(exchange{raw: ("GET /" + id + strings.Repeat("\xff", 8192))[:8192], method: "GET", path: ("/" + id + strings.Repeat("\xff", 8192))[:8188]}),
	}
}
