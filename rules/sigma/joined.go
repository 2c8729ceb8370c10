package sigma

import (
	"strings"
)

// joined is a text that is several fields of the event joined, such as a whole URL. A literal in it is found without joining
// them: by what each field must then begin with, end with or be.
type joined []segment

// segment is a field, or a literal between fields.
type segment struct {
	on  subject
	lit string // between fields: what stands there
	// known is true when a literal segment stands in the text at all.
	known expr
	// fits tells whether the field's text can contain a piece, at its start or elsewhere.
	fits func(s string, start bool) bool
}

// wholeURL is scheme://host/path?query. entries are where a reading of it may begin: the scheme, the host or the path.
func wholeURL() (s joined, entries []int) {
	host := plain("request.host")
	return joined{
		{on: plain("request.scheme"), fits: func(s string, _ bool) bool { return strings.Trim(lower(s), "abcdefghijklmnopqrstuvwxyz") == "" }},
		{lit: "://", known: host.present()},
		{on: host, fits: func(s string, _ bool) bool {
			return strings.Trim(lower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == ""
		}},
		{on: plain("request.uri"), fits: uriFits},
	}, []int{0, 2, 3}
}

// requestLine is "METHOD uri PROTOCOL", as logs have it.
func requestLine() joined {
	return joined{
		{on: plain("request.method"), fits: func(s string, _ bool) bool { return strings.Trim(lower(s), "abcdefghijklmnopqrstuvwxyz") == "" }},
		{lit: " ", known: truth(true)},
		{on: plain("request.uri"), fits: uriFits},
		{lit: " ", known: truth(true)},
		{on: plain("request.protocol"), fits: func(s string, start bool) bool {
			s = lower(s)
			return start && (strings.HasPrefix(s, "http/") || strings.HasPrefix("http/", s))
		}},
	}
}

func uriFits(s string, start bool) bool {
	return !strings.Contains(s, " ") && (!start || s[0] == '/')
}

// search is true when the literal x occurs anywhere in the joined text; with end, at its end. Places inside of one field
// are left out unless inside is set.
func (sp joined) search(x string, end, cased, inside bool) expr {
	if !cased {
		x = lower(x)
	}
	var found []expr
	for i, s := range sp {
		if s.on.cel == "" {
			for n := len(s.lit); n > 0; n-- {
				tail := s.lit[len(s.lit)-n:]
				if strings.HasPrefix(x, tail) {
					found = append(found, and(s.known, sp.from(x[n:], i+1, !end, cased)))
				}
			}
			continue
		}
		if inside && s.fits(x, false) && (!end || i == len(sp)-1) {
			found = append(found, s.on.match(pattern{{lit: x}}.open(true, !end), cased))
		}
		for n := 1; n < len(x) && s.fits(x[:n], false); n++ {
			if rest := sp.from(x[n:], i+1, !end, cased); rest.op != 'F' && x[n-1] != ':' { // neither scheme nor host ends so
				found = append(found, and(s.on.match(pattern{{lit: x[:n]}}.open(true, false), cased), rest))
			}
		}
	}
	return or(found...)
}

// from is true when the joined text from segment k on begins with x; without open it must be x.
func (sp joined) from(x string, k int, open, cased bool) expr {
	switch {
	case x == "":
		return truth(open || k == len(sp))
	case k == len(sp):
		return truth(false)
	}
	s := sp[k]
	if s.on.cel == "" {
		if rest, ok := strings.CutPrefix(x, s.lit); ok {
			return and(s.known, sp.from(rest, k+1, open, cased))
		}
		if open && strings.HasPrefix(s.lit, x) {
			return s.known
		}
		return truth(false)
	}
	var found []expr
	if s.fits(x, true) && (open || k == len(sp)-1) {
		found = append(found, s.on.match(pattern{{lit: x}}.open(false, open), cased))
	}
	for n := 1; n < len(x) && s.fits(x[:n], true); n++ {
		if rest := sp.from(x[n:], k+1, open, cased); rest.op != 'F' && x[n-1] != ':' {
			found = append(found, and(s.on.match(pattern{{lit: x[:n]}}, cased), rest))
		}
	}
	return or(found...)
}
