package sigma

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expr is the meaning of the item.
func (it *item) expr() (expr, error) {
	if it.field.kind == anyField {
		return it.keywords(), nil
	}
	var parts []expr
	for i := range it.values {
		e, err := it.one(&it.values[i])
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
	}
	e := or(parts...)
	if it.mods.all {
		e = and(parts...)
	}
	if it.mods.negated {
		e = not(e)
	}
	return e, nil
}

// one is the meaning of one value.
func (it *item) one(v *value) (expr, error) {
	m := &it.mods
	switch {
	case m.exists:
		switch strings.ToLower(v.at.str()) {
		case "true", "yes", "on":
			return it.present(), nil
		case "false", "no", "off":
			return it.absent(), nil
		}
		return expr{}, refuse(v.at, "exists: want true or false")
	case m.part != "":
		return it.timePart(v)
	case m.compare != "":
		return it.compared(v)
	case m.cidr:
		return it.network(v)
	case m.fieldref:
		return it.reference(v)
	case v.null:
		return it.absent(), nil
	case v.re != nil:
		return it.searched(v)
	}
	var found []expr
	for _, p := range v.patterns {
		e, err := it.matched(v, p)
		if err != nil {
			return expr{}, err
		}
		found = append(found, e)
	}
	return or(found...), nil
}

// present is true when the event has the field.
func (it *item) present() expr {
	switch it.field.kind {
	case numberField, statusField:
		return test("%s != 0", it.field.on.cel)
	case millisField:
		return test(`%s != duration("0s")`, it.field.on.cel)
	case extField:
		return it.field.on.search(`\.[^./]+$`)
	case timeField:
		return truth(true)
	}
	return it.field.on.present()
}

// absent is true when the event lacks the field, or it is empty.
func (it *item) absent() expr {
	switch it.field.kind {
	case textField, addressField, queryField, stemField, urlField:
		return it.field.on.absent()
	case numberField, statusField:
		return equal(it.field.on.cel, "0")
	}
	return not(it.present())
}

// matched is true when the field's text matches the pattern.
func (it *item) matched(v *value, p pattern) (expr, error) {
	f, cased := it.field, it.mods.cased
	if p.any() {
		return it.present(), nil
	}
	if lit, ok := p.literal(); ok && lit == "" {
		return it.absent(), nil
	}
	switch f.kind {
	case addressField:
		if lit, ok := p.literal(); ok {
			if a, err := netip.ParseAddr(lit); err == nil {
				return equal(f.on.cel, quote(a.Unmap().String())), nil
			}
		}
	case numberField, statusField:
		return it.number(v, p)
	case millisField:
		if n, ok := v.whole(); ok {
			return test("%s == %s", f.on.cel, millis(n)), nil
		}
		return expr{}, refuse(v.at, "%s: want a whole number of milliseconds", it.name)
	case queryField:
		return query(p, cased), nil
	case stemField:
		if p.has("?&=") {
			return or(f.on.match(p, cased), plain("request.uri").match(p, cased)), nil
		}
	case urlField:
		return urlMatch(p, cased), nil
	case extField:
		return extension(p, cased), nil
	case timeField:
		return expr{}, refuse(it.at, "%s: only the modifiers minute, hour, day, month and year can be applied to the time", it.name)
	}
	return f.on.match(p, cased), nil
}

// query reads a query field as the query, and as the address with its path: most rules write the path into it, too. Where the
// beginning does not matter the address alone tells.
func query(p pattern, cased bool) expr {
	uri := plain("request.uri").match(p, cased)
	if p[0].wild == anything {
		return uri
	}
	return or(plain("request.query").match(p, cased), uri)
}

// number compares a whole number, or its decimal text with a pattern.
func (it *item) number(v *value, p pattern) (expr, error) {
	cel := it.field.on.cel
	if n, ok := v.whole(); ok {
		return equal(cel, strconv.FormatInt(n, 10)), nil
	}
	if _, ok := p.literal(); ok {
		return expr{}, refuse(v.at, "%s: %.40q is not a whole number", it.name, v.at.text)
	}
	if it.field.kind == statusField {
		re, err := regexp.Compile("(?s)" + p.regex(".*", "."))
		if err != nil {
			return expr{}, refuse(v.at, "%s: %s", it.name, err)
		}
		return codes(cel, re), nil
	}
	return and(it.present(), subject{"string(" + cel + ")", truth(true)}.match(p, true)), nil
}

// codes writes out the status codes whose text the expression matches.
func codes(cel string, re *regexp.Regexp) expr {
	var ranges []expr
	for n := 100; n <= 999; n++ {
		first := n
		for n <= 999 && re.MatchString(strconv.Itoa(n)) {
			n++
		}
		switch last := n - 1; {
		case last < first:
		case last == first:
			ranges = append(ranges, equal(cel, strconv.Itoa(first)))
		default:
			ranges = append(ranges, and(test("%s >= %d", cel, first), test("%s <= %d", cel, last)))
		}
	}
	return or(ranges...)
}

