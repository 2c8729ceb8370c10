package engine

import (
	"os"
	"strconv"
	"syscall"

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

// onlyWhenIdle lets this process run only where nobody else wants to (SCHED_IDLE, sched(7)): whoever wakes up preempts it at once. Threads that
// start later inherit it. A refusal changes nothing that matters.
func onlyWhenIdle() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
		}
	}
}
