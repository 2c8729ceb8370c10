package dashboards

import (
	"os"
	"path/filepath"
)

// File is the name of a board's file.
func File(b Board) string { return b.UID + ".json" }

// Write writes every board into a folder, which is made when it is not there, and removes JSON files of boards that are no more.
func Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, b := range Boards() {
		data, err := Encode(b)
		if err != nil {
			return err
		}
		if err = os.WriteFile(filepath.Join(dir, File(b)), data, 0o644); err != nil {
			return err
		}
		keep[File(b)] = true
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if !keep[filepath.Base(name)] {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
