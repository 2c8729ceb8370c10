package audit

import (
	"slices"
	"sync"

	"github.com/warder/warder/internal/decision/ledger"
)

// maxHistory is how many of the newest entries are kept for History.
const maxHistory = 10_000

// history holds the newest entries of both chains.
type history struct {
	mu   sync.Mutex
	ring []*ledger.Entry
	next int
}

func (h *history) add(e *ledger.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < maxHistory {
		h.ring = append(h.ring, e)
		return
	}
	h.ring[h.next] = e
	h.next = (h.next + 1) % maxHistory
}

// History returns what the newest 10,000 entries say of a decision: its own entries, and of each gateway the acknowledgement that first
// covers each of them; in the order of the ledger. Do not change them.
func (s *Stage) History(id string) []*ledger.Entry {
	h := s.history
	h.mu.Lock()
	all := slices.Concat(h.ring[h.next:], h.ring[:h.next])
	h.mu.Unlock()
	var offsets []int64
	for _, e := range all {
		if e.Decision == id && e.Source != nil {
			offsets = append(offsets, e.Source.Offset)
		}
	}
	return slices.DeleteFunc(all, func(e *ledger.Entry) bool { return e.Decision != id && !covers(e, offsets) })
}

// covers tells whether an acknowledgement moves the watermark over one of the offsets.
func covers(e *ledger.Entry, offsets []int64) bool {
	return e.Gateway != nil && e.From != nil && slices.ContainsFunc(offsets, func(at int64) bool { return *e.From < at && at <= e.Gateway.Offset })
}
