package proof

import (
	"sort"
	"time"
)

// What is remembered of the decisions topic: one mark for 100 ms, those of the last ten minutes.
const (
	markEvery = 100 * time.Millisecond
	markKeep  = 10 * time.Minute
	maxMarks  = int(markKeep / markEvery)
)

// topic knows when the newest records of the decisions topic were written.
type topic struct {
	head  int64  // the newest record's offset; -1 before the first
	marks []mark // oldest first
}

// mark stands for the records up to the offset and above the mark before.
type mark struct {
	offset      int64
	first, last time.Time // when the first and the last of them were written
}

// wrote notes a record. Repeats change nothing.
func (t *topic) wrote(offset int64, at time.Time) {
	if offset <= t.head {
		return
	}
	t.head = offset
	if n := len(t.marks); n > 0 && at.Sub(t.marks[n-1].first) < markEvery {
		m := &t.marks[n-1]
		m.offset = offset
		if at.After(m.last) {
			m.last = at
		}
		return
	}
	if len(t.marks) == maxMarks {
		t.marks = t.marks[:copy(t.marks, t.marks[maxMarks/10:])]
	}
	t.marks = append(t.marks, mark{offset, at, at})
}

// after returns the index of the mark that holds the first record above the offset.
func (t *topic) after(offset int64) int {
	return sort.Search(len(t.marks), func(i int) bool { return t.marks[i].offset > offset })
}

// waiting returns since when a record above the offset waits, at most 100 ms too late; ok is false when none does. What was written before
// the oldest mark has its time.
func (t *topic) waiting(offset int64) (since time.Time, ok bool) {
	i := t.after(offset)
	if i == len(t.marks) {
		return time.Time{}, false
	}
	return t.marks[i].last, true
}
