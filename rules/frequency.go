package rules

import "strings"

// frequency estimates how often one of the literals stands at a place of an ordinary text.
func frequency(set []string) float64 {
	sum := 0.0
	for _, s := range set {
		sum += likelihood(s)
	}
	return sum
}

// likelihood is the share of one literal. Letters do not stand beside one another by chance: short ones are parts of words.
func likelihood(s string) float64 {
	p, floor := 1.0, 0.08
	if strings.Contains(s, "http") { // in every referer
		return 0.05
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
