package rules

import "strings"

// habits are what stands in the texts of one field more often than in others: which literal of a pattern is worth looking for depends
// on it. Every path has a slash, nearly every user agent a bracket, and every query an equals sign.
type habits struct{ often string }

func habitsOf(t textKey) habits {
	switch {
	case t.entry != "":
	case t.field == "request.path":
		return habits{"/"}
	case t.field == "request.uri":
		return habits{"/="}
	case t.field == "request.query":
		return habits{"=&"}
	case t.field == "request.useragent":
		return habits{"/.();: "}
	case t.field == "request.referer":
		return habits{"/:."}
	}
	return habits{}
}

// frequency estimates how often one of the literals stands at a place of an ordinary text of the field.
func (h habits) frequency(set []string) float64 {
	sum := 0.0
	for _, s := range set {
		if len(s) == 1 && strings.Contains(h.often, s) {
			return 1
		}
		if s != "" && strings.IndexByte(h.often, s[0]) >= 0 { // words begin there
			sum += 0.1 * likelihood(s[1:])
			continue
		}
		sum += likelihood(s)
	}
	return sum
}

// likelihood is the share of one literal. Letters do not stand beside one another by chance: short ones are parts of words.
func likelihood(s string) float64 {
	p, floor := 1.0, 0.08
	if at := strings.Index(s, "http"); at >= 0 { // in every referer, but not with more than the scheme around it
		p, floor, s = 0.05, 0, strings.TrimPrefix(strings.TrimPrefix(s[at+4:], "s"), "://")+s[:at]
	}
	for i := range len(s) {
		p *= letterFrequency(s[i])
		if floor /= 4; s[i] < 'a' || s[i] > 'z' {
			floor = 0
		}
	}
	return max(p, floor)
}

// letterFrequency is a rough share of a character in addresses and user agents.
func letterFrequency(c byte) float64 {
	switch {
	case c >= 'a' && c <= 'z':
		return 0.08 / float64(1+strings.IndexByte("etaoinsrlhdcumpgfybwvkxjqz", c)/2)
	case c >= '0' && c <= '9', strings.IndexByte("/.-_=& ", c) >= 0:
		return 0.03
	case strings.IndexByte(":%,+?;", c) >= 0:
		return 0.003
	}
	return 0.0005
}
