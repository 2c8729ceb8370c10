package rules_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// traffic returns n ordinary requests to one site with a shop and an interface, the same ones each time: pages with their assets,
// searches, programs, crawlers and monitoring, in about the proportions and lengths that access logs show.
func traffic(n int) []*event.Event {
	r := rand.New(rand.NewPCG(20, 26))
	events := make([]*event.Event, 0, n)
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for len(events) < n {
		at = at.Add(time.Duration(r.IntN(900)) * time.Millisecond)
		var e *event.Event
		switch k := r.IntN(100); {
		case k < 60:
			e = visitorRequest(r)
		case k < 80:
			e = programRequest(r)
		default:
			e = robotRequest(r)
		}
		e.Time = at
		e.Response.Code = answer(r)
		e.Response.Size = int64(200 + r.IntN(60_000))
		events = append(events, e)
	}
	return events
}

func one(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

// answer is a status code: mostly 200.
func answer(r *rand.Rand) int {
	switch k := r.IntN(100); {
	case k < 84:
		return 200
	case k < 90:
		return 304
	case k < 94:
		return 301
	case k < 98:
		return 404
	}
	return 206
}

func address(r *rand.Rand) netip.Addr {
	if r.IntN(5) == 0 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", r.IntN(40), 1+r.IntN(4000)))
	}
	return netip.MustParseAddr(fmt.Sprintf("%s.%d", one(r, "192.0.2", "198.51.100", "203.0.113"), 1+r.IntN(250)))
}

// visitorRequest is one request of a browser: a page, one of its assets, or a search.
func visitorRequest(r *rand.Rand) *event.Event {
	e := &event.Event{Source: event.Source{Address: address(r)}}
	e.Request.Method = "GET"
	e.Request.UserAgent = fmt.Sprintf(one(r,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.%d Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/127.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36"), 1+r.IntN(126))
	e.Request.Referer = one(r, "", "https://shop.example/", "https://shop.example/catalogue/shoes?page=3&sort=price",
		"https://www.google.com/", "https://www.bing.com/search?q=blue+running+shoes&form=QBLH", "https://shop.example/blog/2026/02/how-to-lace-a-boot")
	switch k := r.IntN(10); {
	case k < 5:
		e.Request.Path = fmt.Sprintf(one(r, "/assets/index-%08x.js", "/assets/style-%08x.css", "/images/products/%d/large.webp",
			"/images/presentations/2026/kibana-search-%d.png", "/fonts/inter-%d.woff2", "/favicon-%d.ico"), r.IntN(9000))
	case k < 8:
		e.Request.Path = fmt.Sprintf(one(r, "/products/%d/trail-runner-gtx", "/catalogue/shoes/page/%d", "/blog/2026/02/%d-ways-to-lace-a-boot",
			"/account/orders/%d", "/presentations/logging-%d/index.html"), r.IntN(9000))
		e.Request.Query = one(r, "", "", "utm_source=newsletter&utm_medium=email&utm_campaign=spring%20sale", "variant=42&size=8.5&colour=black%2Fwhite", "v=2")
	default:
		e.Request.Path = "/search"
		e.Request.Query = "q=" + one(r, "blue+running+shoes", "women%27s+boots", "o%27brien+jacket", "caf%C3%A9", "%E6%9D%B1%E4%BA%AC",
			"size+8+or+9", "50%25+off", "%22trail+runner%22+-kids", "select+edition") + one(r, "", "&page=2", "&sort=-price&filter=brand%3Aacme")
	}
	return e
}

// programRequest is one request to the interface.
func programRequest(r *rand.Rand) *event.Event {
	e := &event.Event{Source: event.Source{Address: address(r)}}
	e.Request.Method = one(r, "GET", "GET", "GET", "POST", "PUT", "DELETE")
	e.Request.Host = "api.shop.example"
	e.Request.Path = fmt.Sprintf(one(r, "/api/v2/orders/%d", "/api/v2/customers/%d/addresses", "/api/v2/products/%d/stock", "/api/v2/carts/5f2b6c1e-8d1f-4a55-9c1e-00000000%04d"), r.IntN(9000))
	e.Request.Query = one(r, "", "", "fields=id,name,price&sort=-updated_at&limit=50&offset=100", "$filter=status%20eq%20%27open%27%20and%20price%20gt%2010",
		"cursor=eyJpZCI6MTIzNDUsInRzIjoiMjAyNi0wMy0wMlQwODowMDowMFoifQ%3D%3D", "include=customer,lines.product")
	e.Request.UserAgent = one(r, "okhttp/4.12.0", "python-requests/2.32.3", "axios/1.7.2", "Go-http-client/2.0", "ShopApp/5.3 (iOS 17.5; iPhone15,2)", "")
	e.Auth.Outcome = one(r, "success", "anonymous", "")
	return e
}

// robotRequest is one request of a crawler, a monitor or a feed reader.
func robotRequest(r *rand.Rand) *event.Event {
	e := &event.Event{Source: event.Source{Address: address(r)}}
	e.Request.Method = one(r, "GET", "GET", "GET", "HEAD")
	e.Request.Path = one(r, "/robots.txt", "/sitemap.xml", "/feed.atom", "/healthz", "/", fmt.Sprintf("/products/%d/trail-runner-gtx", r.IntN(9000)),
		"/blog/tags/"+strings.ToLower(one(r, "Boots", "Laces", "Rain")))
	e.Request.UserAgent = one(r, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "UptimeRobot/2.0", "Tiny Tiny RSS/23.04 (https://tt-rss.org/)",
		"Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)")
	return e
}
