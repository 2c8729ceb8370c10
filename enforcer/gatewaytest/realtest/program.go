//go:build integration

package realtest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = 15 * time.Second

// Service answers with the request's body, until the test ends: 200, or the status that is the path, such as /403. It returns its address.
func Service(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/")); err == nil {
			w.WriteHeader(status)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// Configure writes the configuration file into dir, with each old text, which must be there, replaced by a new one, and returns its path.
func Configure(t testing.TB, file, dir string, oldnew ...string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(b), oldnew[i]) {
			t.Fatalf("%s: %q is not there", file, oldnew[i])
		}
	}
	to := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(to, []byte(strings.NewReplacer(oldnew...).Replace(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// Start runs a program in dir until the test ends, and waits until it listens at the addresses. What it says goes to the file
// "output" there, which is shown when the test fails.
func Start(t testing.TB, dir string, addresses []string, name string, args ...string) {
	t.Helper()
	path := filepath.Join(dir, "output")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own: its children end with it
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (the package %s of your distribution has it)", err, filepath.Base(name))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // in the end it is killed
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if b, err := os.ReadFile(path); t.Failed() {
			t.Logf("%s said: %s (%v)", filepath.Base(name), b, err)
		}
	})
	for _, a := range addresses {
		Eventually(t, name+" listens at "+a, func() bool {
			select {
			case <-ended:
				t.Fatalf("%s ended by itself", name)
			default:
			}
			c, err := net.Dial("tcp", a)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
}

// Eventually waits until what is so.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
