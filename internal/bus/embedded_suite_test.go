//go:build !integration

package bus_test

import (
	"testing"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
)

// TestEmbedded runs the conformance suite against the embedded broker. The same suite runs against a real Kafka with
// -tags integration.
func TestEmbedded(t *testing.T) {
	conformance(t, bustest.Broker(t, t.TempDir(), 0).ClientConfig(bus.DefaultConfig()))
}
