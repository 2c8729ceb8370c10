package detector

import (
	"math"
	"slices"
)

// histogram counts numbers in buckets whose bounds follow from the numbers' own bits: 64 of equal width between one power of
// two and the next, as in HdrHistogram (Gil Tene, hdrhistogram.org). The middle of a bucket is at most 1/128 (0.8 %) away from each
// number in it. Sketches with logarithmic buckets (DDSketch) have half as many for 1 %, but depend on how a machine rounds
// logarithms; these bounds are the same everywhere, need no arithmetic, and let counts be added and taken away without any loss.
//
// Numbers below 2^-20 (about a millionth, either sign) count as 0, those above 2^50 as 2^50: at most 8,963 buckets.
type histogram []bucket

// bucket is ascending by no, which has the number's sign; 0 is zero.
type bucket struct {
	no int16
	n  uint32
}

const (
	bucketShift = 52 - 6 // bits of a float64 that a bucket leaves out
	leastBucket = (1023 - 20) << 6
	mostBucket  = (50+20)<<6 + 1
)

// bucketOf returns the bucket of a number.
func bucketOf(v float64) int16 {
	no := int64(math.Float64bits(math.Abs(v))>>bucketShift) - leastBucket + 1
	no = max(0, min(mostBucket, no))
	if v < 0 {
		no = -no
	}
	return int16(no)
}

// middle is the number that stands for all in a bucket.
func middle(no int16) float64 {
	if no == 0 {
		return 0
	}
	if no == mostBucket || no == -mostBucket {
		return math.Copysign(maxNumber, float64(no))
	}
	at := uint64(max(no, -no)) - 1 + leastBucket
	low, high := math.Float64frombits(at<<bucketShift), math.Float64frombits((at+1)<<bucketShift)
	return math.Copysign(low+(high-low)/2, float64(no))
}

// add counts n numbers more in a bucket.
func (h *histogram) add(no int16, n uint32) {
	s := *h
	at, ok := slices.BinarySearchFunc(s, no, func(b bucket, no int16) int { return int(b.no) - int(no) })
	if !ok {
		s = slices.Insert(s, at, bucket{no: no})
		*h = s
	}
	s[at].n += n
}

// take takes the counts of another histogram away, which were added before.
func (h *histogram) take(o histogram) {
	s, from := *h, 0
	for at := range s {
		if from < len(o) && o[from].no == s[at].no {
			s[at].n -= o[from].n
			from++
		}
	}
	*h = slices.DeleteFunc(s, func(b bucket) bool { return b.n == 0 })
}

// quantile returns the middle of the bucket that the quantile of the n numbers is in; 0 when there is none. It begins at the
// nearer end.
func (h histogram) quantile(q float64, n int64) float64 {
	if n == 0 || len(h) == 0 {
		return 0
	}
	r := rank(q, n)
	if r > n/2 {
		above := n - r
		for i := len(h) - 1; i >= 0; i-- {
			if above -= int64(h[i].n); above < 0 {
				return middle(h[i].no)
			}
		}
	}
	for _, b := range h {
		if r -= int64(b.n); r <= 0 {
			return middle(b.no)
		}
	}
	return middle(h[len(h)-1].no)
}

func (h histogram) cost() int { return 8 * cap(h) }
