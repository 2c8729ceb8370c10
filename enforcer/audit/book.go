package audit

import (
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
)

// book is what a chain says so far: everything that the next entry depends on. The stage's mutex guards it.
type book struct {
	chain  ledger.Chain
	next   int64           // offset behind the last record told of
	joined map[string]bool // fingerprints
	lost   bool            // the start of this process's key does not count: another owner's entry was faster
	facts
}

// facts are the newest entries of what the topics hold: bounded by what they hold after compaction.
type facts struct {
	decisions map[string]*ledger.Entry // by entity and action
	gateways  map[string]*ledger.Entry
}

func newBook() *book {
	return &book{joined: map[string]bool{}, facts: facts{map[string]*ledger.Entry{}, map[string]*ledger.Entry{}}}
}

// take lets an entry count.
func (b *book) take(e *ledger.Entry) {
	switch e.Kind {
	case ledger.Start:
		b.joined[e.Key] = true
	case ledger.Reset:
		b.next = 0
	}
	if e.Source != nil {
		b.next = e.Source.Offset + 1
	}
	b.facts.take(e)
}

func (f *facts) take(e *ledger.Entry) {
	key := entityKey(e.Action, e.Entity)
	switch old := f.decisions[key]; {
	case e.Kind == ledger.Forgotten:
		delete(f.gateways, e.Gateway.Gateway)
	case e.Gateway != nil:
		f.gateways[e.Gateway.Gateway] = e
	case e.Kind == ledger.Removed:
		delete(f.decisions, key)
	case e.Kind == ledger.Expired && old != nil && old.Decision != e.Decision:
		// The late end of an earlier decision says nothing about the one in force; see decision.Replaces.
	case e.Entity != "":
		f.decisions[key] = e
	}
}

func entityKey(a decision.Action, entity string) string { return string(a) + "|" + entity }

// draft is a book as it will be once some entries that are not written yet count.
type draft struct {
	book *book
	over facts // its entries take the place of the book's; nil: forgotten
}

func (b *book) draft() *draft {
	return &draft{b, facts{map[string]*ledger.Entry{}, map[string]*ledger.Entry{}}}
}

// take lets an entry count in the draft.
func (d *draft) take(e *ledger.Entry) {
	if old := d.decision(e.Action, e.Entity); old != nil && e.Entity != "" {
		d.over.decisions[entityKey(e.Action, e.Entity)] = old
	}
	d.over.take(e)
	switch e.Kind {
	case ledger.Removed:
		d.over.decisions[entityKey(e.Action, e.Entity)] = nil
	case ledger.Forgotten:
		d.over.gateways[e.Gateway.Gateway] = nil
	}
}

func (d *draft) decision(a decision.Action, entity string) *ledger.Entry {
	return over(d.over.decisions, d.book.decisions, entityKey(a, entity))
}

func (d *draft) gateway(name string) *ledger.Entry {
	return over(d.over.gateways, d.book.gateways, name)
}

func over(upper, lower map[string]*ledger.Entry, key string) *ledger.Entry {
	if e, ok := upper[key]; ok {
		return e
	}
	return lower[key]
}

// watermark returns a gateway's watermark for an entry.
func watermark(old *ledger.Entry) *int64 {
	from := int64(-1)
	if old != nil {
		from = old.Gateway.Offset
	}
	return &from
}
