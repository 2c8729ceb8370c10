// Package closedport gives tests a port of loopback that refuses connections and stays theirs: no other test, server or outgoing
// connection of the machine is given it meanwhile, and the test may listen there later.
package closedport

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Reserve returns an address on 127.0.0.1, and its port, where nothing listens until the test itself does. The port is held until
// the test ends by a socket that is bound and never listens: the system refuses connections to it and does not choose it for
// anybody who asks for any port, while a listener with SO_REUSEADDR, which net.Listen sets, can join it (socket(7) of Linux).
func Reserve(t testing.TB) (address string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("a socket to hold a port with: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind a port of loopback: %v", err)
	}
	// Only after the choice: with it before, the system may choose a port that another such socket holds.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("SO_REUSEADDR: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("the port that was chosen: %v", err)
	}
	port = name.(*syscall.SockaddrInet4).Port
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port
}
