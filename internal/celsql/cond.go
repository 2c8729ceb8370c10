package celsql

import "strings"

// cond is a condition in SQL. It holds where an expression of CEL has the value that was asked for, and when exact, nowhere else. The empty
// text says nothing. Nothing in the table is NULL, so there is no third truth value in SQL; that CEL has one, the error, is why
// each condition is asked for with the value that it stands for: neither `x` nor `!x` keeps a row on which x fails.
type cond struct {
	sql   string
	exact bool
	why   string // why it is not exact
}

const (
	sqlTrue  = "1"
	sqlFalse = "0"
)

// never is what cannot be said in SQL.
func never(why string) cond { return cond{why: why} }

// exactly is what can.
func exactly(sql string) cond { return cond{sql: sql, exact: true} }

func constant(b bool) cond {
	if b {
		return exactly(sqlTrue)
	}
	return exactly(sqlFalse)
}

func firstReason(a, b cond) string {
	if a.exact {
		return b.why
	}
	return a.why
}

// and holds where both do. Half of it is a narrower choice than none.
func and(a, b cond) cond {
	out := cond{exact: a.exact && b.exact, why: firstReason(a, b)}
	switch {
	case a.sql == sqlFalse && a.exact, b.sql == sqlFalse && b.exact:
		return constant(false)
	case a.sql == "" || a.sql == sqlTrue:
		out.sql = b.sql
	case b.sql == "" || b.sql == sqlTrue:
		out.sql = a.sql
	default:
		out.sql = "(" + a.sql + " AND " + b.sql + ")"
	}
	if out.sql == "" && out.exact {
		out.sql = sqlTrue
	}
	return out
}

// or holds where one does. Where nothing is known of one, nothing is known of both.
func or(a, b cond) cond {
	out := cond{exact: a.exact && b.exact, why: firstReason(a, b)}
	switch {
	case a.sql == sqlTrue && a.exact, b.sql == sqlTrue && b.exact:
		return constant(true)
	case a.sql == "", b.sql == "":
		return never(out.why)
	case a.sql == sqlFalse:
		out.sql = b.sql
	case b.sql == sqlFalse:
		out.sql = a.sql
	default:
		out.sql = "(" + a.sql + " OR " + b.sql + ")"
	}
	return out
}

// test is a comparison of values: where they are all there and it holds, or does not, as is wanted.
func test(sql string, want bool, defined []string) cond {
	switch {
	case sql == sqlTrue || sql == sqlFalse:
		sql = map[bool]string{true: sqlTrue, false: sqlFalse}[(sql == sqlTrue) == want]
	case !want:
		sql = "NOT (" + sql + ")"
	}
	if sql == sqlFalse || len(defined) == 0 {
		return exactly(sql)
	}
	if sql == sqlTrue {
		return exactly("(" + strings.Join(defined, " AND ") + ")")
	}
	return exactly("(" + strings.Join(defined, " AND ") + " AND " + sql + ")")
}
