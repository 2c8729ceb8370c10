package client

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

const summary = `{"summary":{"found":1}}` + "\n"

func line() string {
	b, _ := json.Marshal(&event.Event{ID: event.NewID("t", 1)})
	return string(b) + "\n"
}

func TestDecodeStream(t *testing.T) {
	for name, c := range map[string]struct{ in, err string }{
		"whole":      {line() + summary, ""},
		"cut":        {line(), "there is no summary at its end"},
		"no event":   {line() + "{}\n", "line 2 of the API's answer is no event"},
		"a page":     {"<!doctype html>\n<title>Log in</title>\n", "is not one of the API's"},
		"an error":   {line() + `{"error":{"type":"unavailable","detail":"took\u001b too long"}}`, `the search ended early: took\x1b too long`},
		"no summary": {`{"summary":7}`, "is no summary"},
		"too long":   {strings.Repeat("x", maxLine+1), "longer than 1024 KiB"},
	} {
		_, err := decodeStream(strings.NewReader(c.in), func(*event.Event) error { return nil })
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := decodeStream(strings.NewReader(`{"error":{"type":"invalid","detail":"x"}}`), nil)
	if !errors.Is(err, history.ErrQuestion) {
		t.Error(err)
	}
}

func TestPath(t *testing.T) {
	if got := path("entities", "principal", "a/b"); got != "entities/principal/a%2Fb" {
		t.Error(got)
	}
	if got := path("alerts", ".."); got != "alerts/%2E%2E" {
		t.Error(got)
	}
}

func FuzzDecodeStream(f *testing.F) {
	f.Add(line() + summary)
	f.Add(`{"error":{"type":"invalid"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = decodeStream(strings.NewReader(text), func(e *event.Event) error {
			if e.ID.IsZero() {
				t.Error("an event without an id")
			}
			return nil
		})
	})
}
