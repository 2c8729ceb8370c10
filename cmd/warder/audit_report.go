package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision/ledger"
)

// writeAudit writes what a verification found, for people or as JSON.
func writeAudit(w io.Writer, rep ledger.Report, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	p := console.NewPalette(console.WantsColour(w))
	for _, x := range rep.Problems {
		fmt.Fprintf(w, "%s %s%s\n", p.Red(string(x.Code)), where(x), console.Clean(x.Says, 400))
	}
	if more := rep.Total - uint64(len(rep.Problems)); more > 0 {
		fmt.Fprintf(w, "and %s more\n", grouped(more))
	}
	for _, c := range rep.Chains {
		fmt.Fprintf(w, "%s: %s entries up to %s\n", c.Chain, grouped(c.Entries), shortHash(c.Hash))
		note(w, c.Repeats, "stand there more than once, byte for byte: harmless, their writer tried again")
		note(w, c.Forks, "do not count: harmless, two writers were at it at once and the chain tells the same")
		if c.Unseen > 0 {
			fmt.Fprintf(w, "  %s records of the decisions topic were compacted before the ledger read them\n", grouped(c.Unseen))
		}
	}
	for _, k := range rep.Keys {
		fmt.Fprintf(w, "key %s signed %s entries\n", console.Clean(k.Fingerprint, 40), grouped(k.Entries))
	}
	if rep.Unwatched > 0 {
		fmt.Fprintf(w, "the ends of %s decisions were not waited for: too many were in force\n", grouped(rep.Unwatched))
	}
	if !rep.Pinned {
		fmt.Fprintln(w, p.Yellow("without --public-key a ledger that was rewritten with a new key cannot be told apart"))
	}
	total := grouped(rep.Total) + " problems"
	if rep.Total == 1 {
		total = "1 problem"
	}
	if rep.Total > 0 {
		total = p.Red(total)
	}
	fmt.Fprintf(w, "%s entries in %d chains%s, %s\n", grouped(rep.Entries), len(rep.Chains), span(rep), total)
	return nil
}

// where names the place of a problem.
func where(x ledger.Problem) string {
	out := ""
	if x.Line > 0 {
		out = fmt.Sprintf("line %d, ", x.Line)
	}
	if x.Chain != "" {
		out += fmt.Sprintf("%s %d: ", x.Chain, x.Seq)
	}
	return out
}

func note(w io.Writer, n uint64, says string) {
	if n > 0 {
		fmt.Fprintf(w, "  %s entries %s\n", grouped(n), says)
	}
}

// span says from when to when the chains tell.
func span(rep ledger.Report) string {
	var first, last time.Time
	for _, c := range rep.Chains {
		if first.IsZero() || !c.First.IsZero() && c.First.Before(first) {
			first = c.First
		}
		if c.Last.After(last) {
			last = c.Last
		}
	}
	if first.IsZero() {
		return ""
	}
	return fmt.Sprintf(", from %s to %s", first.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339))
}

// shortHash is a hash's beginning, for people.
func shortHash(hash string) string { return hash[:min(len(hash), 16)] + "…" }

// grouped writes 12,345.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
