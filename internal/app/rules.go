package app

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/geo"
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
		// Opening a pipe must not wait for somebody to write: what is no regular file is refused by whoever looks at it.
		return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
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

// LoadRules loads the configured rules as one set. Without a geo database, nil, geo() knows no place.
func LoadRules(cfg Rules, db *geo.DB) (*rules.Set, error) { return loadRules(cfg, db, RuleFiles{}) }

func loadRules(cfg Rules, db *geo.DB, files fs.FS) (*rules.Set, error) {
	var opt rules.Options
	if db != nil {
		opt.Geo = places{db}
	}
	set, err := rules.LoadWith(opt, files, RulePaths(cfg.Packs, cfg.Paths)...)
	if err != nil {
		return nil, err
	}
	for i, id := range cfg.Disable {
		if set.Rule(id) == nil {
			return nil, config.Errorf(fmt.Sprintf("rules.disable[%d]", i), "there is no rule %.80q; `warder rules list` shows them", id)
		}
	}
	return set.Only(func(r *rules.Rule) bool { return !slices.Contains(cfg.Disable, r.ID) }), nil
}

// places answers geo() of rules.
type places struct{ db *geo.DB }

// Place implements rules.Geo.
func (p places) Place(a netip.Addr) rules.Place { return rules.Place(p.db.Place(a)) }

// ruleSource loads the rules of the detector again and again.
type ruleSource struct {
	cfg       Rules
	databases []string // for geo()
	log       *slog.Logger
}

// load returns the rules, and the files that they and what they need were read from, also when they are wrong. Databases are opened
// only for rules that ask them, anew each time: a set's answers must not change while it is in use.
func (s ruleSource) load() (*rules.Set, []string, error) {
	read := &readFiles{}
	set, err := loadRules(s.cfg, nil, read)
	if err != nil {
		return nil, read.names, err
	}
	users := set.UsesGeo()
	switch {
	case len(users) == 0:
		return set, read.names, nil
	case len(s.databases) == 0:
		s.log.Warn("rules ask geo() and there is no database: they know no place; name one under collector.enrich.geo.databases", "rules", users)
		return set, read.names, nil
	}
	files := append(read.names, s.databases...)
	db, err := geo.Open(s.databases...)
	if err != nil {
		return nil, files, config.In("collector.enrich", fmt.Errorf("geo() of rules: %w", err))
	}
	set, err = LoadRules(s.cfg, db)
	return set, files, err
}

// readFiles is RuleFiles with a memory of which of the host's files were opened.
type readFiles struct {
	RuleFiles
	names []string
}

// Open implements fs.FS.
func (r *readFiles) Open(name string) (fs.File, error) {
	if !strings.HasPrefix(name, packs) {
		r.names = append(r.names, name)
	}
	return r.RuleFiles.Open(name)
}
