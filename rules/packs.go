package rules

import (
	"embed"
	"io/fs"
)

//go:embed packs
var packs embed.FS

// Packs returns the shipped rules with their fixtures.
func Packs() fs.FS {
	sub, err := fs.Sub(packs, "packs")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}
