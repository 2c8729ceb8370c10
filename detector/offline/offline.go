// Package offline detects in log files, without a bus or a server: the engine behind `warder detect`.
//
// Lines are parsed and matched by as many goroutines as there are cores, in chunks; windows are kept by one, in the order of the
// input. So the alerts are the same, byte for byte, whatever the number of workers, and they come out in the order of the
// lines that raised them.
package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Limits.
const (
	// MaxLine is the longest line that is looked at, in bytes; a longer one is refused.
	MaxLine = 1 << 20
	// MaxSamples is how many refused lines the summary shows.
	MaxSamples = 5
	// chunkSize is how much of the input one goroutine takes at a time.
	chunkSize = 256 << 10
	// sampleLines is how many lines Format sees.
	sampleLines = 64
	// shownText bounds what is shown of a refused line.
	shownText = 120
)

// Parse reads one line, without its end, into a zeroed event. It is called by one goroutine and must not keep the line.
type Parse func(line []byte, e *event.Event) error

// Options say what to read, with which rules, and where alerts go.
type Options struct {
	// Inputs are files, plain or compressed with gzip or zstd (told by their content), or "-" for Stdin. They are read one after
	// the other.
	Inputs []string
	Stdin  io.Reader
	// Format is called once for each input with its first lines, at most 64. It returns what makes a Parse; each goroutine
	// makes its own.
	Format func(input string, sample [][]byte) (func() (Parse, error), error)
	Set    *rules.Set
	// Memory bounds the windows; the zero value is DefaultMemory.
	Memory detector.Config
	// Workers is how many goroutines parse and match; 0 is one for each core.
	Workers int
	// Progress, if set, is told from time to time how many bytes of how many were read; total is -1 when it is not known. It is
	// called by one goroutine.
	Progress func(done, total int64)
	// Out takes the alerts, from one goroutine. An error ends the run.
	Out func(*alert.Alert) error
}

// DefaultMemory bounds the windows of a run, so that a log of any length stays below 300 MB in all.
func DefaultMemory() detector.Config {
	c := detector.DefaultConfig()
	c.MaxEntities, c.MaxRuleEntities, c.MaxBytes = 500_000, 250_000, 96<<20
	return c
}

// Summary tells what a run did.
type Summary struct {
	Lines          uint64         `json:"lines"`   // read, blank and refused ones included
	Refused        uint64         `json:"refused"` // lines that are no access record
	Samples        []RefusedLine  `json:"refused_samples,omitempty"`
	Seconds        float64        `json:"seconds"`
	LinesPerSecond float64        `json:"lines_per_second"`
	Alerts         map[string]int `json:"alerts"` // by rule
	// Detector has the counts of the windows: late events, evicted groups and so on.
	Detector detector.Stats `json:"detector"`
}

// RefusedLine is one line that did not parse.
type RefusedLine struct {
	Place string `json:"place"` // "file:line"
	Why   string `json:"why"`
	Text  string `json:"text"` // its beginning, quoted as in Go: nothing in it can steer a terminal
}

// Run reads all inputs. An input that cannot be opened, or breaks off, does not stop the others: the errors come back joined,
// after everything else was done, and the summary counts what was read.
func Run(ctx context.Context, o Options) (Summary, error) {
	start := time.Now()
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Memory.MaxEntities == 0 {
		o.Memory = DefaultMemory()
	}
	if err := o.Memory.Validate(); err != nil {
		return Summary{}, fmt.Errorf("detector memory: %w", err)
	}
	r := newRun(&o)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.read(ctx) })
	for range o.Workers {
		g.Go(func() error { return r.match(ctx) })
	}
	g.Go(func() error { return r.detect(ctx) })
	err := g.Wait()
	s := r.summary
	s.Seconds = time.Since(start).Seconds()
	s.LinesPerSecond = float64(s.Lines) / max(s.Seconds, 1e-9)
	events := s.Detector.Events
	s.Detector = r.shard.Stats()
	s.Detector.Events = events
	return s, errors.Join(err, errors.Join(r.broken...))
}

// run is the state of one Run. Chunks go round: free → read → work and order → free.
type run struct {
	*Options
	free  chan *chunk // to be filled
	work  chan *chunk // to be matched, by any worker
	order chan *chunk // the same ones in input order, for detection
	shard *detector.Shard
	timed bool // a rule can alert because time passes: all lines tell the shard theirs

	broken  []error // inputs that could not be read to their end; the reader's
	summary Summary // the detecting goroutine's
}

func newRun(o *Options) *run {
	chunks := 2*o.Workers + 2
	r := &run{Options: o, free: make(chan *chunk, chunks), work: make(chan *chunk, chunks), order: make(chan *chunk, chunks),
		shard: detector.NewShard(o.Set, o.Memory), timed: o.Set.Timed(), summary: Summary{Alerts: map[string]int{}}}
	for range chunks {
		r.free <- &chunk{buf: make([]byte, 0, chunkSize), done: make(chan struct{}, 1)}
	}
	return r
}

// chunk is a number of whole lines of one input, and what came of them.
type chunk struct {
	in    *input
	first uint64 // number of the first line, from 1
	buf   []byte
	huge  bool // instead of lines: the beginning of one that was too long
	blank bool // blank lines before the first record
	done  chan struct{}

	lines   uint64
	parsed  uint64
	refused uint64
	samples []RefusedLine
	hits    []hit
	matches []rules.Match
	memory  rules.Memory // of the matches
	failed  int          // failures so far
}

// hit is a line that rules matched or failed on, or whose time somebody waits for.
type hit struct {
	record      uint64 // which of the chunk's records it is, from 1
	failuresEnd int    // its failures end here
	time        time.Time
	seq         uint64
	line        [2]int // in buf
	matchesEnd  int    // its matches end here, and begin where those of the hit before end
}

func (c *chunk) reset(in *input, first uint64) {
	clear(c.matches) // they hold on to texts
	c.memory.Reset()
	c.in, c.first, c.huge, c.blank, c.lines, c.parsed, c.refused, c.failed = in, first, false, false, 0, 0, 0, 0
	c.buf, c.samples, c.hits, c.matches = c.buf[:0], c.samples[:0], c.hits[:0], c.matches[:0]
}

// send hands a filled chunk on.
func (r *run) send(ctx context.Context, c *chunk) error {
	for _, ch := range []chan *chunk{r.work, r.order} {
		select {
		case ch <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
