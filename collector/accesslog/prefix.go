package accesslog

import "strings"

// stripPrefix removes what a transport put in front of the record: a syslog header of RFC 3164 ("<190>Oct 11 22:14:15 host
// nginx: "), with or without priority, one of RFC 5424 ("<190>1 2026-01-01T00:00:00Z host app - - - "), or a container
// runtime's ("2026-01-01T00:00:00.0+01:00 stdout F ").
func stripPrefix(s string) string {
	if len(s) < 24 {
		return s
	}
	t := s
	if s[0] == '<' {
		i := strings.IndexByte(s[:6], '>')
		if i < 2 {
			return s
		}
		t = s[i+1:]
		if strings.HasPrefix(t, "1 ") {
			return strip5424(t[2:], s)
		}
	}
	switch {
	case len(t) > 16 && t[3] == ' ' && t[6] == ' ' && t[9] == ':' && t[12] == ':' && t[15] == ' ':
		return stripTag(t[16:], s)
	case len(t) > 20 && t[4] == '-' && t[7] == '-' && t[10] == 'T' && t[13] == ':' && t[16] == ':':
		_, rest := cutField(t)
		if r, ok := stripCRI(rest); ok {
			return r
		}
		return stripTag(rest, s)
	}
	return s
}

// stripTag removes "host tag: " or, without it, returns the whole line.
func stripTag(t, whole string) string {
	_, rest := cutField(t)
	tag, rest := cutField(rest)
	if strings.HasSuffix(tag, ":") && len(tag) < 80 {
		return rest
	}
	return whole
}

func stripCRI(t string) (string, bool) {
	for _, p := range []string{"stdout F ", "stderr F "} {
		if r, ok := strings.CutPrefix(t, p); ok {
			return r, true
		}
	}
	return "", false
}

// strip5424 skips time, host, application, process and message id, then the structured data.
func strip5424(t, whole string) string {
	for range 5 {
		_, t = cutField(t)
	}
	if r, ok := strings.CutPrefix(t, "- "); ok {
		return strings.TrimPrefix(r, "\xef\xbb\xbf")
	}
	for strings.HasPrefix(t, "[") {
		end := elementEnd(t)
		if end < 0 {
			return whole
		}
		t = t[end:]
	}
	if r, ok := strings.CutPrefix(t, " "); ok {
		return strings.TrimPrefix(r, "\xef\xbb\xbf")
	}
	return whole
}

// elementEnd returns the index behind the "]" that closes the structured data element; quotes and escapes are minded.
func elementEnd(t string) int {
	quoted := false
	for i := 1; i < len(t); i++ {
		switch t[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ']':
			if !quoted {
				return i + 1
			}
		}
	}
	return -1
}
