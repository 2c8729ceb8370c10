package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/warder/warder/internal/demo"
)

// `warder up` as the README shows it: it says where things are, what it would have done, and why a second one cannot start; and it
// ends with an interrupt.
func TestUp(t *testing.T) {
	shop := http.Server{Handler: demo.Shop()}
	ln := listen(t)
	go func() { _ = shop.Serve(ln) }()
	defer shop.Close()
	upstream, dir := "http://"+ln.Addr().String(), filepath.Join(t.TempDir(), "data")

	up := startUp(t, "--upstream", upstream, "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--api", "127.0.0.1:0")
	gateway := up.await(t, `gateway +http://(\S+)`)[1]
	up.await(t, `everything → `+regexp.QuoteMeta(upstream))
	admin := up.await(t, `admin +http://(\S+) with /metrics`)[1]
	up.await(t, `rules +the shipped packs`)
	up.await(t, `tells +nobody but this terminal`)
	up.await(t, `data +`+regexp.QuoteMeta(dir)+`, with the embedded broker and the embedded ClickHouse engine`)
	up.await(t, `blocking +off: says what it would do; --enforce`)
	up.await(t, `configured by flags; for more: warder init`)

	if out, _, code := warder(t, "", "health", "--admin", admin); code != exitOK || out != "ready\n" {
		t.Errorf("health ends with %d and prints %q", code, out)
	}
	for range 2 { // observing, nobody is refused
		resp, err := http.Get("http://" + gateway + attackPath)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusForbidden {
			t.Error("refused without --enforce")
		}
	}
	// Alerts and decisions are read from topics of their own, so either may be told first.
	up.awaitAll(t, `high +SQL injection in a request +127\.0\.0\.1`, `would +block 127\.0\.0\.1 for 15m \(sql-injection\)`)

	refuses(t, dir, "another process has this data directory open", "--upstream", upstream, "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--api", "127.0.0.1:0")
	other := filepath.Join(t.TempDir(), "data")
	refuses(t, other, "choose another address with --listen or gateway.listen", "--upstream", upstream, "--data-dir", other, "--listen", gateway, "--admin", "127.0.0.1:0", "--api", "127.0.0.1:0")
	refuses(t, other, "`warder up` also takes --admin", "--upstream", upstream, "--data-dir", other, "--listen", "127.0.0.1:0", "--admin", admin, "--api", "127.0.0.1:0")

	if err := up.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	up.await(t, `stopping: ending what is under way`)
	if _, err := io.Copy(io.Discard, up.out); err != nil {
		t.Fatal(err)
	}
	if err := up.cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// An upstream that is not there is said at once, and to the client.
func TestUpWithoutUpstream(t *testing.T) {
	up := startUp(t, "--upstream", "127.0.0.1:1", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--api", "127.0.0.1:0", "--enforce")
	gateway := up.await(t, `gateway +http://(\S+)`)[1]
	up.await(t, `blocking +on`)
	up.await(t, `http://127\.0\.0\.1:1 does not answer: connection refused; until it does, clients get 502`)
	resp, err := http.Get("http://" + gateway)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// refuses checks that `warder up` ends by itself with exit code 1 and says why.
func refuses(t *testing.T, dir, why string, args ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{"up"}, args...)...)
	cmd.Env = append(os.Environ(), runAsWarder+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run() // "exit status 1"
	if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), why) {
		t.Errorf("in %s: exit code %d, want 1 and %q in:\n%s", dir, cmd.ProcessState.ExitCode(), why, stderr.String())
	}
}

// upProcess is a real `warder up` whose output is read.
type upProcess struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	seen strings.Builder
}

func startUp(t *testing.T, args ...string) *upProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &upProcess{cmd: exec.Command(exe, append([]string{"up"}, args...)...)}
	p.cmd.Env = append(os.Environ(), runAsWarder+"=1")
	p.cmd.Stderr = os.Stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // an interrupt, so that the engine's process ends, too
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Signal(os.Interrupt)
			_, _ = io.Copy(io.Discard, p.out)
			_ = p.cmd.Wait()
		}
	})
	return p
}

// awaitAll reads lines until each pattern has matched one, in any order.
func (p *upProcess) awaitAll(t *testing.T, patterns ...string) {
	t.Helper()
	for len(patterns) > 0 {
		line := p.await(t, strings.Join(patterns, "|"))[0]
		patterns = slices.DeleteFunc(patterns, func(pattern string) bool { return regexp.MustCompile(pattern).MatchString(line) })
	}
}

// await reads lines until one matches, and returns the submatches.
func (p *upProcess) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		line, err := p.out.ReadString('\n')
		p.seen.WriteString(line)
		if m := re.FindStringSubmatch(line); m != nil {
			return m
		}
		if err != nil {
			t.Fatalf("no line like %s in:\n%s", pattern, p.seen.String())
		}
	}
}
