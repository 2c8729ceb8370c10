package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// ReadEvents reads events that somebody wants explained: in the form of a fixture (see [rules.ReadFixture]), where an object may also
// stand on several lines or in a list; as rows of the store, whose columns are the fields' names with "_" for "."; or as alerts, of
// which the sample is taken, so that only what the sample holds is known. At most rules.MaxFile bytes.
func ReadEvents(r io.Reader) ([]*event.Event, error) {
	b, err := io.ReadAll(io.LimitReader(r, rules.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if len(b) > rules.MaxFile {
		return nil, fmt.Errorf("more than %d bytes of events", rules.MaxFile)
	}
	text := blankComments(b)
	var out bytes.Buffer // one object a line, on the line that it begins on where that is possible
	lines := 0           // in out
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		from := min(int(d.InputOffset()), len(text))
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		from += len(text[from:]) - len(bytes.TrimLeft(text[from:], " \t\r\n"))
		line := 1 + bytes.Count(text[:from], []byte("\n")) // where the value begins
		if err != nil {
			return nil, fmt.Errorf("line %d: want JSON objects: %w", line, err)
		}
		for ; lines < line-1; lines++ {
			out.WriteByte('\n')
		}
		objects, err := objects(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		for _, o := range objects {
			out.Write(append(o, '\n'))
			lines++
		}
	}
	events, err := rules.ReadFixture(&out)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, errors.New("no event in it")
	}
	return events, nil
}

// blankComments empties the lines that begin with # or //, so that the others keep their numbers.
func blankComments(b []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		start := bytes.TrimSpace(line)
		if bytes.HasPrefix(start, []byte("#")) || bytes.HasPrefix(start, []byte("//")) {
			out.WriteByte('\n')
			continue
		}
		out.Write(line)
	}
	return out.Bytes()
}

// objects returns the JSON object, or those of a list, as lines of a fixture.
func objects(raw json.RawMessage) ([][]byte, error) {
	list := []json.RawMessage{raw}
	if bytes.HasPrefix(raw, []byte("[")) {
		list = nil
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
	}
	var out [][]byte
	for _, o := range list {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(o, &m); err != nil {
			return nil, errors.New("want a JSON object, or a list of them")
		}
		b, err := json.Marshal(renamed(m))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// renamed gives the keys of a store's row or an alert their names in fixtures.
func renamed(m map[string]json.RawMessage) map[string]json.RawMessage {
	if sample, ok := m["sample"]; ok && m["rule_version"] != nil {
		return sampled(sample, m["time"])
	}
	names := map[string]string{}
	for _, n := range rules.FieldNames() {
		names[strings.ReplaceAll(n, ".", "_")] = n
	}
	out := map[string]json.RawMessage{}
	for k, v := range m {
		if n, ok := names[k]; ok {
			k = n
		}
		out[k] = v
	}
	return out
}

// sampled is the event that an alert's sample shows.
func sampled(sample, at json.RawMessage) map[string]json.RawMessage {
	var s map[string]json.RawMessage
	if json.Unmarshal(sample, &s) != nil {
		return nil
	}
	out := map[string]json.RawMessage{}
	for from, to := range map[string]string{"method": "request.method", "host": "request.host", "path": "request.path", "query": "request.query",
		"code": "response.code", "user_agent": "request.useragent", "address": "source.address", "principal": "principal.id"} {
		if v, ok := s[from]; ok {
			out[to] = v
		}
	}
	if at != nil {
		out["time"] = at
	}
	return out
}
