//go:build !linux

package engine

// yieldToParent does nothing here.
func yieldToParent() {}

// yieldAlways does nothing here.
func yieldAlways() {}
