package dashboards

import "fmt"

// lookBack is how many minutes are read before the board's time span, so that what a counter had before is not taken for its growth.
const lookBack = 10

// growth is SQL that tells how much counters grew: a select of piece, name, instance, labels and grown, one row a series and piece of time.
// piece and where are SQL over metrics AS m. A counter that falls was set back by a restart, and grew by what it shows then; one that
// appears within the span started from nothing.
func growth(piece, where string) string {
	return fmt.Sprintf(`SELECT piece, name, instance, labels, inner + if(lowest < first, lowest, 0) + first - if(first < before, 0, before) AS grown
    FROM (
        SELECT *, lagInFrame(last) OVER (PARTITION BY name, instance, labels ORDER BY piece ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
        FROM (
            SELECT %[1]s AS piece, m.name AS name, m.instance AS instance, m.labels AS labels, argMin(m.value, m.time) AS first,
                argMax(m.value, m.time) AS last, min(m.value) AS lowest, deltaSumTimestamp(m.value, toUnixTimestamp64Milli(m.time)) AS inner
            FROM metrics AS m
            WHERE m.time >= $__fromTime - toIntervalMinute(%[3]d) AND m.time <= $__toTime AND %[2]s
            GROUP BY piece, name, instance, labels
        )
    )
    WHERE piece >= $__fromTime`, piece, where, lookBack)
}

// Pieces of time for [growth]: minutes, and for numbers about a whole span 300 pieces of it, of which the first is left out unless the span
// begins with it.
const (
	minutes = "toStartOfMinute(m.time)"
	pieces  = "toStartOfInterval(m.time, toIntervalSecond(greatest(60, intDiv(dateDiff('second', $__fromTime, $__toTime), 300))))"
)

// points are the pieces of a time series.
func points() string { return piece("m.time", 30) }

// buckets is SQL of a select of time, key and b: the cumulative buckets of histograms, (upper bound, count), that grew in each piece of time.
// key is SQL over the columns of [growth], where is over metrics AS m.
func buckets(piece, key, where string) string {
	return fmt.Sprintf(`SELECT time, key, arraySort(groupArray((bound, n))) AS b
FROM (
    SELECT g.piece AS time, %s AS key, if(g.labels['le'] = '+Inf', inf, toFloat64OrZero(g.labels['le'])) AS bound, sum(g.grown) AS n
    FROM (%s) AS g
    GROUP BY time, key, bound
)
GROUP BY time, key
HAVING b[-1].2 > 0`, key, growth(piece, where))
}

// bucketsInAll is [buckets] of the whole span, as one piece.
func bucketsInAll(key, where string) string {
	return fmt.Sprintf("SELECT key, arraySort(groupArray((p.1, p.2))) AS b FROM (SELECT key, (x.1, sum(x.2)) AS p FROM (SELECT key, arrayJoin(b) AS x FROM (%s)) GROUP BY key, x.1) GROUP BY key",
		buckets(pieces, key, where))
}

// quantile is SQL for a quantile of the column b of [buckets], with the same interpolation as Prometheus has; above the last finite bound it
// is that bound.
func quantile(q float64) string {
	return fmt.Sprintf("arrayMap(i -> if(isInfinite(b[i].1), b[i - 1].1, b[i - 1].1 + (b[i].1 - b[i - 1].1) * (%[1]g * b[-1].2 - b[i - 1].2) / (b[i].2 - b[i - 1].2)), "+
		"[arrayFirstIndex(x -> x.2 >= %[1]g * b[-1].2, b)])[1]", q)
}
