package syslog

import (
	"maps"
	"math"
	"slices"

	"github.com/warder/warder/internal/alert"
)

// pairList returns at most maxPairs of a map's names, in order.
func pairList[V any](m map[string]V) []string {
	names := slices.Sorted(maps.Keys(m))
	return names[:min(len(names), maxPairs)]
}

// cutAll cleans at most maxPairs texts.
func cutAll(list []string, text int) []string {
	var out []string
	for _, s := range list[:min(len(list), maxPairs)] {
		out = append(out, clean(s, text))
	}
	return out
}

// evidence returns the newest event ids, fewer of them the less room there is.
func evidence(a *alert.Alert, text int) []string {
	n := min(len(a.Events), text/64, alert.MaxEvents)
	out := make([]string, 0, n)
	for _, id := range a.Events[len(a.Events)-n:] {
		out = append(out, clean(id, 64))
	}
	return out
}

// finite makes a number fit for JSON, which has no infinities.
func finite(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 1):
		return math.MaxFloat64
	case math.IsInf(v, -1):
		return -math.MaxFloat64
	}
	return v
}
