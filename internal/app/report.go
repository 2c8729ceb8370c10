package app

import (
	"context"
	"os"
	"strings"

	"github.com/warder/warder/internal/bus"
)

// report writes a record of the telemetry topic.
func (a *App) report(ctx context.Context, key, value []byte) error {
	return a.bus.Produce(ctx, bus.Record{Topic: bus.TopicTelemetry, Partition: bus.AnyPartition, Key: key, Value: value})
}

// instance names the process on the dashboards: its host, and the roles that it runs.
func instance(roles []Role) string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	if len(roles) == len(Roles()) {
		return host + "/up"
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return host + "/" + strings.Join(names, "+")
}
