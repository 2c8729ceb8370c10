package app_test

import (
	"os"
	"testing"

	"github.com/warder/warder/internal/engine"
)

// TestMain lets the test binary be the embedded engine's child process.
func TestMain(m *testing.M) {
	engine.MaybeServeChild()
	os.Exit(m.Run())
}
