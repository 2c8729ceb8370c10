package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Times of supervision.
const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 10 * time.Second
	steady       = time.Minute      // a child that ran for so long starts the backoff anew
	startTimeout = 90 * time.Second // loading a large data folder may take a while
	stopTimeout  = 15 * time.Second // from SIGTERM to SIGKILL
)

// begin starts the first child, waits until it answers, and leaves it to the supervisor.
func (e *Engine) begin(ctx context.Context) error {
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	p, err := e.launch(ctx)
	if err != nil {
		stop()
		return err
	}
	e.log.Info("embedded store engine started", "kind", e.kind, "version", p.version, "addr", e.addr, "pid", p.cmd.Process.Pid)
	go e.supervise(run, p)
	return nil
}

// launch starts a child and waits until it answers.
func (e *Engine) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := startProcess(e.spec, e.listener, e.log)
	if err != nil {
		return nil, err
	}
	if err = p.ready(ctx); err != nil {
		p.end(stopTimeout)
		return nil, fmt.Errorf("embedded engine (%s) in %s: %w", e.kind, e.spec.Dir, err)
	}
	e.pid.Store(int64(p.cmd.Process.Pid))
	return p, nil
}

// supervise keeps a child running until ctx ends. It owns the child.
func (e *Engine) supervise(ctx context.Context, p *process) {
	defer close(e.done)
	backoff := firstBackoff
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			p.end(stopTimeout)
			e.pid.Store(0)
			return
		case <-p.exited:
			e.pid.Store(0)
			p.end(0)
		}
		e.log.Error("embedded store engine died; starting it again", "why", p.state(), "output", p.output.tail())
		e.restarts.Inc()
		if time.Since(began) > steady {
			backoff = firstBackoff
		}
		var ok bool
		if p, ok = e.relaunch(ctx, &backoff); !ok {
			return
		}
	}
}

// relaunch tries until a child answers; ok is false when ctx ended first.
func (e *Engine) relaunch(ctx context.Context, backoff *time.Duration) (p *process, ok bool) {
	for {
		timer := time.NewTimer(*backoff + rand.N(*backoff/4))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, false
		case <-timer.C:
		}
		*backoff = min(2**backoff, maxBackoff)
		p, err := e.launch(ctx)
		switch {
		case err == nil:
			e.log.Info("embedded store engine is back", "pid", p.cmd.Process.Pid)
			return p, true
		case errors.Is(err, context.Canceled):
			return nil, false
		}
		e.log.Error("embedded store engine does not start; trying again", "err", err, "wait", *backoff)
	}
}
