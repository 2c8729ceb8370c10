package rules

import "math"

// maxEntropy is how many bytes of a text Entropy looks at.
const maxEntropy = 4096

// Entropy is Shannon's entropy of the bytes of the text, in bits per byte, rounded to millionths so that it is the same on every
// machine: 0 for the empty text and for a single repeated character, at most 8. Of long texts it looks at the first 4096
// bytes. Words of English have about 3 to 4, random letters and digits above 4 once there are 20 of them.
//
//	Entropy("aabb") == 1.0
func Entropy(s string) float64 {
	s = s[:min(len(s), maxEntropy)]
	var counts [256]int
	for i := range len(s) {
		counts[s[i]]++
	}
	bits, n := 0.0, float64(len(s))
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			bits -= p * math.Log2(p)
		}
	}
	return math.Abs(math.Round(bits*1e6) / 1e6)
}
