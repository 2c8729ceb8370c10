package chhttp

import (
	"strings"
)

// errFile answers a statement that would have the engine read or write a file by name. Table functions and engines that reach
// outside are refused by the engine itself, by missing grants; these two clauses are the client's part in ClickHouse, and
// the embedded engine carries them out without asking.
var errFile = exception(497, "ACCESS_DENIED", "INTO OUTFILE and FROM INFILE are off in the embedded engine.")

// statement is what must be known of an SQL text to run it as ClickHouse's HTTP interface would.
type statement struct {
	sql []byte
	// reads tells that the statement begins with SELECT or WITH: its output can be streamed.
	reads bool
	// format is what its FORMAT clause names, "" without one.
	format string
	// inline tells that data in format follows: the statement is INSERT ... FORMAT. Then head ends before FORMAT, settings is
	// where its SETTINGS clause begins (len(head) without one) and data is where the data begins.
	inline               bool
	head, settings, data int
}

// parse looks through the statement. It returns an error only for what is refused.
func parse(sql []byte) (statement, error) {
	st := statement{sql: sql}
	lex := lexer{sql: sql}
	var depth int
	var first, previous string
	insert := false
	for {
		t, ok := lex.next()
		if !ok {
			return st, nil
		}
		var word string
		switch t.kind {
		case openToken:
			depth++
		case closeToken:
			depth--
		case wordToken:
			word = strings.ToUpper(string(sql[t.start:t.end]))
		case otherToken:
		}
		if first == "" {
			first = word
			if first == "" {
				first = "?"
			}
			insert = first == "INSERT"
			st.reads = first == "SELECT" || first == "WITH"
		}
		if previous == "FROM" && word == "INFILE" || previous == "INTO" && word == "OUTFILE" {
			return st, errFile
		}
		previous = word
		if depth != 0 {
			continue
		}
		switch word {
		case "SELECT", "VALUES", "WATCH":
			insert = false
		case "SETTINGS":
			st.settings = t.start
		case "FORMAT":
			if st.clause(t, &lex, insert) {
				return st, nil
			}
		}
	}
}

// clause reads the word after FORMAT and tells whether inline data begins behind it.
func (st *statement) clause(format token, lex *lexer, insert bool) bool {
	after := *lex
	name, ok := after.next()
	if !ok || name.kind != wordToken {
		return false
	}
	*lex = after
	st.format = string(st.sql[name.start:name.end])
	if !insert || strings.EqualFold(st.format, "Values") {
		return false
	}
	st.inline = true
	st.head = format.start
	if st.settings == 0 {
		st.settings = st.head
	}
	st.data = skipBreak(st.sql, name.end)
	return true
}

// skipBreak returns where the data begins behind a format's name: blanks and one line break belong to the statement.
func skipBreak(sql []byte, pos int) int {
	for pos < len(sql) && (sql[pos] == ' ' || sql[pos] == '\t' || sql[pos] == '\r' || sql[pos] == ';') {
		pos++
	}
	if pos < len(sql) && sql[pos] == '\n' {
		pos++
	}
	return pos
}

// quote returns v as an SQL string.
func quote(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// quoteName returns v as an SQL name.
func quoteName(v string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(v) + "`"
}
