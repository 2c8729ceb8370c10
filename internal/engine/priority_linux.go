package engine

import "syscall"

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