// searched is true when the regular expression matches somewhere in the field's text.
func (it *item) searched(v *value) (expr, error) {
	on := it.field.on
	switch it.field.kind {
	case statusField:
		return codes(on.cel, v.re), nil
	case numberField:
		return and(it.present(), subject{"string(" + on.cel + ")", truth(true)}.regex(v.re)), nil
	case queryField:
		uri := plain("request.uri").regex(v.re)
		if anchored(v.re) {
			return or(on.regex(v.re), uri), nil
		}
		return uri, nil
	case stemField:
		if strings.ContainsAny(v.re.String(), "&=") {
			return or(on.regex(v.re), plain("request.uri").regex(v.re)), nil
		}
	case urlField:
		return urlSearch(v.re), nil
	case millisField, extField, timeField:
		return expr{}, refuse(it.at, "%s: a regular expression cannot be applied to it", it.name)
	}
	return on.regex(v.re), nil
}

// compared is lt, lte, gt and gte. A number that is not there is not less than anything.
func (it *item) compared(v *value) (expr, error) {
	n, ok := v.whole()
	if !ok {
		return expr{}, refuse(v.at, "%s: %s needs a whole number", it.name, it.mods.compare)
	}
	var bound string
	switch it.field.kind {
	case numberField, statusField:
		bound = strconv.FormatInt(n, 10)
	case millisField:
		bound = millis(n)
	default:
		return expr{}, refuse(it.at, "%s is a text: %s needs a number", it.name, it.mods.compare)
	}
	e := test("%s %s %s", it.field.on.cel, operator(it.mods.compare), bound)
	if n > 0 && (it.mods.compare == "gt" || it.mods.compare == "gte") {
		return e, nil
	}
	return and(it.present(), e), nil
}

func operator(name string) string {
	switch name {
	case "lt":
		return "<"
	case "lte":
		return "<="
	case "gt":
		return ">"
	case "gte":
		return ">="
	case "neq":
		return "!="
	}
	return "=="
}

func millis(n int64) string { return fmt.Sprintf(`duration("%dms")`, n) }

func (it *item) timePart(v *value) (expr, error) {
	n, ok := v.whole()
	if !ok || it.field.kind != timeField {
		return expr{}, refuse(it.at, "modifier %s needs the field date or time and a whole number", it.mods.part)
	}
	get := map[string]string{"minute": "getMinutes()", "hour": "getHours()", "day": "getDate()", "month": "getMonth() + 1", "year": "getFullYear()"}
	return test("event.time.%s %s %d", get[it.mods.part], operator(it.mods.compare), n), nil
}

// network is true when the text is an address within the network.
func (it *item) network(v *value) (expr, error) {
	p, err := netip.ParsePrefix(v.at.str())
	if err != nil {
		a, err := netip.ParseAddr(v.at.str())
		if err != nil {
			return expr{}, refuse(v.at, "%s: %.60q is no network such as 10.0.0.0/8", it.name, v.at.text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	in := test("cidr(%s).containsIP(%s)", quote(p.Masked().String()), it.field.on.cel)
	switch it.field.kind {
	case addressField:
		return and(it.field.on.present(), in), nil
	case textField:
		return and(it.field.on.guard, test("isIP(%s)", it.field.on.cel), in), nil
	}
	return expr{}, refuse(it.at, "%s is no address: cidr cannot be applied to it", it.name)
}

// reference compares two fields of the event. Neither may be missing.
func (it *item) reference(v *value) (expr, error) {
	other, err := fieldOf(v.at, v.at.str())
	if err != nil {
		return expr{}, err
	}
	a, b, m := it.field, other, &it.mods
	numeric := []fieldKind{numberField, statusField}
	if slices.Contains(numeric, a.kind) && slices.Contains(numeric, b.kind) && !m.left && !m.right {
		return and(it.present(), test("%s == %s", a.on.cel, b.on.cel)), nil
	}
	texts := []fieldKind{textField, addressField, queryField, stemField, urlField}
	if !slices.Contains(texts, a.kind) || !slices.Contains(texts, b.kind) {
		return expr{}, refuse(v.at, "%s and %.60s cannot be compared", it.name, v.at.str())
	}
	x, y := a.on.cel, b.on.cel
	if !m.cased {
		x, y = x+".lowerAscii()", y+".lowerAscii()"
	}
	form := "%s == %s"
	switch {
	case m.left && m.right:
		form = "%s.contains(%s)"
	case m.left:
		form = "%s.endsWith(%s)"
	case m.right:
		form = "%s.startsWith(%s)"
	}
	return and(a.on.present(), b.on.present(), test(form, x, y)), nil
}
