package trial_test

import (
	"runtime"
	"testing"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/mutation"
)

// TestPacksNoticeChanges tries a sample of what `make mutation` tries whole.
func TestPacksNoticeChanges(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	run := func(parallel int) *mutation.Report {
		rep, err := mutation.Run(t.Context(), set, rules.Packs(), mutation.Options{Passes: trial.Passes, Parallel: parallel, Sample: 40})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	rep := run(runtime.GOMAXPROCS(0))
	if len(rep.Untested) > 0 || len(rep.Broken) > 0 {
		t.Errorf("untested %v, broken %v", rep.Untested, rep.Broken)
	}
	all := rep.Tally(nil)
	t.Logf("%d of %d changes noticed", all.Killed, all.Total)
	if all.Total < 50 || all.Percent() < 80 {
		t.Errorf("%d of %d changes noticed: the tests of the packs should notice 90 %%", all.Killed, all.Total)
	}
}
