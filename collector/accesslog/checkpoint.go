package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkpoint is the state file: how far each file of the log was read.
type checkpoint struct {
	Version int              `json:"v"`
	Path    string           `json:"path"`
	Offsets map[string]int64 `json:"offsets"` // by tap
}

func (f *follower) load() (map[string]int64, error) {
	if f.state == "" {
		return nil, nil
	}
	b, err := os.ReadFile(f.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("access log checkpoint: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(b, &c); err != nil || c.Version != 1 {
		return nil, fmt.Errorf("access log checkpoint %s is damaged: remove it to begin at %q again", f.state, f.t.cfg.From)
	}
	f.saved = string(b)
	return c.Offsets, nil
}

// save writes the checkpoint when it has changed. Everything in front of an offset has been emitted.
func (f *follower) save() error {
	if f.state == "" {
		return nil
	}
	c := checkpoint{1, f.t.cfg.Path, map[string]int64{}}
	for _, s := range append(f.old[:len(f.old):len(f.old)], f.current) {
		if s != nil && s.tap != "" {
			c.Offsets[s.tap] = s.offset
		}
	}
	b, err := json.Marshal(c)
	if err != nil || string(b) == f.saved {
		return err
	}
	if err := os.MkdirAll(f.t.cfg.State, 0o700); err != nil {
		return fmt.Errorf("access log checkpoint: %w", err)
	}
	tmp := f.state + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("access log checkpoint: %w", err)
	}
	if err := os.Rename(tmp, f.state); err != nil {
		return fmt.Errorf("access log checkpoint: %w", err)
	}
	f.saved = string(b)
	return nil
}
