// Package dashboards makes Warder's Grafana dashboards: each board is described in Go, one file a board, and written as the JSON that
// Grafana reads.
package dashboards

// Board is a dashboard.
type Board struct {
	UID         string // "warder-overview"
	Title       string
	Description string
	Tags        []string
	Span        string // time span that it opens with: "now-24h"
	Refresh     string // "1m", or "" for none
	Variables   []Variable
	Rows        []Row
	Links       []string // UIDs of the boards to go to next; each keeps the time span
}

// Variable is a choice at the top of a board.
type Variable struct {
	Name  string // $name in queries
	Label string
	Query string // SQL that lists the values in its first column; "" makes a text box
	Multi bool   // several values and "All"
	Value string // what it starts with
}

// Row groups panels under a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Kind is what a panel looks like.
type Kind string

// The kinds of panels.
const (
	Stat       Kind = "stat"       // one number
	TimeSeries Kind = "timeseries" // numbers over time
	Table      Kind = "table"
	Bars       Kind = "barchart"
	Gauge      Kind = "bargauge"
	Pie        Kind = "piechart"
	Heatmap    Kind = "heatmap"
	Text       Kind = "text" // words, without a query
)

// Panel is one picture. Description says what it shows and what to do when it looks bad.
type Panel struct {
	Title       string
	Description string
	Kind        Kind
	Width       int         // of 24
	Height      int         // grid units of 30 pixels
	Unit        string      // Grafana's unit id: "short", "reqps", "percentunit", "bytes", "ms", "s", "dtdurations", "none"
	Thresholds  []Threshold // first one's Value is ignored: the colour of everything below the second
	// Judged is the column of a Table whose numbers have the thresholds' colours; "" for none.
	Judged string
	// Neutral says why a Stat or Gauge has no thresholds: what it shows is neither good nor bad.
	Neutral string
	Stack   bool
	// Query is SQL with the macros of Grafana's ClickHouse data source: $__timeFilter(column), $__timeFilter_ms(column), $__dateFilter(column),
	// $__fromTime, $__toTime, $__timeInterval(column), $__interval_s, and the board's variables by way of [text] and [among] only: Grafana's own
	// quoting leaves backslashes alone, which ClickHouse reads as an escape. A table by the hour is asked from the hour that the span begins in:
	// time >= toStartOfHour($__fromTime) AND time <= $__toTime.
	Query string
	// Columns are the names of the columns that the query returns, in order. A time series' first is time. A Pie or Gauge of two columns has a
	// row a slice or bar: its name and its number; otherwise each column is one. Bars' first is the name. A table does not show columns whose
	// name begins with an underscore: they are there for links.
	Columns []string
	// By is the text column that parts a TimeSeries' numbers into series, each named as that column says; "" when each column is a series.
	By string
	// Raw says why the panel reads the table events itself although rollups are there; "" for all that read rollups.
	Raw   string
	Text  string            // Markdown of a Text panel
	Links []Link            // of cells or series, to another board
	Units map[string]string // unit of single columns of a Table
}

// Threshold is a colour from a value on: "green", "yellow", "orange", "red", "blue", "text".
type Threshold struct {
	Value float64
	Color string
}

// Link leads from a column's value to another board with a variable set to it.
type Link struct {
	Column   string
	Title    string
	Board    string            // UID
	Variable string            // variable of that board; "" passes none
	From     string            // column whose value is passed; "" is Column
	Set      map[string]string // further variables of that board and their values
}
