// Package rules reads detection rules written in YAML and CEL, checks them when they are loaded and matches events against them.
//
// A [Set] is immutable after [Load] and safe for concurrent use; the only thing that changes is each rule's count of
// evaluation errors. The package is pure: it reads no clock and keeps nothing between events. Windows, thresholds and
// suppression belong to the detector, which asks the rule whether its condition holds.
package rules

import (
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/alert"
)

// Limits of a rule file. What exceeds them is refused when the file is loaded.
const (
	MaxFile       = 1 << 20 // bytes of one YAML file
	MaxRules      = 10_000  // rules in one Set
	MaxExpr       = 8 << 10 // bytes of one CEL expression
	MaxGroupBy    = 4       // fields
	MaxAggregates = 16
	MaxWindow     = 24 * time.Hour
	DefaultLength = time.Hour // of a session at most
	MaxSuppress   = 7 * 24 * time.Hour
	MaxTTL        = 30 * 24 * time.Hour
)

// Rule is one detection, compiled. It is immutable apart from its error counter.
type Rule struct {
	ID string
	// Version is a hash of everything that changes what the rule detects or does: 16 hexadecimal digits. Comments, layout,
	// texts, tags and tests do not change it.
	Version     string
	Title       string
	Description string
	Severity    alert.Severity
	Tags        []string
	// GroupBy names the event fields whose values make up the entity, for example source.address.
	GroupBy    []string
	Window     Window
	Aggregates []Aggregate
	// Form is set for rules that do not count in a window; of the fields below it, the one of that form is not nil.
	Form      Form
	Sequence  *Sequence
	Absence   *Absence
	FirstSeen *FirstSeen
	Rare      *Rare
	// Seen has the calls of seenBefore that the filter asks the group's memory with.
	Seen []Seen
	// Suppress is how long after an alert the same group does not alert again, in event time.
	Suppress time.Duration
	Mode     alert.Mode
	// Canary is the percentage of entities acted upon when Mode is canary.
	Canary  int
	Respond []alert.Response
	// IncludeEnforced lets events in that Warder's own decisions answered.
	IncludeEnforced bool
	Tests           []Test
	// Except are exceptions with an end; Extends is the rule that this one was made from, "" for none.
	Except  []Exception
	Extends string
	// Owner is who is told when the rule is suspended. This and what follows is for people: it changes neither detection nor
	// Version.
	Owner          string
	Author         string
	License        string
	References     []string
	SourceID       string // of the rule that this one was imported from
	FalsePositives []string
	// File and Line say where the rule begins.
	File string
	Line int

	filter    *expression
	condition *expression // nil: always true
	group     []*field
	formArgs  int // how many arguments the form has
	signature int // which of the Set's groupings this is
	arguments int // the number of its aggregates among the values that rules share; 0: none
	unit      *unit
	set       *Set
	written   *heritage
	env       *environment // that it was compiled in
	errs      *atomic.Uint64
	excepted  *atomic.Uint64
	lists     map[string]*list // of the load
}

// WindowType says how a rule's window moves.
type WindowType = string

// The window types. A rule without a window looks at each event by itself.
const (
	None     WindowType = ""
	Sliding  WindowType = "sliding"
	Tumbling WindowType = "tumbling"
	Session  WindowType = "session"
)

// Window is the span of event time that aggregates are taken over.
type Window struct {
	Type WindowType
	Size time.Duration // a session's greatest length
	// Gap without an event ends a session; 0 for the other types.
	Gap time.Duration
}

// Match says that a rule's filter accepted an event.
type Match struct {
	Rule *Rule
	// Group has the values of Rule.GroupBy in its order.
	Group []string
	// Args has one entry per aggregate of the rule, in order, and then those of its form, see [Rule.FormArgs].
	Args []Arg
}

// Errors counts the evaluations that failed and were taken as "no match", for example for a missing header. Safe for
// concurrent use.
func (r *Rule) Errors() uint64 { return r.errs.Load() }
