package rules

import "strings"

// foreignWords is what people write who come from other rule languages, and what it is in CEL; "" for everything else. The message is
// CEL's own, the rest is the expression from the place of the fault on.
func foreignWords(msg, rest string) string {
	syntax := strings.HasPrefix(msg, "Syntax error")
	if op, ok := strings.CutPrefix(msg, "wrong type: `"); !syntax && (!ok || !strings.ContainsAny(op[:1], "=!<>i")) {
		return "" // only comparisons are understood so well
	}
	word := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
	switch {
	case syntax && strings.HasPrefix(rest, "=~"):
		return `CEL has no =~: write text.matches("pattern")`
	case syntax && strings.HasPrefix(rest, "="):
		return "equality is written =="
	case syntax && strings.EqualFold(word, "and"):
		return "and is written &&"
	case syntax && strings.EqualFold(word, "or"):
		return "or is written ||"
	case syntax && (strings.EqualFold(word, "like") || word == "contains" || word == "startswith" || word == "endswith"):
		return `write text.contains("…"), text.startsWith("…") or text.endsWith("…")`
	case syntax && strings.HasPrefix(msg, "Syntax error: mismatched input ',' expecting ')'"):
		return "a list is written in brackets: x in [1, 2]"
	case strings.HasSuffix(msg, "does not take (string, null)"):
		return `no text is null: what is unknown is the empty text, ""`
	case strings.HasSuffix(msg, "does not take (duration, int)"):
		return `a duration is compared with one: duration("5s")`
	case strings.HasSuffix(msg, "does not take (timestamp, string)"):
		return `a time is compared with one: timestamp("2027-01-31T00:00:00Z")`
	case strings.HasSuffix(msg, "does not take (int, string)"):
		return "a number is written without quotes"
	case strings.HasSuffix(msg, "does not take (string, int)"):
		return "a text is written in quotes"
	case strings.HasSuffix(msg, "does not take (string, net.CIDR)"):
		return `write cidr("10.0.0.0/8").containsIP(source.address)`
	}
	return ""
}

// foreignFunction is what a function of another language is called in CEL; "" when it is none that we know.
func foreignFunction(name string) string {
	switch strings.ToLower(name) {
	case "not":
		return "not is written !"
	case "len", "length", "count":
		return "the length is size(text)"
	case "tolowercase", "tolower", "lower", "lowercase":
		return "lower case is text.lowerAscii()"
	case "touppercase", "toupper", "upper", "uppercase":
		return "upper case is text.upperAscii()"
	case "includes":
		return `write text.contains("…")`
	}
	return ""
}
