package pages

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/rules"
)

func TestHostileTextIsPlain(t *testing.T) {
	const text = "id: a\n" + `title: "<script>alert(1)</script> [x](javascript:1) | **b** ` + "`c`" + `"
description: "![i](https://evil.example/i.png) <img src=x> # head"
filter: request.path == "` + "```" + `" // ` + "````" + `
tests:
  - {name: "a | b", events: [], expect: []}
`
	set, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	page := Page(set.Rule("a")) + Index(set.Rules())
	for _, bad := range []string{"<script", "<img", "![i]", " [x](javascript", "https://evil", "**b**", "| a | b |"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q:\n%s", bad, page)
		}
	}
	if !strings.Contains(page, "`````cel\n") {
		t.Errorf("the fence is too short:\n%s", page)
	}
}

func TestPacksHavePages(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	n, err := Write(t.TempDir(), set.Rules())
	if err != nil || n != len(set.Rules()) {
		t.Errorf("%d pages, %v", n, err)
	}
}
