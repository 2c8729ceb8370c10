package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// maxLine bounds one event of a stream, in bytes; a bounded event's JSON form is far shorter.
const maxLine = 1 << 20

// errStranger is the error of a stream that begins with something else than an event: a log-in page of a proxy, say.
var errStranger = errors.New("the answer is not one of the API's")

// lastLine is the line that ends a stream.
type lastLine struct {
	Summary *history.Summary `json:"summary"`
	Error   *struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	} `json:"error"`
}

// decodeStream reads what GET /api/v1/events answers: events, a line each, and a last line with the summary or an error. It is an error
// when that line is missing: the events may not be all.
func decodeStream(r io.Reader, fn func(*event.Event) error) (history.Summary, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		b := bytes.TrimSpace(lines.Bytes())
		if bytes.HasPrefix(b, []byte(`{"summary":`)) || bytes.HasPrefix(b, []byte(`{"error":`)) {
			return end(b, n)
		}
		e := new(event.Event)
		if err := json.Unmarshal(b, e); err != nil || e.ID.IsZero() {
			if n == 1 {
				return history.Summary{}, errStranger
			}
			return history.Summary{}, fmt.Errorf("line %d of the API's answer is no event: a proxy in between may have changed it", n)
		}
		if err := fn(e); err != nil {
			return history.Summary{}, err
		}
	}
	err := lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return history.Summary{}, fmt.Errorf("a line of the API's answer is longer than %d KiB", maxLine>>10)
	case err == nil:
		err = errors.New("there is no summary at its end, so events may be missing; ask again, or about a shorter span")
	}
	return history.Summary{}, &brokenError{err}
}

func end(b []byte, n int) (history.Summary, error) {
	var l lastLine
	switch err := json.Unmarshal(b, &l); {
	case err != nil || l.Summary == nil && l.Error == nil:
		return history.Summary{}, fmt.Errorf("line %d of the API's answer is no summary", n)
	case l.Error == nil:
		return *l.Summary, nil
	}
	text := l.Error.Detail
	if text == "" {
		text = l.Error.Title
	}
	err := errors.New("the search ended early: " + console.Clean(text, 2000))
	switch {
	case strings.HasSuffix(l.Error.Type, "not_found"):
		return history.Summary{}, &meant{err, history.ErrNotFound}
	case strings.HasSuffix(l.Error.Type, "invalid"):
		return history.Summary{}, &meant{err, history.ErrQuestion}
	}
	return history.Summary{}, err
}
