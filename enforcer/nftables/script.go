package nftables

import (
	"fmt"
	"strings"
	"time"
)

// name of the table, which is Warder's alone.
const name = "warder"

// The sets.
const (
	blocked4 = "blocked4"
	blocked6 = "blocked6"
)

func hooks(forward bool) []string {
	if forward {
		return []string{"input", "forward"}
	}
	return []string{"input"}
}

// chains is what the table's chains are when nft lists them: see [table].
func chains(forward bool) map[string][]string {
	out := map[string][]string{}
	for _, h := range hooks(forward) {
		out[h] = []string{"filter " + h + " accept", "lo accept ", "@" + blocked4 + " drop ", "@" + blocked6 + " drop "}
	}
	return out
}

// script replaces the table. nft applies a script as one transaction: no packet sees half of it.
func script(all []span, forward bool, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\ntable inet %s {\n", name, name, name)
	v6 := len(all)
	for i, s := range all { // IPv4 stands before IPv6
		if s.first.Is6() {
			v6 = i
			break
		}
	}
	writeSet(&b, blocked4, "ipv4_addr", all[:v6], now)
	writeSet(&b, blocked6, "ipv6_addr", all[v6:], now)
	for _, h := range hooks(forward) {
		fmt.Fprintf(&b, "chain %s {\ntype filter hook %s priority -10; policy accept;\niif \"lo\" accept\n", h, h)
		fmt.Fprintf(&b, "ip saddr @%s drop\nip6 saddr @%s drop\n}\n", blocked4, blocked6)
	}
	return b.String() + "}\n"
}

func writeSet(b *strings.Builder, set, of string, all []span, now time.Time) {
	fmt.Fprintf(b, "set %s {\ntype %s\nflags interval, timeout\n", set, of)
	end := ""
	for _, s := range all {
		left := s.until.Sub(now).Milliseconds()
		if left <= 0 {
			continue
		}
		if end == "" {
			end = "}\n"
			b.WriteString("elements = {\n")
		}
		b.WriteString(s.first.String())
		if s.last != s.first {
			b.WriteString("-" + s.last.String())
		}
		fmt.Fprintf(b, " timeout %ds%dms,\n", left/1000, left%1000)
	}
	b.WriteString(end + "}\n")
}
