package rules

import (
	"fmt"
	"math"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/ext"

	"github.com/warder/warder/internal/event"
)

// Bounds of what an expression may cost, in CEL's cost units: about one a simple operation, and one for ten characters of
// text that is read.
const (
	maxStaticCost  = 20_000_000
	maxRuntimeCost = 2_000_000 // only where a comprehension runs
	maxRegexSize   = 20_000    // instructions of a compiled regular expression
	maxNesting     = 3         // comprehensions within one another
)

// environment is the CEL language of rules: which names there are and of which type.
type environment struct {
	fields map[string]*field
	names  []string
	events *cel.Env // for filters and aggregates
	bare   *cel.Env // for conditions: no event, the aggregates' names are added

	geo      Geo // nil: nothing is known
	lists    map[string]*list
	macros   map[string]*macro
	taken    map[string]bool // names that a macro cannot have
	expanded int             // parts of all expressions with macros

	listed, listBytes int // values of all lists, bytes of the files that they were read from
}

func newEnvironment(opt Options) (*environment, error) {
	env := &environment{fields: map[string]*field{}, geo: opt.Geo, lists: map[string]*list{}, macros: map[string]*macro{}}
	var vars []cel.EnvOption
	for _, f := range eventFields() {
		env.fields[f.name] = f
		env.names = append(env.names, f.name)
		vars = append(vars, cel.Variable(f.name, f.celType()))
	}
	var err error
	if env.bare, err = cel.NewCustomEnv(append(language(), env.functions()...)...); err != nil {
		return nil, fmt.Errorf("build CEL environment: %w", err)
	}
	if env.events, err = env.bare.Extend(vars...); err != nil {
		return nil, fmt.Errorf("build CEL environment: %w", err)
	}
	env.taken = env.reserved()
	return env, nil
}

// reserved are the names of fields, functions and CEL's own macros, and the first parts of dotted ones.
func (env *environment) reserved() map[string]bool {
	out := map[string]bool{}
	add := func(name string) {
		root, _, _ := strings.Cut(name, ".")
		out[name], out[root] = true, true
	}
	for _, n := range env.names {
		add(n)
	}
	for n := range env.bare.Functions() {
		add(n)
	}
	for _, m := range env.bare.Macros() {
		add(m.Function())
	}
	return out
}

// language is what every expression can use.
func language() []cel.EnvOption {
	return []cel.EnvOption{
		cel.StdLib(),
		cel.OptionalTypes(),
		ext.Strings(), ext.Math(), ext.Lists(), ext.Sets(), ext.Encoders(), ext.Network(), ext.Regex(), ext.Bindings(),
		ext.TwoVarComprehensions(),
		cel.EnableMacroCallTracking(), // so that expressions can be written out in canonical form
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxExpr),
		cel.ParserRecursionLimit(100),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting)),
	}
}

const decodeOverload = "decode_string"

// sizes tells CEL's cost estimator how long the values can be that it does not know.
type sizes struct{ fields map[string]*field }

// EstimateSize implements checker.CostEstimator.
func (s sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	limit := uint64(event.MaxText)
	if path := n.Path(); len(path) > 0 {
		if f := s.fields[path[0]]; f != nil {
			switch {
			case len(path) == 1 && f.max > 0:
				limit = uint64(f.max)
			case f.tab != nil:
				limit = event.MaxAgent
			case f.list != nil:
				limit = event.MaxShort
			}
		}
	}
	return &checker.SizeEstimate{Min: 0, Max: limit}
}

// EstimateCallCost implements checker.CostEstimator.
func (s sizes) EstimateCallCost(_, overload string, _ *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	size := uint64(0)
	for _, a := range args {
		if est := a.ComputedSize(); est != nil {
			size = max(size, est.Max)
		} else if est := s.EstimateSize(a); a.Type() != nil {
			size = max(size, est.Max)
		}
	}
	cost, ok := callCost(overload, size)
	if !ok {
		return nil
	}
	return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: 1, Max: cost}, ResultSize: resultSize(overload)}
}

// staticCost refuses expressions whose worst case has no useful bound.
func (env *environment) staticCost(e *cel.Env, ast *cel.Ast) error {
	est, err := e.EstimateCost(ast, sizes{env.fields})
	if err != nil {
		return fmt.Errorf("estimate cost: %w", err)
	}
	if est.Max > maxStaticCost {
		bound := "no bound"
		if est.Max < math.MaxUint64/2 {
			bound = fmt.Sprint(est.Max)
		}
		return fmt.Errorf("too costly: the worst case is %s, the limit is %d; avoid comprehensions over split text and matches on joined text", bound, maxStaticCost)
	}
	return nil
}
