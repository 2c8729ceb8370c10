//go:build !linux

package openloop

import "time"

func pause(d time.Duration) { time.Sleep(d) }
