package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules/sigma"
)

func newRulesImport(s streams) *cobra.Command {
	c := &cobra.Command{Use: "import", Short: "Convert the rules of another tool"}
	c.AddCommand(newImportSigma(s))
	return c
}

type importFlags struct {
	dir, license          string
	asJSON, strict, force bool
}

func newImportSigma(s streams) *cobra.Command {
	var f importFlags
	c := &cobra.Command{Use: "sigma PATH...", Short: "Convert Sigma rules for web servers and proxies",
		Long: `Converts Sigma rules in files and folders of *.yml and *.yaml: to standard
output, or into one file for each Sigma file under a folder. Every rule is
converted or refused, with the reason and the line; the list of them goes to
standard error, or to standard output when the rules are written to files.

Converted rules only record (mode: shadow) and keep Sigma's id, author,
references and licence. docs/sigma.md says what is mapped to what.

Exits with 0 when some rules are refused, with 1 then only under --strict.`,
		Example: "  warder rules import sigma -o my-rules/sigma sigma/rules/web\n  warder rules import sigma rule.yml",
		Args:    someArgs("at least one Sigma rule file or folder"),
		RunE:    func(_ *cobra.Command, paths []string) error { return f.run(s, paths) }}
	c.Flags().StringVarP(&f.dir, "output", "o", "", "`folder` that the rules are written into, one file for each Sigma file")
	c.Flags().StringVar(&f.license, "license", "", "`licence` of rules that do not name their own, such as DRL-1.1")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print what became of each rule as JSON lines")
	c.Flags().BoolVar(&f.strict, "strict", false, "exit with 1 when a rule is refused")
	c.Flags().BoolVar(&f.force, "force", false, "write over files that are there")
	return c
}

func (f *importFlags) run(s streams, paths []string) error {
	files, err := sigmaFiles(paths)
	if err != nil {
		return usageError{err}
	}
	r := sigma.Convert(sigma.Options{License: f.license}, files...)
	report := s.err
	if f.dir != "" {
		report = s.out
		if err := f.write(r); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(s.out, r); err != nil {
		return err
	}
	if f.asJSON {
		enc := json.NewEncoder(report)
		for i := range r.Outcomes {
			if err := enc.Encode(&r.Outcomes[i]); err != nil {
				return err
			}
		}
	} else {
		if err := importTable(report, r); err != nil {
			return err
		}
		fmt.Fprintf(report, "%d Sigma rules: %d converted into %d rules, %d refused\n", len(r.Outcomes), len(r.Outcomes)-r.Refused(), len(r.Rules), r.Refused())
	}
	if f.strict && r.Refused() > 0 {
		return errSilent
	}
	return nil
}

// importTable lists what became of each rule.
func importTable(w io.Writer, r *sigma.Result) error {
	p := console.NewPalette(console.WantsColour(w))
	t := console.NewTable("outcome", "sigma rule", "rule, or the reason")
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		place := fmt.Sprintf("%s:%d", console.Clean(o.File, 200), o.Line)
		switch {
		case !o.Converted:
			t.Row(p.Red("refused"), place, o.Reason)
		case o.Reason != "":
			t.Row(p.Green("converted"), place, o.Rule+" ("+o.Reason+")")
		default:
			t.Row(p.Green("converted"), place, o.Rule)
		}
	}
	return t.Write(w, p, console.Width(w))
}

// sigmaFiles reads files, and folders with all below them.
func sigmaFiles(paths []string) ([]sigma.File, error) {
	var files []sigma.File
	seen := map[string]bool{}
	for _, p := range paths {
		found := len(files)
		err := filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(name)
			switch {
			case err != nil:
				return err
			case d.IsDir() || seen[name] || name != p && ext != ".yml" && ext != ".yaml":
				return nil
			}
			seen[name] = true
			text, err := readBounded(name)
			files = append(files, sigma.File{Name: name, Text: text})
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", p, pathCause(err))
		case len(files) == found && !seen[p]:
			return nil, fmt.Errorf("there is no Sigma rule in %s; rules are in files *.yml and *.yaml", p)
		}
	}
	return files, nil
}

// readBounded reads a file, one byte more than the importer takes at most.
func readBounded(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return nil, errors.New("is no regular file: pipes and devices are not read")
	}
	if st.Size() > sigma.MaxFile {
		return make([]byte, sigma.MaxFile+1), nil // refused by its size
	}
	return os.ReadFile(name)
}

// pathCause leaves out the operation and the path, which the error names itself.
func pathCause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// write writes the rules into the folder: those of a Sigma file into a file of its name.
func (f *importFlags) write(r *sigma.Result) error {
	texts, from := map[string]string{}, map[string]string{}
	var names []string
	for _, x := range r.Rules {
		name := outputName(x.File, from)
		if texts[name] == "" {
			names = append(names, name)
			texts[name] = x.YAML
		} else {
			texts[name] += "---\n" + x.YAML
		}
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return fmt.Errorf("%s: %w", f.dir, pathCause(err))
	}
	for _, name := range names {
		path := filepath.Join(f.dir, name)
		if _, err := os.Lstat(path); err == nil && !f.force {
			return usageError{fmt.Errorf("%s is there already: choose another folder, or write over it with --force", path)}
		}
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(texts[name]), 0o644); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(f.dir, name), pathCause(err))
		}
	}
	return nil
}

// outputName is the name of the file for the rules of a Sigma file; from remembers whose the names are.
func outputName(file string, from map[string]string) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	name := base + ".yaml"
	for n := 2; from[name] != "" && from[name] != file; n++ {
		name = fmt.Sprintf("%s-%d.yaml", base, n)
	}
	from[name] = file
	return name
}
