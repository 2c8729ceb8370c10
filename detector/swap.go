package detector

import "github.com/warder/warder/rules"

// Swap returns a shard that goes on from here with another set of rules: clocks, losses and counts stay, and so do the windows of
// every rule whose id and version are in both sets, whatever its mode, answers and texts are now. The windows of the other rules
// are gone. The old shard must not be used any more.
//
// The state takes the way that it takes to another process: it is written down and read again. That costs about as much time as a
// checkpoint, and there is only one account of what belongs to a rule.
func (s *Shard) Swap(set *rules.Set) (*Shard, error) {
	next := NewShard(set, s.cfg)
	if err := next.Restore(s.Snapshot(nil)); err != nil {
		return nil, err
	}
	next.stats = s.stats
	return next, nil
}
