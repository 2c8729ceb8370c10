package accesslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/event"
)

// Emit is how a tap hands an event on; see collector.Tap.
type Emit = func(ctx context.Context, e *event.Event) error

// Tap reads one log. It implements collector.Tap and collector.Numbered.
//
// The log numbers its events: Tap is "file:" and a fingerprint of the file's first line, Seq the byte offset of the line plus
// one. So a file that is read twice, after a crash or under a new name, gives the same events again, and everything behind
// drops the repeats.
type Tap struct {
	cfg    Config
	log    *slog.Logger
	m      *metrics
	parser *Parser
	stdin  io.Reader
	grace  time.Duration // how long a rotated file is still looked at
	warned time.Time     // when a refused line was last logged
}

// New checks the configuration; it opens nothing. Several taps may share one registry.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Tap, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	trusted, err := prefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	p, err := NewParser(cfg.Format, WithTrustedProxies(trusted...), WithKeys(cfg.Keys))
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	if cfg.Path != Stdin {
		if cfg.Path, err = filepath.Abs(cfg.Path); err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
	}
	return &Tap{cfg: cfg, log: log, m: m, parser: p, stdin: os.Stdin, grace: time.Minute}, nil
}

// Numbered returns true: the events bring their own numbers.
func (t *Tap) Numbered() bool { return true }

// Run reads until the input ends, or, when following, until ctx ends. A followed log that cannot be read is tried again, so that
// it stops neither other taps nor itself; it goes on behind the last line that was emitted.
func (t *Tap) Run(ctx context.Context, emit Emit) error {
	if t.cfg.Path == Stdin {
		return t.runStdin(ctx, emit)
	}
	if !t.cfg.Follow {
		return t.runFile(ctx, emit)
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := t.runFile(ctx, emit)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		t.m.failures.Inc()
		t.log.Error("access log cannot be read; trying again", "path", t.cfg.Path, "wait", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// The pauses before a followed log that cannot be read is tried again.
const (
	minPause = 250 * time.Millisecond
	maxPause = 15 * time.Second
)

func (t *Tap) runFile(ctx context.Context, emit Emit) error {
	f := newFollower(t, emit)
	defer f.close()
	err := f.start()
	if err == nil {
		if t.cfg.Follow {
			err = t.follow(ctx, f)
		} else {
			err = f.finish(ctx)
		}
	}
	if e := f.save(); err == nil {
		err = e
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow looks at the file when the system tells of a change, and at least every poll interval.
func (t *Tap) follow(ctx context.Context, f *follower) error {
	var changes <-chan fsnotify.Event
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		if err = w.Add(filepath.Dir(t.cfg.Path)); err == nil {
			changes = w.Events
		}
	}
	if err != nil {
		t.log.Warn("no notice of changes to the access log, polling", "error", err)
	}
	poll := time.NewTicker(t.cfg.Poll.Std())
	defer poll.Stop()
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		if err := f.scan(ctx); err != nil {
			return err
		}
		select {
		case <-poll.C:
		case e := <-changes:
			for e.Name != t.cfg.Path && len(changes) > 0 {
				e = <-changes // a neighbour's
			}
		case now := <-beat.C:
			// Nothing before now minus the lag is still to come: scan has just read to the end, or does so first.
			if err := f.scan(ctx); err != nil {
				return err
			}
			if err := f.beat(ctx, now); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// runStdin reads lines until the input or ctx ends.
func (t *Tap) runStdin(ctx context.Context, emit Emit) error {
	lines := make(chan []byte, 64)
	readErr := make(chan error, 1)
	go func() {
		defer close(lines)
		readErr <- readLines(ctx, t.stdin, lines)
	}()
	src := &source{}
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				if err := <-readErr; err != nil {
					return fmt.Errorf("read standard input: %w", err)
				}
				return nil
			}
			if src.tap == "" {
				src.identify(t.cfg.Name, t.cfg.Path, line)
			}
			if err := t.emitLine(ctx, emit, src, src.offset, line); err != nil {
				return err
			}
			src.offset += int64(len(line))
		case <-ctx.Done():
			t.interrupt(lines)
			return nil
		}
	}
}

// interrupt ends a blocked read where the input can be interrupted (a pipe, a terminal) and waits for the reader; a read of
// anything else ends by itself.
func (t *Tap) interrupt(lines <-chan []byte) {
	d, ok := t.stdin.(interface{ SetReadDeadline(time.Time) error })
	if ok && d.SetReadDeadline(time.Now()) == nil {
		for range lines {
		}
	}
}

// readLines sends copies of the lines, with their ends; of a line above MaxLine it sends what tells that it is too long.
func readLines(ctx context.Context, r io.Reader, lines chan<- []byte) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(br)
		if len(line) > 0 {
			select {
			case lines <- line:
			case <-ctx.Done():
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine bounds the memory of one line: what is beyond MaxLine+2 bytes is read and dropped.
func readLine(br *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := br.ReadSlice('\n')
		out = append(out, part[:min(len(part), MaxLine+2-len(out))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return out, err
		}
	}
}

// emitLine parses and emits one line; a refused one is counted. An error ends the tap.
func (t *Tap) emitLine(ctx context.Context, emit Emit, src *source, offset int64, line []byte) error {
	t.m.lines.Inc()
	e := new(event.Event)
	if err := t.parser.Parse(line, e); err != nil {
		t.refused(err, offset)
		return nil
	}
	e.Tap, e.Seq = src.tap, uint64(offset)+1
	e.ID = event.NewID(e.Tap, e.Seq)
	if err := emit(ctx, e); err != nil {
		return fmt.Errorf("emit event of access log: %w", err)
	}
	return nil
}

func (t *Tap) refused(err error, offset int64) {
	reason := BadFormat
	var r *Refusal
	if errors.As(err, &r) {
		reason = r.Reason
	}
	t.m.refused.WithLabelValues(string(reason)).Inc()
	if reason == Empty || time.Since(t.warned) < time.Minute {
		return
	}
	t.warned = time.Now()
	t.log.Warn("access log line refused, at most one a minute is shown", "path", t.cfg.Path, "offset", offset,
		"format", t.cfg.Format, "reason", strings.ToValidUTF8(err.Error(), "?"))
}

type metrics struct {
	lines    prometheus.Counter
	refused  *prometheus.CounterVec
	lost     prometheus.Counter
	failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lines: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_accesslog_lines_total",
			Help: "Lines read from access logs."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_collector_accesslog_refused_total",
			Help: "Lines that were no access record, by reason."}, []string{"reason"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_accesslog_lost_files_total",
			Help: "Rotated files with unread lines that could not be found any more."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_accesslog_failures_total",
			Help: "Times that a followed log could not be read; it is tried again."}),
	}
	if reg == nil {
		return m, nil
	}
	var err error
	if m.lines, err = registered(reg, m.lines); err != nil {
		return nil, err
	}
	if m.refused, err = registered(reg, m.refused); err != nil {
		return nil, err
	}
	if m.lost, err = registered(reg, m.lost); err != nil {
		return nil, err
	}
	m.failures, err = registered(reg, m.failures)
	return m, err
}

// registered returns c, or the collector of the same name that another tap has registered.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	if same := (prometheus.AlreadyRegisteredError{}); errors.As(err, &same) {
		if old, ok := same.ExistingCollector.(C); ok {
			return old, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("register access-log metrics: %w", err)
	}
	return c, nil
}
