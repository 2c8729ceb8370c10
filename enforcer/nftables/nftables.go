// Package nftables drops the packets of blocked addresses in the kernel, through the program nft. See docs/gateways/nftables.md.
package nftables

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/program"
	"github.com/warder/warder/internal/decision"
)

// Kind names this kind of gateway.
const Kind = "nftables"

// MaxRanges bounds the sets: nft takes some seconds to list so many.
const MaxRanges = 100_000

// Gateway is the nftables of one network namespace. It is for one goroutine.
type Gateway struct {
	cfg   Config
	held  []span
	known bool // held is what the kernel has, but for what has ended
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It runs nothing. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("nftables %s: %w", cfg.Name, err)
	}
	return &Gateway{cfg: cfg}, nil
}

// Supports tells why a set of addresses cannot express a decision.
func (g *Gateway) Supports(d *decision.Decision) error {
	if d.Action != decision.Block || len(d.And) > 0 || d.Scope != decision.Address && d.Scope != decision.CIDR {
		return errors.New("nftables drops packets: it can express only blocks of one address or CIDR")
	}
	return nil
}

// Sync implements [push.Gateway]. What changed replaces the whole table, at one moment for all packets.
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	next, err := spans(want)
	if err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	if len(next) > MaxRanges {
		return 0, fmt.Errorf("nftables: %d ranges of addresses, limit is %d", len(next), MaxRanges)
	}
	same := g.known && equal(inForce(g.held, time.Now()), inForce(next, time.Now()))
	if verify || !g.known {
		if repaired, err = g.verify(ctx, next); err != nil {
			return 0, err
		}
		same = same && repaired == 0
	}
	if same {
		return repaired, nil
	}
	g.known = false
	if err := g.run(ctx, script(next, g.cfg.Forward, time.Now())); err != nil {
		return repaired, err
	}
	g.held, g.known = next, true
	return repaired, nil
}

// verify counts what in the kernel is not what it should be.
func (g *Gateway) verify(ctx context.Context, next []span) (int, error) {
	out, err := program.Run(ctx, g.command("-j", "list", "table", "inet", name), "")
	if missing(err) {
		out, err = []byte("{}"), nil
	}
	if err != nil {
		return 0, explain(err)
	}
	now := time.Now()
	have, err := decode(out, now)
	if err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	expected := next
	if g.known {
		expected = g.held
	}
	n := differences(have.spans, expected, now)
	if !maps.EqualFunc(have.chains, chains(g.cfg.Forward), slices.Equal) {
		n++
	}
	return n, nil
}

func (g *Gateway) command(args ...string) []string {
	return append(slices.Clone(g.cfg.Command), args...)
}

func (g *Gateway) run(ctx context.Context, script string) error {
	_, err := program.Run(ctx, g.command("-f", "-"), script)
	return explain(err)
}

// missing tells whether nft failed because there is no such table.
func missing(err error) bool {
	var e *program.Error
	return errors.As(err, &e) && strings.Contains(e.Said, "No such file or directory")
}

func explain(err error) error {
	var e *program.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && strings.Contains(e.Said, "Operation not permitted"):
		return fmt.Errorf("nftables: Warder must have the capability CAP_NET_ADMIN in this network namespace (systemd: "+
			"AmbientCapabilities=CAP_NET_ADMIN; containers: cap_add NET_ADMIN): %w", err)
	}
	return fmt.Errorf("nftables: %w", err)
}

// inForce leaves out what has ended: the kernel has removed it by itself.
func inForce(all []span, now time.Time) []span {
	return slices.DeleteFunc(slices.Clone(all), func(s span) bool { return !now.Before(s.until) })
}

func equal(a, b []span) bool {
	return slices.EqualFunc(a, b, func(a, b span) bool { return a.first == b.first && a.last == b.last && a.until.Equal(b.until) })
}
