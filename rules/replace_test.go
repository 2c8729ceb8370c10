package rules

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/google/cel-go/common/types"
)

// TestReplaceAgreesWithCEL compares regex.replace in native form with CEL's, on events of which some are no UTF-8.
func TestReplaceAgreesWithCEL(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		text, expr, by string
		native         bool
	}{
		{"request.path", `/(?:\\d+|[0-9a-fA-F-]{16,})(?:/\\d+)?(/|$)`, `/#\\1`, true},
		{"request.path", `[/-]`, ``, true},
		{"request.path", `(a)|(b)|(/)`, `<\\3\\1>\\0\\\\é`, true},
		{"request.uri", `x*`, `-`, true},
		{"decode(request.query)", `(?i)(union)\\s+(select)`, `\\2 \\1`, true},
		{"request.useragent", `\\d+`, `\\2`, false},
		{"request.useragent", `-`, `\\`, false},
		{"request.useragent", `-`, `\\x`, false},
		{"request.useragent.lowerAscii()", `-`, ``, false},
	} {
		t.Run(c.expr+" "+c.by, func(t *testing.T) {
			text := fmt.Sprintf("id: a\ntitle: A\nfilter: \"true\"\nwindow: {size: 1m}\naggregates:\n  n: |\n    distinct(regex.replace(%s, \"%s\", \"%s\"))\ncondition: n > 5\n", c.text, c.expr, c.by)
			set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}})
			if err != nil {
				t.Fatal(err)
			}
			of := set.rules[0].Aggregates[0].of
			if got := of.native.text != nil; got != c.native {
				t.Fatalf("native %v, want %v", got, c.native)
			}
			in := newInput(set)
			for range 300 {
				in.begin(randomEvent(r))
				want, err := of.eval(in)
				if c.native && (err != nil || want != types.String(of.native.text(in))) {
					t.Fatalf("%+v: native %q, CEL %v, %v", in.ev.Request, of.native.text(in), want, err)
				}
				in.clear()
			}
		})
	}
}
