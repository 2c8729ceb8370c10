package rules_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/warder/warder/rules"
)

func TestDecode(t *testing.T) {
	cases := map[string]string{
		"":                            "",
		"plain text":                  "plain text",
		"a+b":                         "a b",
		"a%2Bb":                       "a+b",
		"%3Cscript%3E":                "<script>",
		"%253Cscript%253E":            "<script>",
		"%25253Cscript%25253E":        "<script>",
		"%2525253C":                   "%3C",
		"&lt;b&gt;&#60;&#x3c;":        "<b><<",
		"%26lt%3B":                    "<",
		"&lt=1&gt=2":                  "&lt=1&gt=2",
		`\u003cimg\x3e`:               "<img>",
		"%u003cscript%u003e":          "<script>",
		"%uff1cscript":                "<script",
		"..%c0%af..%c1%9c":            `../..\`,
		"100%":                        "100%",
		"%zz%4":                       "%zz%4",
		`C:\users\xavier`:             `C:\users\xavier`,
		"%e9t%C3%A9":                  "\uFFFDté",
		"%00":                         "\x00",
		"&" + strings.Repeat("a", 40): "&" + strings.Repeat("a", 40),
		// base64
		"q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==":           "q=<script>alert(1)</script>",
		"q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg%3D%3D&x=1":   "q=<script>alert(1)</script>&x=1",
		"q=%50HNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg":           "q=<script>alert(1)</script>",
		"/x/JTNDc2NyaXB0JTNFYWxlcnQoMSk8L3NjcmlwdD4/y":     "/x/<script>alert(1)</script>/y",
		"UEhOamNtbHdkRDVoYkdWeWRDZ3hLVHd2YzJOeWFYQjBQZz09": "<script>alert(1)</script>",
		"-enc JABjAGwAaQBlAG4AdAAgAD0AIABOAGUAdwA=":        "-enc $client = New",
		"bm90IGxvbmcg":                             "bm90IGxvbmcg", // 12 characters
		"deadbeefdeadbeefdeadbeefdeadbeef":         "deadbeefdeadbeefdeadbeefdeadbeef",
		"4111111111111111":                         "4111111111111111",
		"/wp-content/plugins/some-long-name/x.php": "/wp-content/plugins/some-long-name/x.php",
		"f47ac10b-58cc-4372-a567-0e02b2c3d479":     "f47ac10b-58cc-4372-a567-0e02b2c3d479",
		"/api/v2/products/trail-runner/stock":      "/api/v2/products/trail-runner/stock",
		"AAAAAAAAAAAAAAAAAAAA":                     "AAAAAAAAAAAAAAAAAAAA",
	}
	for in, want := range cases {
		if got := rules.Decode(in); got != want {
			t.Errorf("Decode(%q) = %q, want %q", in, got, want)
		}
	}
	if got := rules.Decode(strings.Repeat("a", 20<<10)); len(got) != 16<<10 {
		t.Errorf("long text: %d bytes", len(got))
	}
	plain := strings.Repeat("/path", 20)
	if n := testing.AllocsPerRun(100, func() { rules.Decode(plain) }); n != 0 {
		t.Errorf("plain text: %v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"%253C", "&lt;", `\u003c`, "%u003c", "%c0%af", "a+b", "&#x0;", "%", "\xff%ff", "q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==/x", "JABjAGwAaQBlAG4AdAAgAD0A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := rules.Decode(s)
		if !utf8.ValidString(out) {
			t.Errorf("not UTF-8: %q", out)
		}
		if len(out) > 64<<10 {
			t.Errorf("%d bytes of %d", len(out), len(s))
		}
		if rules.Decode(s) != out {
			t.Error("not the same twice")
		}
	})
}
