package detector

// span is the content of one window of one group. It ends at the newest event that it has seen.
type span interface {
	// near tells whether an event at t counts in the window, or moves it on by less than its size.
	near(t int64) bool
	newest() int64
	// add counts an entry; it must be near.
	add(entry []uint64)
	// values appends the aggregates.
	values(dst []float64) []float64
	// evidence returns the time of the oldest counted event, how many there are, and the newest of them, oldest first.
	evidence() (start int64, count int64, newest []ref)
	// cost estimates the memory in bytes.
	cost() int
}

// ref names a counted event.
type ref struct {
	time    int64
	id, id2 uint64
}

// total is one aggregate over a span.
type total struct {
	n     int64 // count, whole part of a sum, or number of distinct values
	micro int64 // millionths of a sum
	// seen has, for distinct, how many entries hold a value (ring) or the newest slice that holds it (slices).
	seen map[uint64]int64
}

func (t *total) addNumber(bits uint64, sign int64) {
	whole, micro := split(bits)
	t.n += sign * whole
	t.micro += sign * micro
}

func (t *total) value(k kind) float64 {
	if k == kindSum {
		return float64(t.n) + float64(t.micro)/1e6
	}
	return float64(t.n)
}

const (
	costSpan  = 100 // a span's own fields and headers
	costTotal = 32
	costSeen  = 32 // one entry of a map of hashes
)
