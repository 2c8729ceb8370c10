// Package receivers holds small local stand-ins for the places that sinks send to: a mail server, Slack, a webhook endpoint and a
// syslog receiver. They check what arrives as strictly as the real ones do and keep it. Tests and `warder demo` use them; they
// listen on loopback only.
package receivers

import (
	"fmt"
	"net"
	"slices"
	"sync"
)

// maxKept bounds the messages that a receiver keeps; the oldest go first. Distinct ids are counted beyond it.
const maxKept = 10_000

// maxMessage bounds one message, in bytes.
const maxMessage = 8 << 20

// Fault is how a receiver misbehaves.
type Fault int

// The faults.
const (
	Healthy   Fault = iota
	Temporary       // refuses so that the sender should try again
	Permanent       // refuses for good
	Hanging         // takes the message and does not answer until the fault changes
)

// Message is one message as it arrived, and the ids of the alerts in it.
type Message struct {
	Alerts []string
	Header map[string][]string
	Body   []byte
}

// journal keeps what arrived. It is safe for concurrent use.
type journal struct {
	mu       sync.Mutex
	messages []Message
	ids      map[string]int
	fault    Fault
	changed  chan struct{} // closed when the fault changes or the receiver closes
	problems []string
}

func newJournal() *journal {
	return &journal{ids: make(map[string]int), changed: make(chan struct{})}
}

func (j *journal) add(m Message) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.messages) == maxKept {
		j.messages = j.messages[1:]
	}
	j.messages = append(j.messages, m)
	for _, id := range m.Alerts {
		j.ids[id]++
	}
}

func (j *journal) problem(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.problems) < maxKept {
		j.problems = append(j.problems, fmt.Sprintf(format, args...))
	}
}

// Count returns how many distinct alerts arrived.
func (j *journal) Count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.ids)
}

// Repeats returns how many times an alert arrived that had arrived before.
func (j *journal) Repeats() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, times := range j.ids {
		n += times - 1
	}
	return n
}

// Messages returns what arrived, oldest first.
func (j *journal) Messages() []Message {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.messages)
}

// Problems returns what was wrong with what arrived: a bad signature, broken framing, markup that the real receiver refuses.
func (j *journal) Problems() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.problems)
}

// SetFault makes the receiver misbehave from now on; Healthy ends it.
func (j *journal) SetFault(f Fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fault = f
	close(j.changed)
	j.changed = make(chan struct{})
}

// current returns the fault, after waiting while it is Hanging or until done is closed.
func (j *journal) current(done <-chan struct{}) Fault {
	for {
		j.mu.Lock()
		f, changed := j.fault, j.changed
		j.mu.Unlock()
		if f != Hanging {
			return f
		}
		select {
		case <-changed:
		case <-done:
			return Temporary
		}
	}
}

func listen() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return l, nil
}
