package crowdsec

import (
	"bufio"
	"encoding/json"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/warder/warder/internal/decision"
)

// item is a decision as bouncers read it.
type item struct {
	Duration string `json:"duration"`
	ID       int64  `json:"id"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	UUID     string `json:"uuid"`
	Value    string `json:"value"`
}

func itemOf(e *entry, duration string) item {
	return item{Duration: duration, ID: number(e.d.ID), Origin: origin, Scenario: scenario(e.d), Scope: e.scope, Type: e.kind,
		UUID: uuid(e.d.ID), Value: e.value}
}

// number is a decision's number: the same at every instance and after a restart, above 0 and exact as a double.
func number(id string) int64 { return int64(xxhash.Sum64String(id)>>12) | 1 }

// uuid writes the id of 32 digits as bouncers expect it; any other stays as it is.
func uuid(id string) string {
	if len(id) != 32 {
		return id
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// remaining is the decision's time that is left in whole seconds, which some bouncers insist on; false when it is over.
func remaining(d *decision.Decision, now time.Time) (string, bool) {
	left := d.Expires.Sub(now)
	if left <= 0 {
		return "", false
	}
	return max(left.Truncate(time.Second), time.Second).String(), true
}

// writeStream writes the answer of /v1/decisions/stream as it goes: nothing of a million entries is kept in JSON.
func writeStream(w *bufio.Writer, fresh, gone []*entry, now time.Time) error {
	_, _ = w.WriteString(`{"new":[`)
	if err := writeItems(w, fresh, func(e *entry) (string, bool) { return remaining(e.d, now) }); err != nil {
		return err
	}
	_, _ = w.WriteString(`],"deleted":[`)
	if err := writeItems(w, gone, func(*entry) (string, bool) { return "-1s", true }); err != nil {
		return err
	}
	_, _ = w.WriteString("]}")
	return w.Flush() // an error of the writes before is told here
}

// writeList writes the answer of /v1/decisions: null when there is nothing, because some bouncers stumble over an empty array.
func writeList(w *bufio.Writer, all []*entry, now time.Time) error {
	live := all[:0:0]
	for _, e := range all {
		if _, ok := remaining(e.d, now); ok {
			live = append(live, e)
		}
	}
	if len(live) == 0 {
		_, _ = w.WriteString("null")
		return w.Flush()
	}
	_ = w.WriteByte('[')
	if err := writeItems(w, live, func(e *entry) (string, bool) { return remaining(e.d, now) }); err != nil {
		return err
	}
	_ = w.WriteByte(']')
	return w.Flush()
}

func writeItems(w *bufio.Writer, all []*entry, duration func(*entry) (string, bool)) error {
	sep := ""
	for _, e := range all {
		d, ok := duration(e)
		if !ok {
			continue
		}
		b, err := json.Marshal(itemOf(e, d))
		if err != nil {
			return err
		}
		_, _ = w.WriteString(sep)
		if _, err := w.Write(b); err != nil {
			return err
		}
		sep = ","
	}
	return nil
}
