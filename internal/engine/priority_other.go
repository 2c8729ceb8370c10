//go:build !linux

package engine

// yieldToParent does nothing here.
func yieldToParent() {}

// onlyWhenIdle does nothing here.
func onlyWhenIdle() {}
