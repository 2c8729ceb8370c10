package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// childSpec is what a child is told, as one line of JSON on its standard input. The pipe stays open behind it: its end tells
// the child that the parent is gone.
type childSpec struct {
	Kind       kind   `json:"kind"`
	Path       string `json:"path"` // of the binary or the library
	Dir        string `json:"dir"`
	Addr       string `json:"addr"` // to listen on; a library's child is handed the socket as file 3
	User       string `json:"user"`
	Password   string `json:"password"`
	Memory     int64  `json:"memory"`
	Concurrent int    `json:"concurrent"`
	Yield      bool   `json:"yield"` // run when nobody else wants to, as long as it does not starve
}

// childReport is what a child says, once, as one line of JSON on its standard output.
type childReport struct {
	Version string `json:"version,omitempty"`
	Error   string `json:"error,omitempty"`
}

// process is a child from start to end. It is owned by one goroutine; exited may be waited for by any.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	report  chan childReport // one value, or closed without one
	output  *outputLog
	exited  chan struct{} // closed when the child is gone
	version string
}

// startProcess runs this program again as an engine's child. listener may be nil.
func startProcess(spec childSpec, listener *net.TCPListener, log *slog.Logger) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("embedded engine: find this program's own file: %w", err)
	}
	line, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("embedded engine: %w", err)
	}
	p := &process{
		cmd:    exec.Command(self, ChildCommand),
		report: make(chan childReport, 1),
		output: &outputLog{log: log},
		exited: make(chan struct{}),
	}
	p.cmd.Stderr = p.output
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt typed at the terminal is for the parent, which stops the child last
	if listener != nil {
		f, err := listener.File()
		if err != nil {
			return nil, fmt.Errorf("embedded engine: hand over the socket: %w", err)
		}
		defer func() { _ = f.Close() }()
		p.cmd.ExtraFiles = []*os.File{f}
	}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("embedded engine: %w", err)
	}
	p.stdin = stdin
	p.cmd.Stdout = &reportReader{to: p.report}
	if err = p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("embedded engine: start: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells
		close(p.exited)
	}()
	if _, err = stdin.Write(append(line, '\n')); err != nil {
		p.end(0)
		return nil, fmt.Errorf("embedded engine: it ended at once: %s", p.output.tail())
	}
	return p, nil
}

// ready waits for the child's report.
func (p *process) ready(ctx context.Context) error {
	select {
	case r := <-p.report:
		return p.accept(r)
	case <-p.exited:
		select {
		case r := <-p.report:
			return p.accept(r)
		default:
		}
		return fmt.Errorf("it ended while starting (%s): %s", p.state(), p.output.tail())
	case <-ctx.Done():
		return fmt.Errorf("it did not answer in time: %w", ctx.Err())
	}
}

func (p *process) accept(r childReport) error {
	if r.Error != "" {
		return errors.New(r.Error)
	}
	p.version = r.Version
	return nil
}

// end asks the child to stop, kills it when it has not within the grace period, and waits until it is gone.
func (p *process) end(grace time.Duration) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.exited:
		case <-timer.C:
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	_ = p.stdin.Close()
}

// state says how the child ended. Only valid once it is gone.
func (p *process) state() string {
	if p.cmd.ProcessState == nil {
		return "unknown"
	}
	return p.cmd.ProcessState.String()
}

// reportReader takes the first line of a child's standard output as its report and drops the rest.
type reportReader struct {
	to  chan<- childReport
	buf []byte
}

const maxReport = 16 << 10

// Write implements io.Writer.
func (r *reportReader) Write(b []byte) (int, error) {
	if r.to == nil {
		return len(b), nil
	}
	r.buf = append(r.buf, b...)
	i := strings.IndexByte(string(r.buf), '\n')
	if i < 0 && len(r.buf) < maxReport {
		return len(b), nil
	}
	if i < 0 {
		i = len(r.buf)
	}
	var report childReport
	if err := json.Unmarshal(r.buf[:i], &report); err != nil {
		report.Error = "it reported something that cannot be read"
	}
	r.to <- report
	r.to, r.buf = nil, nil
	return len(b), nil
}

// outputLog logs what a child writes to its standard error, line by line, and keeps the last lines for an error's text.
type outputLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	part []byte
	last []string
}

// Bounds of what is kept of a child's output.
const (
	maxLine  = 1 << 10
	maxLines = 8
)

// Write implements io.Writer.
func (o *outputLog) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sc := bufio.NewScanner(strings.NewReader(string(o.part) + string(b)))
	sc.Buffer(nil, 1<<20)
	complete := len(b) > 0 && b[len(b)-1] == '\n'
	var lines []string
	for sc.Scan() {
		lines = append(lines, sc.Text())
	}
	o.part = nil
	if !complete && len(lines) > 0 {
		o.part = []byte(cutLine(lines[len(lines)-1]))
		lines = lines[:len(lines)-1]
	}
	for _, l := range lines {
		if l = cutLine(strings.TrimSpace(l)); l == "" {
			continue
		}
		o.log.Debug("embedded store engine", "says", l)
		o.last = append(o.last, l)
		if len(o.last) > maxLines {
			o.last = o.last[1:]
		}
	}
	return len(b), nil
}

func cutLine(l string) string { return l[:min(len(l), maxLine)] }

// tail returns the last lines.
func (o *outputLog) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return "it said nothing"
	}
	return strings.Join(o.last, " | ")
}
