//go:build integration

package app_test

import (
	"syscall"
	"testing"
	"time"
)

// A store that answers nothing for a whole minute and is dead then: as TestDeadStoreLosesNothing, for as long as timeouts and retries need to show.
func TestIntegrationStoreAwayForAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownEngine)
	<-r.app.Up()
	r.server = r.app.EngineConfig()
	r.closes("203.0.113.1")
	pid := r.app.EnginePID()
	r.signal(pid, syscall.SIGSTOP)
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for began := time.Now(); time.Since(began) < time.Minute; <-pace.C {
		r.serves(20)
	}
	r.closes("203.0.113.2")
	r.signal(pid, syscall.SIGKILL)
	r.wait("the engine's next life", func() bool { now := r.app.EnginePID(); return now != 0 && now != pid })
	r.stored()
	r.rolledUp()
}
