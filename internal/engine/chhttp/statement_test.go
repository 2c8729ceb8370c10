package chhttp

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		sql    string
		reads  bool
		format string
		inline bool
		head   string
		data   string
	}{
		{sql: "SELECT 1", reads: true},
		{sql: " -- hello\n/* there */ select 1 format JSON", reads: true, format: "JSON"},
		{sql: "WITH x AS (SELECT 1 FORMAT Null) SELECT * FROM x", reads: true},
		{sql: "SELECT ' FORMAT CSV ', `FORMAT`, \"a\"\"FORMAT b\" FROM t", reads: true},
		{sql: "SHOW TABLES FORMAT TSV", format: "TSV"},
		{sql: "INSERT INTO t VALUES (1, 'FORMAT x')"},
		{sql: "INSERT INTO t FORMAT Values (1)", format: "Values"},
		{sql: "INSERT INTO t (a, b) FORMAT Native", format: "Native", inline: true, head: "INSERT INTO t (a, b) "},
		{sql: "INSERT INTO t FORMAT CSV\n1,2\n\n FROM INFILE", format: "CSV", inline: true, head: "INSERT INTO t ", data: "1,2\n\n FROM INFILE"},
		{sql: "insert into t settings a=1 format TSV \r\n\n", format: "TSV", inline: true, head: "insert into t settings a=1 ", data: "\n"},
		{sql: "INSERT INTO t SELECT 1 FORMAT Null", format: "Null"},
		{sql: "SELECT $tag$ ' FORMAT CSV $tag$ FORMAT TSV", reads: true, format: "TSV"},
		{sql: "INSERT INTO t FORMAT"},
		{sql: ""},
	} {
		got, err := parse([]byte(c.sql))
		if err != nil {
			t.Errorf("%q: %v", c.sql, err)
			continue
		}
		if got.reads != c.reads || got.format != c.format || got.inline != c.inline ||
			c.inline && (c.sql[:got.head] != c.head || c.sql[got.data:] != c.data) {
			t.Errorf("%q: %+v", c.sql, got)
		}
	}
}

func TestParseRefusesFiles(t *testing.T) {
	for _, sql := range []string{
		"SELECT 1 INTO OUTFILE '/x'", "select 1 into/**/outfile '/x' format CSV", "INSERT INTO t FROM INFILE '/x' FORMAT CSV",
		"INSERT INTO t from -- c\n infile '/x'", "EXPLAIN SELECT '\\' INTO', 1 INTO OUTFILE 'x'",
	} {
		if _, err := parse([]byte(sql)); !errors.Is(err, errFile) {
			t.Errorf("%q: %v", sql, err)
		}
	}
	for _, sql := range []string{"SELECT 'INTO OUTFILE'", "SELECT outfile FROM t", "SELECT 1 -- INTO OUTFILE 'x'"} {
		if _, err := parse([]byte(sql)); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("INSERT INTO t (a) SETTINGS b=1 FORMAT CSV\n1"))
	f.Add([]byte("SELECT $a$ x $a$, 'it''s', `q\\``, \"w\" /* c */ -- d"))
	f.Fuzz(func(t *testing.T, sql []byte) {
		st, err := parse(sql)
		if err == nil && st.inline && (st.settings > st.head || st.head > st.data || st.data > len(sql)) {
			t.Errorf("parts are out of order: %+v", st)
		}
	})
}

func TestExceptionCode(t *testing.T) {
	for msg, want := range map[string]string{
		"Code: 60. DB::Exception: x": "60", "Code: 516. DB": "516", "Code: x.": "", "Code: 12": "", "nothing": "", "Code: 1234567. x": "",
	} {
		if got := exceptionCode(msg); got != want {
			t.Errorf("%q: %q, want %q", msg, got, want)
		}
	}
}
