package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision/ledger"
)

func newAudit(s streams) *cobra.Command {
	c := &cobra.Command{Use: "audit", GroupID: "work", Short: "Verify and export the ledger of decisions",
		Long: `The decision ledger is a hash-chained, signed record of what was decided, why
and by whom, where it came into force and how it ended. docs/audit.md explains
it.`}
	c.AddCommand(newAuditVerify(s), newAuditExport(s), newAuditHead(s))
	return c
}

// auditFlags are what verify and head share.
type auditFlags struct {
	api  apiFlags
	keys []string
}

func (f *auditFlags) add(c *cobra.Command) {
	f.api.register(c.Flags())
	c.Flags().StringArrayVar(&f.keys, "public-key", nil, "believe only the keys in these `FILE`s (audit.pub); can be repeated")
}

// publicKeys reads the files.
func (f *auditFlags) publicKeys() ([]ed25519.PublicKey, error) {
	var out []ed25519.PublicKey
	for _, name := range f.keys {
		k, err := ledger.ReadPublic(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("--public-key: %w", err)}
		}
		out = append(out, k)
	}
	return out, nil
}

func newAuditVerify(s streams) *cobra.Command {
	var f auditFlags
	var heads []string
	var asJSON bool
	problems := 20
	c := &cobra.Command{Use: "verify [FILE|-]", Short: "Find any tampering with the ledger",
		Long: `Verifies the ledger in FILE, as warder audit export writes it, or without FILE
the one of a running Warder: hashes, signatures, that no entry is missing,
altered, inserted or moved, and that nothing was in force without a rule or a
person, an expiry and an end.

Whoever can replace the whole ledger and make a new key for it is only found
with --public-key, whoever cuts off its end only with --head: note both outside
of Warder.

Exits with 1 when there is a problem, with 2 when nothing could be verified.`,
		Example: `  warder audit export > ledger.jsonl
  warder audit verify --public-key audit.pub ledger.jsonl
  warder audit verify --token-file token --head decisions:1234:5d41…`,
		Args: oneFile,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		keys, err := f.publicKeys()
		if err != nil {
			return err
		}
		opts := ledger.Options{Keys: keys, Problems: problems}
		for _, text := range heads {
			h, err := ledger.ParseHead(text)
			if err != nil {
				return wrong(c, "--head %w", err)
			}
			opts.Heads = append(opts.Heads, h)
		}
		if problems < 1 {
			return wrong(c, "--problems %d is not above zero", problems)
		}
		rep, err := verifyLedger(c.Context(), s, f.api, args, opts)
		if err != nil {
			return err
		}
		if err := writeAudit(s.out, rep, asJSON); err != nil {
			return err
		}
		if rep.Total > 0 {
			return errSilent
		}
		return nil
	}
	f.add(c)
	c.Flags().StringArrayVar(&heads, "head", nil, "demand this `CHAIN:SEQ:HASH`, noted from warder audit head; can be\nrepeated")
	c.Flags().IntVar(&problems, "problems", problems, "show at most so many problems")
	c.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	return c
}

func newAuditExport(s streams) *cobra.Command {
	var api apiFlags
	c := &cobra.Command{Use: "export", Short: "Write a running Warder's ledger, an entry a line",
		Long: `Writes the ledger of a running Warder to standard output, byte for byte, an
entry a line. warder audit verify reads it.`,
		Example: "  warder audit export --token-file token > ledger.jsonl", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, err := api.ledger(c.Context())
			if err != nil {
				return err
			}
			defer in.Close()
			if _, err = io.Copy(s.out, in); err != nil {
				return fmt.Errorf("the ledger's export broke off: %w", err)
			}
			return nil
		}}
	api.register(c.Flags())
	return c
}

func newAuditHead(s streams) *cobra.Command {
	var f auditFlags
	c := &cobra.Command{Use: "head [FILE|-]", Short: "Print the ledger's end, to be noted outside of Warder",
		Long: `Verifies the ledger and prints the end of each of its chains, a line each, as
warder audit verify --head takes them. Whoever cuts entries off the end later is
found by what was noted. Prints nothing when there is a problem.`,
		Example: "  warder audit head --token-file token\n  warder audit head ledger.jsonl", Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			keys, err := f.publicKeys()
			if err != nil {
				return err
			}
			rep, err := verifyLedger(c.Context(), s, f.api, args, ledger.Options{Keys: keys, Problems: 20})
			if err != nil {
				return err
			}
			if rep.Total > 0 {
				if err := writeAudit(s.err, rep, false); err != nil {
					return err
				}
				return errSilent
			}
			for _, ch := range rep.Chains {
				if ch.Seq > 0 {
					fmt.Fprintln(s.out, ch.Head)
				}
			}
			return nil
		}}
	f.add(c)
	return c
}

// verifyLedger verifies the ledger in the file, or the one of a running Warder.
func verifyLedger(ctx context.Context, s streams, api apiFlags, args []string, opts ledger.Options) (ledger.Report, error) {
	in, err := openLedger(ctx, s, api, args)
	if err != nil {
		return ledger.Report{}, err
	}
	defer in.Close()
	v := ledger.NewVerifier(opts)
	show := countEntries(s.err)
	var n uint64
	err = ledger.Lines(in, func(b []byte) error {
		v.Line(b)
		if n++; n%1000 == 0 {
			show(n)
		}
		return ctx.Err()
	})
	show(0)
	if err != nil {
		return ledger.Report{}, err
	}
	if n == 0 {
		return ledger.Report{}, usageError{fmt.Errorf("the ledger is empty: there is nothing to verify")}
	}
	return v.Finish(), nil
}

// countEntries returns what shows a count of entries on a terminal, and wipes it away at 0.
func countEntries(w io.Writer) func(n uint64) {
	if !console.IsTerminal(w) {
		return func(uint64) {}
	}
	var last time.Time
	return func(n uint64) {
		switch {
		case n == 0:
			fmt.Fprint(w, "\r\x1b[K")
		case time.Since(last) > 100*time.Millisecond:
			last = time.Now()
			fmt.Fprintf(w, "\r%s entries", grouped(n))
		}
	}
}
