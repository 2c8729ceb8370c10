package haproxy

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/enforcer/gatewaytest"
)

// fake is HAProxy's runtime API with four maps, answering word for word as HAProxy 2.6 does.
type fake struct {
	mu       sync.Mutex
	pid      int
	maps     map[string][]pair // by file
	prepared map[string][]pair // by "@version file"
	versions int
	requests []string
	used     map[string]int
	fail     string // answered to every "add map" and "commit map" when set
}

type pair struct{ key, value string }

func startFake(t *testing.T, dir string) *fake {
	t.Helper()
	f := &fake{pid: 100, used: map[string]int{}}
	f.reload()
	l, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return f
}

// reload is a new process: with the maps of the files, which are empty.
func (f *fake) reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pid++
	f.prepared = map[string][]pair{}
	f.maps = map[string][]pair{}
	for _, n := range files() {
		f.maps["/maps/"+n] = []pair{}
	}
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	line = strings.TrimSuffix(line, "\n")
	size := len(line)
	var payload []string
	if head, ok := strings.CutSuffix(line, " <<"); ok {
		line = head
		for {
			p, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if p == "\n" {
				break
			}
			size += len(p)
			payload = append(payload, strings.TrimSuffix(p, "\n"))
		}
	}
	if size > 16<<10-1024 { // what HAProxy's buffer takes
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cmd := range strings.Split(line, ";") {
		f.requests = append(f.requests, cmd)
		_, _ = io.WriteString(c, f.answer(strings.Fields(cmd), payload)+"\n")
	}
}

func (f *fake) answer(w, payload []string) string {
	cmd, args := strings.Join(w[:2], " "), w[2:]
	if f.fail != "" && (cmd == "add map" || cmd == "commit map") {
		return f.fail + "\n"
	}
	switch cmd {
	case "show info":
		return fmt.Sprintf("Name: HAProxy\nPid: %d\nUptime_sec: 2\n", f.pid)
	case "prepare map":
		f.versions++
		f.prepared[fmt.Sprintf("@%d %s", f.versions, args[0])] = []pair{}
		return fmt.Sprintf("New version created: %d\n", f.versions)
	case "commit map":
		at := strings.Join(args, " ")
		f.maps[args[1]] = f.prepared[at]
		delete(f.prepared, at)
		return ""
	}
	file, in := args[0], f.maps
	if strings.HasPrefix(file, "@") {
		file, in = strings.Join(args[:2], " "), f.prepared
		args = args[1:]
	}
	held, ok := in[file]
	if !ok {
		return "Unknown map identifier. Please use #<id> or <file>.\n"
	}
	out := ""
	switch cmd {
	case "show map":
		for i, p := range held {
			out += fmt.Sprintf("0x%x %s %s\n", 4096+i, p.key, p.value)
		}
		return out
	case "clear map":
		held = nil
	case "add map":
		for _, l := range payload {
			k, v, _ := strings.Cut(l, " ")
			held = append(held, pair{k, v})
		}
	case "set map", "del map":
		out = "Key not found.\n"
		var next []pair
		for _, p := range held {
			if p.key == args[1] {
				out = ""
				if cmd == "del map" {
					continue
				}
				p.value = args[2]
			}
			next = append(next, p)
		}
		held = next
	}
	in[file] = held
	return out
}

// ask does what testdata/haproxy.cfg does.
func (f *fake) ask(q gatewaytest.Request) gatewaytest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.find(q, refuseIP, refuseName); v != nil {
		status, _ := strconv.Atoi(v[2])
		return gatewaytest.Answer{Status: status, RetryAfter: strconv.FormatInt(left(v), 10)}
	}
	if v := f.find(q, limitIP, limitName); v != nil {
		allowed, _ := strconv.Atoi(v[2])
		if f.used[v[1]] >= allowed {
			return gatewaytest.Answer{Status: 429, RetryAfter: v[4]}
		}
		f.used[v[1]]++
	}
	return gatewaytest.Answer{Status: 200}
}

func left(v []string) int64 {
	until, _ := strconv.ParseInt(v[0], 10, 64)
	return until - time.Now().Unix()
}

func (f *fake) find(q gatewaytest.Request, ip, name string) []string {
	names := map[string]bool{}
	for s, v := range map[string]string{"principal.id=": q.Principal, "request.useragent=": q.UserAgent} {
		names[base64.StdEncoding.EncodeToString([]byte(s+v))] = true
	}
	for _, p := range f.maps["/maps/"+ip] {
		if v := strings.Split(p.value, ":"); covers(p.key, q.Address) && left(v) > 0 {
			return v
		}
	}
	for _, p := range f.maps["/maps/"+name] {
		if v := strings.Split(p.value, ":"); names[p.key] && left(v) > 0 {
			return v
		}
	}
	return nil
}

func covers(key string, a netip.Addr) bool {
	if p, err := netip.ParsePrefix(key); err == nil {
		return p.Contains(a)
	}
	return key == a.String()
}
