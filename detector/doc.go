// Package detector turns events into alerts: it matches rules, keeps their windows per group in event time, and suppresses
// what was already said.
//
// The package is pure. It reads no clock, no file and no network; what comes out is a function of what went in, in order.
// That is what makes an alert's id the same live, after a crash and in a backtest. Packages stage (the bus) and offline (log
// files) put it to work; docs/detection.md describes the behaviour for those who operate it.
//
// A [Shard] is owned by one goroutine. Its state moves with [Shard.Snapshot] and [Shard.Restore].
package detector
