package synthetic

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"time"
)

// alias draws an index with given weights in constant time (Vose's alias method).
type alias struct {
	keep  []float64
	other []int32
}

func newAlias(weights []float64) alias {
	n, sum := len(weights), 0.0
	for _, w := range weights {
		sum += w
	}
	a := alias{keep: make([]float64, n), other: make([]int32, n)}
	var small, large []int32
	for i, w := range weights {
		a.keep[i] = w / sum * float64(n)
		if a.keep[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.other[s] = l
		a.keep[l] -= 1 - a.keep[s]
		if a.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, rest := range [][]int32{small, large} {
		for _, i := range rest {
			a.keep[i] = 1
		}
	}
	return a
}

func (a *alias) draw(rnd *rand.Rand) int {
	i := rnd.IntN(len(a.keep))
	if rnd.Float64() < a.keep[i] {
		return i
	}
	return int(a.other[i])
}

// zipf returns weights that fall with the rank.
func zipf(n int, exponent float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1 / math.Pow(float64(i+3), exponent)
	}
	return out
}

// logNormal draws a number around a median.
func logNormal(rnd *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*rnd.NormFloat64())
}

// lasting draws a duration around a median, at most a minute.
func lasting(rnd *rand.Rand, median time.Duration, sigma float64) time.Duration {
	return time.Duration(min(logNormal(rnd, float64(median), sigma), float64(time.Minute)))
}

// mix spreads the bits of a number (SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func put64(b []byte, x uint64) {
	for i := range 8 {
		b[i] = byte(x >> (56 - 8*i))
	}
}

// uuid returns a random UUID (version 4), as gateways number requests.
func uuid(rnd *rand.Rand) string { return uuidOf(rnd.Uint64(), rnd.Uint64()) }

func uuidOf(x, y uint64) string {
	var b [16]byte
	put64(b[:8], x)
	put64(b[8:], y)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// hexOf returns the 16 hexadecimal digits of a number.
func hexOf(x uint64) string {
	var b [8]byte
	put64(b[:], x)
	return hex.EncodeToString(b[:])
}
