package app

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/geo"
	"github.com/warder/warder/rules"
)

// filters compiles the filters of searches. Databases for geo() are opened when the first filter asks it, and looked at anew by each that does.
// It is safe for concurrent use.
type filters struct {
	databases []string
	log       *slog.Logger

	mu sync.Mutex
	db *geo.DB
}

func (f *filters) compile(text string) (celsql.Filter, error) {
	x, err := rules.CompileFilter(rules.Options{}, text)
	if err != nil {
		return nil, err
	}
	if !x.UsesGeo() {
		return x, nil
	}
	db, err := f.open()
	if err != nil {
		return nil, err
	}
	return rules.CompileFilter(rules.Options{Geo: places{db}}, text)
}

func (f *filters) open() (_ *geo.DB, err error) {
	if len(f.databases) == 0 {
		return nil, errors.New("filter: geo() knows no place, because the process that answers has no database: name one under collector.enrich.geo.databases, " +
			"or ask for source.country and source.asn, which events have from when they came")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db == nil {
		if f.db, err = geo.Open(f.databases...); err != nil {
			f.db = nil
			return nil, fmt.Errorf("filter: geo(): collector.enrich: %w", err)
		}
		return f.db, nil
	}
	if _, err = f.db.Refresh(); err != nil {
		f.log.Warn("geo() of searches answers from a database that is not the newest", "err", err)
	}
	return f.db, nil
}
