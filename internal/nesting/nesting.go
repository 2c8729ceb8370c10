// Package nesting notices YAML that is nested so deep that parsing it would take gigabytes: the parser keeps the whole path to
// each node, so that 100,000 brackets in a row, a file of 100 kB, need more memory than a machine has.
package nesting

import "github.com/goccy/go-yaml/token"

// TooDeep returns the token that is nested deeper than the limit, nil when there is none. Brackets, braces and the dashes and
// question marks of block collections count; keys that are only indented do not: each level takes a line that is longer than
// the one before, so that a file's size bounds them well enough.
func TooDeep(tokens token.Tokens, limit int) *token.Token {
	flow := 0
	var columns []int // of the open block collections
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0)
		case token.DocumentHeaderType, token.DocumentEndType:
			flow, columns = 0, columns[:0]
		case token.SequenceEntryType, token.MappingKeyType:
			for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, t.Position.Column)
		}
		if flow+len(columns) > limit {
			return t
		}
	}
	return nil
}
