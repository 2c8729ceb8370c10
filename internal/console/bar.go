package console

import "strings"

// Bar draws n of most as a bar of at most width columns, in eighths of a column. What is not zero is seen.
func Bar(n, most uint64, width int) string {
	if n == 0 || most == 0 || width <= 0 {
		return ""
	}
	eighths := max(1, int(float64(n)/float64(most)*float64(width*8)))
	out := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		out += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return out
}

// Spark draws numbers as a line of blocks, one a number; beyond width numbers, neighbours are added up.
func Spark(list []uint64, width int) string {
	group := max(1, (len(list)+width-1)/max(1, width))
	var sums []uint64
	most := uint64(0)
	for i, n := range list {
		if i%group == 0 {
			sums = append(sums, 0)
		}
		sums[len(sums)-1] += n
		most = max(most, sums[len(sums)-1])
	}
	var b strings.Builder
	for _, n := range sums {
		switch {
		case n == 0:
			b.WriteByte(' ')
		default:
			b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(7, int(float64(n)/float64(most)*7.99))])
		}
	}
	return b.String()
}
