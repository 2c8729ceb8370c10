package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
)

func newRules(s streams) *cobra.Command {
	c := &cobra.Command{Use: "rules", GroupID: "work", Short: "List, test, review and explain rules",
		Long: "Works on rule files and folders of them; without a path on the shipped packs."}
	c.AddCommand(newRulesList(s), newRulesTest(s), newRulesLint(s), newRulesExplain(s), newRulesCoverage(s), newRulesDocs(s),
		newRulesMutate(s), newRulesSchema(s), newRulesImport(s))
	return c
}

// loadRules reads the rules at the paths, or the shipped packs.
func loadRules(paths []string) (*rules.Set, error) {
	set, err := rules.Load(app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
	if err == nil {
		err = notEmpty(set, paths)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return set, nil
}

// slow is after how long a command that works through many rules shows how far it is.
const slow = time.Second

// counter shows on a terminal how many of total are done, once that takes long. It is safe for concurrent use.
func counter(s streams, what string, total int) *progressbar.ProgressBar {
	w := io.Discard
	if console.IsTerminal(s.err) && os.Getenv("TERM") != "dumb" {
		w = s.err
	}
	start := time.Now()
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(late{w, start}), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
}

// late leaves out what is written in the first moments: a bar that is gone at once only flickers.
type late struct {
	w     io.Writer
	start time.Time
}

// Write implements io.Writer.
func (l late) Write(b []byte) (int, error) {
	if time.Since(l.start) < slow {
		return len(b), nil
	}
	return l.w.Write(b)
}

// writeOutput writes what write prints to a file, or to standard output when there is no name.
func writeOutput(s streams, name string, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		return write(s.out)
	}
	f, err := os.Create(name)
	if err != nil {
		return usageError{err}
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error says more
		return err
	}
	return f.Close()
}
