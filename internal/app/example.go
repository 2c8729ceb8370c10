package app

import _ "embed"

// Example is the commented configuration that `warder init` writes. Every value in it is the default unless it is in a comment.
//
//go:embed warder.example.yaml
var Example string
