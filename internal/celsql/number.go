package celsql

import "github.com/google/cel-go/common/operators"

// CEL's whole numbers fail where they overflow and where they are divided by zero; ClickHouse's wrap around, or end the query. So they are
// calculated in 128 bits, where nothing of two 64-bit numbers overflows, and the result must fit.

func wide(v value) string { return "toInt128(" + v.sql + ")" }

// number128 is the result of a calculation. sql is never an error in ClickHouse, also where the conditions do not hold.
func number128(sql string, def []string) value {
	fits := sql + " BETWEEN toInt128('-9223372036854775808') AND toInt128('9223372036854775807')"
	return value{kind: numberValue, sql: "toInt64(" + sql + ")", def: join(def, []string{fits})}
}

func arithmetic(name string, a, b value) (value, bool) {
	x, y := wide(a), wide(b)
	def := join(a.def, b.def)
	nonzero := join(def, []string{b.sql + " != 0"})
	switch name {
	case operators.Add:
		return number128("("+x+" + "+y+")", def), true
	case operators.Subtract:
		return number128("("+x+" - "+y+")", def), true
	case operators.Multiply:
		return number128("("+x+" * "+y+")", def), true
	case operators.Divide:
		return number128("intDivOrZero("+x+", "+y+")", nonzero), true
	case operators.Modulo:
		// The least number by -1 is an overflow in CEL, though its rest would be 0; the quotient tells.
		fits := number128("intDivOrZero("+x+", "+y+")", nonzero).def
		return value{kind: numberValue, sql: "toInt64(moduloOrZero(" + x + ", " + y + "))", def: fits}, true
	}
	return value{}, false
}

// timeGetters are the parts of a time in UTC as CEL counts them: months and days of the year and month from 0, Sunday is 0.
func timeGetters() map[string]func(string) string {
	call := func(before, after string) func(string) string {
		return func(sql string) string { return before + sql + after }
	}
	return map[string]func(string) string{
		"getFullYear":     call("toYear(", ")"),
		"getMonth":        call("(toMonth(", ") - 1)"),
		"getDayOfYear":    call("(toDayOfYear(", ") - 1)"),
		"getDayOfMonth":   call("(toDayOfMonth(", ") - 1)"),
		"getDate":         call("toDayOfMonth(", ")"),
		"getDayOfWeek":    call("(toDayOfWeek(", ") % 7)"),
		"getHours":        call("toHour(", ")"),
		"getMinutes":      call("toMinute(", ")"),
		"getSeconds":      call("toSecond(", ")"),
		"getMilliseconds": call("toInt64(toMillisecond(", "))"),
	}
}

// spanGetter is a duration in whole units as CEL works it out: time.Duration's Hours, Minutes and Seconds are floating-point numbers of
// which the fraction is cut off, so that a long duration may be rounded up. The same calculation gives the same result.
func spanGetter(name, sql string) (value, bool) {
	unit := map[string]string{"getHours": "3600000000000", "getMinutes": "60000000000", "getSeconds": "1000000000"}[name]
	switch {
	case unit != "":
		whole, rest := "toFloat64(intDiv("+sql+", "+unit+"))", "toFloat64(modulo("+sql+", "+unit+"))"
		return value{kind: numberValue, sql: "toInt64(" + whole + " + " + rest + " / toFloat64(" + unit + "))"}, true
	case name == "getMilliseconds":
		return value{kind: numberValue, sql: "intDiv(" + sql + ", 1000000)"}, true
	}
	return value{}, false
}
