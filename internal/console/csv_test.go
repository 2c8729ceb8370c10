package console

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCSV(t *testing.T) {
	var b strings.Builder
	c := NewCSV(&b, "a", "b")
	c.Row("=1+1", "plain-text")
	c.Row("  @SUM(A1)", "+49")
	c.Row("－1", "\t=x")
	c.Row("a\x1b[2J\u202e", "say \"hi\", you")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "a,b\n'=1+1,plain-text\n'  @SUM(A1),'+49\n'－1,'\\t=x\n" + `a\x1b[2J\u202e,"say ""hi"", you"` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPictures(t *testing.T) {
	for _, c := range []struct {
		n, most uint64
		want    string
	}{{0, 8, ""}, {8, 8, "████"}, {4, 8, "██"}, {3, 8, "█▌"}, {1, 1000, "▏"}, {1, 0, ""}} {
		if got := Bar(c.n, c.most, 4); got != c.want {
			t.Errorf("%d of %d: %q", c.n, c.most, got)
		}
	}
	if got := Spark([]uint64{0, 1, 4, 8}, 10); got != " ▁▄█" {
		t.Errorf("%q", got)
	}
	if got := Spark([]uint64{1, 1, 4, 4}, 2); got != "▂█" {
		t.Errorf("%q", got)
	}
}
