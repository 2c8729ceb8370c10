package app

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/rules"
)

// packs is the folder under which RuleFiles shows the shipped packs; errors name it.
const packs = "(packs)"

// RuleFiles is the file system that rules are read from: the host's, paths as a user writes them, and the shipped packs
// under "(packs)".
type RuleFiles struct{}

// Open implements fs.FS. Unlike most file systems it takes absolute paths.
func (RuleFiles) Open(name string) (fs.File, error) {
	rest, shipped := strings.CutPrefix(name, packs)
	if !shipped {
		return os.Open(name)
	}
	if rest = strings.TrimPrefix(rest, "/"); rest == "" {
		rest = "."
	}
	return rules.Packs().Open(rest)
}

// RulePaths lists what is to be read with RuleFiles: the packs, if wanted, and the user's own paths.
func RulePaths(withPacks bool, own []string) []string {
	if !withPacks {
		return own
	}
	return append([]string{packs}, own...)
}

// LoadRules loads the configured rules as one set for detection, without their tests.
func LoadRules(cfg Rules) (*rules.Set, error) {
	set, err := rules.Load(RuleFiles{}, RulePaths(cfg.Packs, cfg.Paths)...)
	if err != nil {
		return nil, err
	}
	for i, id := range cfg.Disable {
		if set.Rule(id) == nil {
			return nil, config.Errorf(fmt.Sprintf("rules.disable[%d]", i), "there is no rule %.80q; `warder rules list` shows them", id)
		}
	}
	set = set.Only(func(r *rules.Rule) bool { return !slices.Contains(cfg.Disable, r.ID) })
	for _, r := range set.Rules() {
		r.Tests = nil // tens of megabytes of events that detection has no use for
	}
	return set, nil
}
