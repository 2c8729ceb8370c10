package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/privacy"
)

func newPrivacy(s streams) *cobra.Command {
	c := &cobra.Command{Use: "privacy", GroupID: "work", Short: "Erase one person's data; pseudonyms and their key",
		Long: `What the history holds of one person can be erased, and identifiers can be
kept out of it from the start: with store.privacy in the configuration it
holds pseudonyms, which nobody can resolve once their key is destroyed.`}
	c.AddCommand(newPrivacyErase(s), newPrivacyPseudonym(s), newPrivacyKey(s))
	return c
}

func newPrivacyErase(s streams) *cobra.Command {
	var f apiFlags
	kind, yes, asJSON := "", false, false
	c := &cobra.Command{Use: "erase PERSON", Short: "Delete what is stored of one user or address",
		Long: `Deletes the requests, alerts, decisions and profiles that the store holds of one
user or address, under the name and under its pseudonym. The access audit keeps
that somebody looked, not at whom. The decision ledger is a chain of evidence
and stays until its retention ends. It needs the role approve.

Records on the bus go when its retention ends; decisions in force stay in force
(see warder decisions revoke). Run it again to catch what came meanwhile.
Without --yes it only counts.`,
		Example: "  warder privacy erase alice@example.com\n  warder privacy erase --yes 203.0.113.9"}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return wrong(c, "%s needs one user or address, got %d arguments", c.Name(), len(args))
		}
		if kind != "" && kind != history.Principal && kind != history.Address {
			return wrong(c, "--kind is %s or %s, not %.40q", history.Principal, history.Address, kind)
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		q := history.ErasureRequest{EntityID: history.EntityID{Kind: kind, Value: args[0]}, DryRun: !yes}
		if q.Kind == "" {
			q.Kind = history.GuessKind(q.Value)
		}
		return reading(c, s, &f, asJSON, func(cl *apiClient, done *history.Erasure) error {
			// A large table is written anew, which takes as long as it takes.
			return cl.Patient().Call(c.Context(), http.MethodPost, "privacy/erase", nil, q, done)
		}, func(done *history.Erasure) { printErasure(s, q.EntityID, done) })
	}
	f.register(c.PersistentFlags())
	c.Flags().StringVar(&kind, "kind", "", "principal or address (default: an address when it is one)")
	c.Flags().BoolVar(&yes, "yes", false, "delete; without it, only what would be deleted is counted")
	jsonFlag(c, &asJSON)
	return c
}

func printErasure(s streams, e history.EntityID, done *history.Erasure) {
	verb := map[string]string{"deleted": "deleted", "blanked": "name blanked", "kept": "kept"}
	if done.DryRun {
		verb = map[string]string{"deleted": "would be deleted", "blanked": "name would be blanked", "kept": "would be kept"}
	}
	fmt.Fprintf(s.out, "%s %s\n", e.Kind, console.Clean(e.Value, 200))
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, t := range done.Tables {
		reason := ""
		if t.Rows > 0 && t.Reason != "" {
			reason = ": " + t.Reason
		}
		fmt.Fprintf(w, "  %s\t%d rows\t%s%s\n", t.Table, t.Rows, verb[t.Action], reason)
	}
	_ = w.Flush() // standard output remembers what could not be written
	if done.DryRun {
		fmt.Fprintln(s.out, "Nothing was deleted. Add --yes to delete it; that cannot be undone.")
	}
}

func newPrivacyPseudonym(s streams) *cobra.Command {
	keyFile := ""
	c := &cobra.Command{Use: "pseudonym NAME…", Short: "Show how users and addresses are stored",
		Long: `Shows the pseudonyms under which users and addresses are stored, for filters of
searches and for queries in Grafana.`,
		Example: "  warder privacy pseudonym --key privacy.key alice@example.com 203.0.113.9",
		Args:    someArgs("users or addresses")}
	c.RunE = func(c *cobra.Command, args []string) error {
		if keyFile == "" {
			return wrong(c, "--key is needed: the file with the key of the pseudonyms")
		}
		key, err := privacy.ReadKeyFile(keyFile)
		if err != nil {
			return usageError{fmt.Errorf("--key: %w", err)}
		}
		p, err := privacy.New(privacy.Config{Pseudonymise: []string{privacy.Principals, privacy.Addresses}, Key: config.NewSecret(key)})
		if err != nil {
			return usageError{fmt.Errorf("--key %s: %w", keyFile, err)}
		}
		for _, a := range args {
			fmt.Fprintln(s.out, p.Stored(history.GuessKind(a), a)[0])
		}
		return nil
	}
	c.Flags().StringVar(&keyFile, "key", "", "`file` with the key")
	return c
}

func newPrivacyKey(s streams) *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make or destroy the key of the pseudonyms"}
	c.AddCommand(
		keyCommand("new", "Make a key", `Makes a key in a file that only you can read. Name the file in the
configuration: store.privacy.key: {file: FILE}.`, privacy.NewKeyFile, s, "made"),
		keyCommand("destroy", "Destroy a key: its pseudonyms are nobody's from then on", `Overwrites the key and removes its file. Nobody can tell any more whom the
pseudonyms made with it stand for, nor find a person's rows. Backups of the
file are yours to destroy.`, privacy.DestroyKeyFile, s, "destroyed"))
	return c
}

func keyCommand(name, short, long string, do func(path string) error, s streams, done string) *cobra.Command {
	c := &cobra.Command{Use: name + " FILE", Short: short, Long: long, Example: "  warder privacy key " + name + " privacy.key"}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrong(c, "%s needs one file, got %d", c.Name(), len(args))
		}
		return nil
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := do(args[0]); err != nil {
			return usageError{err}
		}
		fmt.Fprintf(s.out, "%s: %s\n", args[0], done)
		return nil
	}
	return c
}
