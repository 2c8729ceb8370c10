package closedport_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/warder/warder/internal/closedport"
)

// Connections are refused, before and after the test listened there, and nobody else is given the port in between.
func TestReserve(t *testing.T) {
	address, port := closedport.Reserve(t)
	refused(t, address)
	for range 2 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().(*net.TCPAddr).Port; got != port {
			t.Errorf("listens on port %d, want %d", got, port)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		refused(t, address)
	}
}

// With more listeners on "any port" than are left, the reserved one is still nobody's.
func TestNobodyElseIsGivenThePort(t *testing.T) {
	_, port := closedport.Reserve(t)
	for range 3000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			if strings.Contains(err.Error(), "too many open files") {
				return
			}
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().(*net.TCPAddr).Port == port {
			t.Fatal("another listener was given the reserved port")
		}
	}
}

func refused(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a connection to %s: %v, want refused", address, err)
	}
}
