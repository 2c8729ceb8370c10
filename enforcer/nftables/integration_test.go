//go:build integration

package nftables

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

// sh runs a line of words.
func sh(t testing.TB, line string) {
	t.Helper()
	if out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s (it needs root, and the packages iproute2 and nftables)", line, err, out)
	}
}

// spaces makes two network namespaces, "client" and "edge", with a cable between them, until the test ends. The client has every
// address that the test asks from.
func spaces(t testing.TB) (client, edge string) {
	t.Helper()
	id := time.Now().UnixNano() % 1e9
	client, edge = fmt.Sprintf("wc%d", id), fmt.Sprintf("we%d", id)
	for _, ns := range []string{client, edge} {
		sh(t, "ip netns add "+ns)
		t.Cleanup(func() { sh(t, "ip netns del "+ns) })
		sh(t, "ip -n "+ns+" link set lo up")
	}
	sh(t, fmt.Sprintf("ip -n %s link add eth0 type veth peer name eth0 netns %s", client, edge))
	for i, ns := range []string{client, edge} {
		sh(t, fmt.Sprintf("ip -n %s addr add 10.9.0.%d/24 dev eth0", ns, i+1))
		sh(t, fmt.Sprintf("ip -n %s addr add fd09::%d/64 dev eth0 nodad", ns, i+1))
		sh(t, "ip -n "+ns+" link set eth0 up")
	}
	for _, p := range []string{"203.0.112.0/20", "198.51.100.0/24"} {
		sh(t, "ip -n "+client+" route add local "+p+" dev lo")
		sh(t, "ip -n "+edge+" route add "+p+" via 10.9.0.1")
	}
	sh(t, "ip netns exec "+client+" sh -c 'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind'")
	sh(t, "ip -n "+client+" -6 route add local 2001:db8::/32 dev lo")
	sh(t, "ip -n "+edge+" -6 route add 2001:db8::/32 via fd09::1")
	return client, edge
}

// within calls f with the network of the namespace.
func within(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		h, err := os.Open("/run/netns/" + ns)
		if err == nil {
			defer h.Close()
			err = unix.Setns(int(h.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// echo answers every datagram at the edge's addresses until the test ends.
func echo(t testing.TB, edge string) {
	t.Helper()
	var c net.PacketConn
	err := within(edge, func() (err error) {
		c, err = net.ListenPacket("udp", ":7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
}

// patience bounds every wait for a datagram that must come.
const patience = 5 * time.Second

// ask sends a datagram from the address, then one from the client's own, which is never dropped. When the answer to the second is
// there and none to the first, the first was dropped.
func ask(ctx context.Context, client string, from netip.Addr) (status int, err error) {
	own, to := net.IP{10, 9, 0, 1}, net.IP{10, 9, 0, 2}
	if from.Is6() {
		own, to = net.ParseIP("fd09::1"), net.ParseIP("fd09::2")
	}
	err = within(client, func() error {
		first, err := net.DialUDP("udp", &net.UDPAddr{IP: from.AsSlice()}, &net.UDPAddr{IP: to, Port: 7})
		if err != nil {
			return err
		}
		defer first.Close()
		second, err := net.DialUDP("udp", &net.UDPAddr{IP: own}, &net.UDPAddr{IP: to, Port: 7})
		if err != nil {
			return err
		}
		defer second.Close()
		for _, c := range []*net.UDPConn{first, second} {
			if _, err := c.Write([]byte("hello")); err != nil {
				return err
			}
		}
		b := make([]byte, 64)
		_ = second.SetReadDeadline(time.Now().Add(patience))
		if _, err := second.Read(b); err != nil {
			return fmt.Errorf("the client's own address: %w", err)
		}
		_ = first.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if status = -1; ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := first.Read(b); err == nil {
			status = 200
		}
		return nil
	})
	return status, err
}

// The conformance suite with packets through a real kernel.
func TestIntegrationNFTables(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		client, edge := spaces(t)
		echo(t, edge)
		cfg := DefaultConfig()
		cfg.Command = []string{"ip", "netns", "exec", edge, "nft"}
		cfg.Forward = true
		g := open(t, cfg)
		return &gatewaytest.Rig{
			Sync: func(ctx context.Context, want ...*decision.Decision) error {
				if _, err := g.Sync(ctx, want, false); err != nil {
					return err
				}
				n, err := g.Sync(ctx, want, true)
				if n != 0 {
					t.Errorf("%d repaired right after a sync", n)
				}
				return err
			},
			Ask: func(ctx context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
				status, err := ask(ctx, client, q.Address)
				return gatewaytest.Answer{Status: status}, err
			},
			Restart:  func(context.Context) error { g = open(t, cfg); return nil },
			Supports: func(d *decision.Decision) error { return g.Supports(d) },
			Tamper: func(context.Context) error {
				nft := strings.Join(cfg.Command, " ")
				sh(t, nft+" flush set inet warder blocked4")
				sh(t, nft+" add element inet warder blocked4 '{ "+gatewaytest.Foreign.String()+" }'")
				return nil
			},
			Expires: true, Refused: -1,
		}
	})
}

// What others have in the kernel stays, and a user without the capability is told of it.
func TestIntegrationOthers(t *testing.T) {
	_, edge := spaces(t)
	sh(t, "ip netns exec "+edge+" nft add table inet other")
	cfg := DefaultConfig()
	cfg.Command = []string{"ip", "netns", "exec", edge, "nft"}
	sync(t, open(t, cfg), true, 2, block(decision.Address, "203.0.113.9"))
	sh(t, "ip netns exec "+edge+" nft list table inet other")
	cfg.Command = append(cfg.Command[:4:4], "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "nft")
	if _, err := open(t, cfg).Sync(t.Context(), nil, false); err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("without the capability: %v", err)
	}
}
