//go:build !linux

package chdb

// savedSignals does nothing here: a fault in Go code after the engine has replaced the handlers ends this process, which is a
// child that its supervisor starts again.
type savedSignals struct{}

func saveSignals() savedSignals { return savedSignals{} }

func (savedSignals) restore() {}
