package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// niceness is how much nicer than the rest of Warder the engine is: enough to let it go first when the processors are short.
const niceness = 10

// yieldToParent lowers the priority of this process, whose group is its own. What blocks an attacker does not wait for the
// store, and it should not wait for the processor behind it either. A refusal changes nothing that matters.
func yieldToParent() {
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0) // the kernel says 20 - nice
	if err != nil || syscall.Getpgrp() != syscall.Getpid() {
		return
	}
	// The group's members are this process's threads, of which each has a priority of its own.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, min(20-now+niceness, 19))
}

// setPolicy gives every thread of the engine the scheduling policy, SCHED_IDLE or SCHED_NORMAL (sched(7)). Threads that start later inherit
// it. Under SCHED_IDLE whoever else wakes up preempts it at once. A refusal changes nothing that matters.
func setPolicy(policy uint32) {
	nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return
	}
	for _, t := range threads() {
		if id, err := strconv.Atoi(filepath.Base(t)); err == nil {
			_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Nice: int32(20 - nice)}, 0)
		}
	}
}

// threads lists the folders in /proc of the threads of this process and of its children: a clickhouse binary is one.
func threads() []string {
	own, _ := filepath.Glob("/proc/self/task/*")
	all := own
	for _, t := range own {
		children, _ := os.ReadFile(filepath.Join(t, "children"))
		for _, pid := range strings.Fields(string(children)) {
			theirs, _ := filepath.Glob("/proc/" + pid + "/task/*")
			all = append(all, theirs...)
		}
	}
	return all
}

// turn is what threads got of the processors.
type turn struct{ ran, waited time.Duration }

// turns adds up what each thread got since the last look.
type turns map[string]turn

// look returns what all threads together got since the last look; the first look returns nothing.
func (t turns) look() turn {
	var sum turn
	first := len(t) == 0
	now := make(turns, len(t))
	for _, thread := range threads() {
		b, err := os.ReadFile(filepath.Join(thread, "schedstat"))
		if err != nil {
			continue // it has ended
		}
		got, err := parseSchedstat(string(b))
		if err != nil {
			continue
		}
		now[thread] = got
		sum.ran += got.ran - t[thread].ran
		sum.waited += got.waited - t[thread].waited
	}
	clear(t)
	for k, v := range now {
		t[k] = v
	}
	if first {
		return turn{}
	}
	return sum
}

// parseSchedstat reads /proc/PID/task/TID/schedstat: nanoseconds run, nanoseconds waited to run, turns (sched-stats of the kernel's documentation).
func parseSchedstat(s string) (turn, error) {
	var ran, waited int64
	if _, err := fmt.Sscan(s, &ran, &waited); err != nil {
		return turn{}, err
	}
	return turn{time.Duration(ran), time.Duration(waited)}, nil
}

// Times of governing.
const (
	lookEvery = time.Second
	relief    = 5 // looks for which a starved engine gets its share
)

// starving tells whether the engine wants to run and hardly ever may: it waits at least half of the time, and ten times as long as it runs.
func (t turn) starving() bool { return t.waited >= lookEvery/2 && t.waited >= 10*t.ran }

// govern lets the engine run only where nobody else wants to, and gives it its small share of a busy processor for a while when it would starve.
// It ends when tick does.
func govern(tick <-chan time.Time, look func() turn, set func(policy uint32)) {
	set(unix.SCHED_IDLE)
	left := 0
	for range tick {
		got := look()
		switch {
		case left == 0 && got.starving():
			left = relief
			set(unix.SCHED_NORMAL)
		case left > 0:
			if left--; left == 0 {
				set(unix.SCHED_IDLE)
			}
		}
	}
}

// yieldAlways governs for as long as the process lives.
func yieldAlways() { govern(time.Tick(lookEvery), make(turns).look, setPolicy) }
