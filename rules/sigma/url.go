package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// urlMatch reads an address as path?query, host/path?query and scheme://host/path?query: logs have each of the three.
func urlMatch(p pattern, cased bool) expr {
	uri := plain("request.uri").match(p, cased)
	core, left, right := p.inner()
	lit, ok := core.literal()
	if !ok {
		re, err := regexp.Compile(flags(p, cased) + p.regex(".*", "."))
		if err != nil { // cannot be: the pattern is quoted
			return uri
		}
		return urlSearch(re)
	}
	whole, entries := wholeURL()
	if left {
		return or(uri, whole.search(lit, !right, cased, true))
	}
	if !cased {
		lit = lower(lit)
	}
	readings := []expr{uri}
	for _, k := range entries[:2] {
		readings = append(readings, whole.from(lit, k, right, cased))
	}
	return or(readings...)
}

// urlSearch looks for a regular expression. The whole URL is only put together where one of the texts that a match needs is in
// one of its parts.
func urlSearch(re *regexp.Regexp) expr {
	const hosted, whole = "(request.host + request.uri)", `(request.scheme + "://" + request.host + request.uri)`
	found := []expr{plain("request.uri").regex(re)}
	guard := and(plain("request.host").present(), urlGuard(re))
	if anchored(re) {
		found = append(found, and(guard, test("%s.matches(%s)", hosted, quote(re.String()))))
	}
	return or(append(found, and(guard, test("%s.matches(%s)", whole, quote(re.String()))))...)
}

func urlGuard(re *regexp.Regexp) expr {
	need := required(re)
	if need == nil || slices.ContainsFunc(need, func(s string) bool { return strings.ContainsAny(s, ":/") }) {
		return truth(true)
	}
	var parts []expr
	for _, s := range need {
		p := pattern{{lit: s}}.open(true, true)
		parts = append(parts, plain("request.uri").match(p, false), plain("request.host").match(p, false))
		if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" {
			parts = append(parts, plain("request.scheme").match(p, false))
		}
	}
	return or(parts...)
}

// extension compares what follows the last dot of the path's last part.
func extension(p pattern, cased bool) expr {
	path := plain("request.path")
	lit, ok := p.literal()
	if ok {
		lit = strings.TrimPrefix(lit, ".")
		if strings.ContainsAny(lit, "./") || lit == "" {
			return truth(false)
		}
		return path.match(pattern{{wild: anything}, {lit: "." + lit}}, cased)
	}
	if p.has("./") {
		return truth(false)
	}
	core, left, right := p.inner()
	const part = "[^./]*"
	re := strings.TrimSuffix(strings.TrimPrefix(core.regex(part, "[^./]"), "^"), "$")
	if left {
		re = part + re
	}
	if right {
		re += part
	}
	return path.search(fmt.Sprintf(`%s\.%s$`, flags(p, cased), re))
}
