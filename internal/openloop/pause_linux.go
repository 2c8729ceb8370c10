package openloop

import (
	"syscall"
	"time"
)

// pause sleeps in the system, which is exact to some ten microseconds. It may end early.
func pause(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // a signal may end it
}
