package waf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
)

// BenchmarkInspect judges requests one after the other: those of a browser and a program, an attack, and the longest that is judged.
func BenchmarkInspect(b *testing.B) {
	long := func(part string) string { return "/a?" + strings.Repeat(part, (3<<10)/len(part)) }
	api := request("/v1/users/4711/orders?include=items&sort=-created&page=2")
	api.Request.Headers = map[string]string{"accept": "application/json", "authorization": "Bearer <redacted>", "content-type": "application/json", "accept-language": "en-GB,en;q=0.8"}
	for _, bc := range []struct {
		name string
		e    *event.Event
	}{
		{"asset", request("/assets/app.3f9a2c.css")}, {"page", request("/search?q=blue+shoes&page=2")}, {"api", api},
		{"attack", request("/search?q=1%27+union+select+1,2,3--+&x=<script>alert(1)</script>")},
		{"long-value", request(long("lorem ipsum '") + "=1")}, {"many-parameters", request("/a?" + strings.Repeat("a=1&", 255))},
	} {
		for _, level := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/paranoia=%d", bc.name, level), func(b *testing.B) {
				w := mustNew(b, func(c *Config) { c.Paranoia = level })
				b.ReportAllocs()
				for b.Loop() {
					e := *bc.e
					w.Inspect(&e)
				}
			})
		}
	}
}
