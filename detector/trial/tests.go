package trial

import (
	"context"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Options say which tests are run and how. The zero value runs all, one rule after another.
type Options struct {
	// Only, when set, names the tests that are run: it is matched against "rule/test".
	Only *regexp.Regexp
	// Parallel is how many rules are tested at once.
	Parallel int
	// Now, when set, tells the time, for Result.Took.
	Now func() time.Time
	// Done, when set, is called after each rule with the number of its tests, from several goroutines.
	Done func(tests int)
}

// Result is the outcome of one test.
type Result struct {
	rules.TestResult
	Events int
	Took   time.Duration // 0 without Options.Now
	// First is where the run first departed from what the test expects; nil when it passed or could not run.
	First *Difference
}

// Tests runs the tests that the Set's rules carry, each rule alone. Fixtures are looked for in fsys. Results are in the order of rules
// and tests. The error is ctx's.
func Tests(ctx context.Context, set *rules.Set, fsys fs.FS, opt Options) ([]Result, error) {
	all := set.Rules()
	found := make([][]Result, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(opt.Parallel, 1))
	for i, r := range all {
		g.Go(func() error {
			t := &tester{rule: r, opt: opt}
			err := t.run(ctx, set, fsys)
			found[i] = t.out
			if opt.Done != nil {
				opt.Done(len(t.out))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// Wanted counts the tests that Tests would run.
func Wanted(set *rules.Set, only *regexp.Regexp) int {
	n := 0
	for _, r := range set.Rules() {
		for i := range r.Tests {
			if wanted(r, i, only) {
				n++
			}
		}
	}
	return n
}

func wanted(r *rules.Rule, i int, only *regexp.Regexp) bool {
	return only == nil || only.MatchString(r.ID+"/"+r.Tests[i].Name)
}

// tester runs the tests of one rule.
type tester struct {
	rule  *rules.Rule
	opt   Options
	alone *rules.Set
	out   []Result
}

func (t *tester) run(ctx context.Context, set *rules.Set, fsys fs.FS) error {
	read := t.rule.TestEvents(fsys)
	for i := range t.rule.Tests {
		if !wanted(t.rule, i, t.opt.Only) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.alone == nil {
			t.alone = Alone(set, t.rule)
		}
		start := t.now()
		res := t.test(i, read)
		res.Took = t.now().Sub(start)
		t.out = append(t.out, res)
	}
	return nil
}

func (t *tester) now() time.Time {
	if t.opt.Now == nil {
		return time.Time{}
	}
	return t.opt.Now()
}

func (t *tester) test(i int, read func(int) ([]*event.Event, error)) Result {
	test := &t.rule.Tests[i]
	res := Result{TestResult: rules.TestResult{Rule: t.rule, Test: test.Name, Line: test.Line}}
	var events []*event.Event
	if events, res.Err = read(i); res.Err != nil {
		return res
	}
	res.Events = len(events)
	res.Missing, res.Surplus = test.Compare(t.rule, Alerts(t.alone, events))
	if !res.Passed() {
		d := &differ{rule: t.alone.Rule(t.rule.ID), alone: t.alone, expect: test.Expect}
		res.First = d.find(events)
	}
	return res
}

// Passes tells whether the Set, which holds a changed form of the rule, passes the rule's test over these events.
func Passes(set *rules.Set, r *rules.Rule, test *rules.Test, events []*event.Event) bool {
	missing, surplus := test.Compare(r, Alerts(set, events))
	return len(missing) == 0 && len(surplus) == 0
}
