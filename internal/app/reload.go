package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/rules"
)

// ruleWatch loads the rules again when one of their files changed. It looks at names, sizes and times instead of asking the
// kernel to be told: that works on every file system, and with folders that are replaced as a whole, as Kubernetes does.
type ruleWatch struct {
	src   ruleSource
	files []string // that the rules were read from, lists and databases included
	use   func(*rules.Set)
	log   *slog.Logger
	loads *prometheus.CounterVec // result
	rules prometheus.Gauge

	loaded  string // the fingerprint of what is in use, or was refused last
	pending string // one that was seen once and has to hold still
}

// newRuleWatch starts from what src.load returned.
func newRuleWatch(src ruleSource, set *rules.Set, files []string, use func(*rules.Set), reg prometheus.Registerer) (*ruleWatch, error) {
	w := &ruleWatch{src: src, files: files, use: use, log: src.log,
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_rules_loads_total",
			Help: "Times that changed rule files were loaded, by result: ok, refused (the rules before stay in use)."}, []string{"result"}),
		rules: prometheus.NewGauge(prometheus.GaugeOpts{Name: "warder_rules", Help: "Rules in use."})}
	w.loads.WithLabelValues("ok")
	w.loads.WithLabelValues("refused")
	w.rules.Set(float64(len(set.Rules())))
	w.loaded = w.fingerprint()
	for _, c := range []prometheus.Collector{w.loads, w.rules} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register rule metrics: %w", err)
		}
	}
	return w, nil
}

// Run watches until ctx ends.
func (w *ruleWatch) Run(ctx context.Context) error {
	if w.src.cfg.Reload <= 0 || len(w.files)+len(w.src.cfg.Paths) == 0 {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(w.src.cfg.Reload.Std())
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.look()
		case <-ctx.Done():
			return nil
		}
	}
}

// look loads the rules when their files are different from what was loaded last, and the same as the last time it looked: a file
// that is being written is left alone.
func (w *ruleWatch) look() {
	now := w.fingerprint()
	if now == w.loaded || now != w.pending {
		w.pending = now
		return
	}
	set, files, err := w.src.load()
	if w.loaded = now; !slices.Equal(files, w.files) {
		w.files = files
		w.loaded = w.fingerprint()
	}
	if err != nil {
		w.loads.WithLabelValues("refused").Inc()
		w.log.Error("changed rules are refused; the rules before stay in use", "error", err)
		return
	}
	w.use(set)
	w.loads.WithLabelValues("ok").Inc()
	w.rules.Set(float64(len(set.Rules())))
	w.log.Info("changed rules are in use", "rules", len(set.Rules()))
}

// fingerprint is a hash of the names, sizes and times of the files that were read and of all files below the paths. What cannot be
// read is part of it by its error.
func (w *ruleWatch) fingerprint() string {
	h := sha256.New()
	note := func(name string) {
		if st, err := os.Stat(name); err == nil {
			fmt.Fprintf(h, "%q %d %d\n", name, st.Size(), st.ModTime().UnixNano())
		} else {
			fmt.Fprintf(h, "%q %v\n", name, err)
		}
	}
	for _, name := range w.files {
		note(name)
	}
	for _, p := range w.src.cfg.Paths {
		_ = filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				note(name)
			}
			return nil
		})
	}
	return string(h.Sum(nil))
}
