//go:build integration

package realtest

import (
	"net"
	"sync"
)

// hang puts a listener in the place of the stopped Warder that accepts, and reads and answers nothing, until end.
func (w *Warder) hang() (end func()) {
	w.t.Helper()
	l, err := net.Listen("tcp", w.listen)
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	})
	end = sync.OnceFunc(func() {
		_ = l.Close()
		wg.Wait()
	})
	w.t.Cleanup(end)
	return end
}
