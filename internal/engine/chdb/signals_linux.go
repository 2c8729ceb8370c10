package chdb

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is the kernel's struct sigaction on amd64 and arm64.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// savedSignals are the handlers that the Go runtime had installed before the library was loaded.
//
// The engine replaces the handlers below when it starts. Left so, a nil dereference in Go code, which the runtime turns into a
// panic, hangs the process instead; and asking the engine not to (chdb_set_signal_handlers_enabled) sets them to the default,
// which kills it. So they are put back after each call that may have changed them.
type savedSignals map[unix.Signal]action

// replaced lists the signals whose handlers the engine replaces.
func replaced() []unix.Signal {
	return []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGTSTP, unix.SIGSYS}
}

func saveSignals() savedSignals {
	saved := make(savedSignals)
	for _, s := range replaced() {
		var a action
		sigaction(s, nil, &a)
		saved[s] = a
	}
	return saved
}

func (saved savedSignals) restore() {
	for s, want := range saved {
		var now action
		if sigaction(s, nil, &now); now.handler != want.handler {
			sigaction(s, &want, nil)
		}
	}
}

// sigaction cannot fail for these signals and well-formed pointers.
func sigaction(s unix.Signal, set, get *action) {
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 8, 0, 0)
}
