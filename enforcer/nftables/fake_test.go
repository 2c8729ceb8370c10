package nftables

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asNFT makes the test program a fake nft with the state in the file that follows.
const asNFT = "as-nft"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == asNFT {
		if err := fakeNFT(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "Error: "+err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// kernel is what the fake keeps.
type kernel struct {
	Exists bool
	Fail   string // what every call says
	Chains map[string][]string
	Sets   map[string][]elem
	Writes int
}

type elem struct {
	First, Last netip.Addr
	Until       time.Time
}

func load(file string) (k kernel, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(b, &k)
}

func (k kernel) save(file string) error {
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

func fakeNFT(file string, args []string) error {
	k, err := load(file)
	if err != nil {
		return err
	}
	switch line := strings.Join(args, " "); {
	case k.Fail != "":
		return errors.New(k.Fail)
	case line == "-j list table inet warder":
		return k.list(os.Stdout)
	case line == "-f -":
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		next, err := parse(string(text))
		if err != nil {
			return err
		}
		next.Writes = k.Writes + 1
		return next.save(file)
	default:
		return fmt.Errorf("syntax error: %q", line)
	}
}

// parse takes what script writes, and nothing else.
func parse(text string) (kernel, error) {
	k := kernel{Exists: true, Chains: map[string][]string{}, Sets: map[string][]elem{}}
	text, ok := strings.CutPrefix(text, "table inet warder\ndelete table inet warder\ntable inet warder {\n")
	if !ok {
		return k, errors.New("the script does not replace the table")
	}
	var chain, set string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case words[0] == "set":
			set, chain = words[1], ""
			k.Sets[set] = nil
		case words[0] == "chain":
			set, chain = "", words[1]
		case line == "}" || line == "elements = {" || line == "flags interval, timeout" || line == "type ipv4_addr" || line == "type ipv6_addr":
		case chain != "":
			k.Chains[chain] = append(k.Chains[chain], line)
		case set != "":
			e, err := parseElement(words)
			if err != nil {
				return k, err
			}
			k.Sets[set] = append(k.Sets[set], e)
		default:
			return k, fmt.Errorf("syntax error: %q", line)
		}
	}
	return k, k.overlaps()
}

func parseElement(words []string) (e elem, err error) {
	if len(words) != 3 || words[1] != "timeout" {
		return e, fmt.Errorf("syntax error: %q", words)
	}
	from, to, ok := strings.Cut(words[0], "-")
	if !ok {
		to = from
	}
	first, err1 := netip.ParseAddr(from)
	last, err2 := netip.ParseAddr(to)
	left, err3 := time.ParseDuration(strings.TrimSuffix(words[2], ","))
	return elem{first, last, time.Now().Add(left)}, errors.Join(err1, err2, err3)
}

func (k kernel) overlaps() error {
	for _, es := range k.Sets {
		es = slices.SortedFunc(slices.Values(es), func(a, b elem) int { return a.First.Compare(b.First) })
		for i, e := range es {
			if e.Last.Less(e.First) || i > 0 && e.First.Compare(es[i-1].Last) <= 0 {
				return errors.New("Could not process rule: interval overlaps with an existing one")
			}
		}
	}
	return nil
}

func (k kernel) list(to io.Writer) error {
	if !k.Exists {
		return errors.New("No such file or directory")
	}
	type obj map[string]any
	out := []obj{{"metainfo": obj{"json_schema_version": 1}}, {"table": obj{"family": "inet", "name": name}}}
	for set, es := range k.Sets {
		var elems []any
		for _, e := range es {
			if left := time.Until(e.Until); left > 0 {
				elems = append(elems, obj{"elem": obj{"val": jsonValue(e), "timeout": 1, "expires": int(left / time.Second)}})
			}
		}
		s := obj{"family": "inet", "name": set, "table": name}
		if len(elems) > 0 {
			s["elem"] = elems
		}
		out = append(out, obj{"set": s})
	}
	for c, lines := range k.Chains {
		hook, _, _ := strings.Cut(strings.TrimPrefix(lines[0], "type filter hook "), " ")
		out = append(out, obj{"chain": obj{"name": c, "type": "filter", "hook": hook, "prio": -10, "policy": "accept"}})
		for _, l := range lines[1:] {
			w := strings.Fields(l)
			match := obj{"op": "==", "left": obj{}, "right": strings.Trim(w[len(w)-2], `"`)}
			out = append(out, obj{"rule": obj{"chain": c, "expr": []obj{{"match": match}, {w[len(w)-1]: nil}}}})
		}
	}
	return json.NewEncoder(to).Encode(obj{"nftables": out})
}

// jsonValue writes an IPv4 range of 256 as a prefix, as nft does with those that are one.
func jsonValue(e elem) any {
	switch p, _ := e.First.Prefix(24); {
	case e.First == e.Last:
		return e.First.String()
	case e.First.Is4() && p.Addr() == e.First && last(p) == e.Last:
		return map[string]any{"prefix": map[string]any{"addr": e.First.String(), "len": 24}}
	default:
		return map[string]any{"range": []string{e.First.String(), e.Last.String()}}
	}
}

func (k kernel) drops(a netip.Addr, chain string) bool {
	set := blocked4
	if a.Is6() {
		set = blocked6
	}
	if !slices.ContainsFunc(k.Chains[chain], func(l string) bool { return strings.HasSuffix(l, "saddr @"+set+" drop") }) {
		return false
	}
	return slices.ContainsFunc(k.Sets[set], func(e elem) bool {
		return e.First.Compare(a) <= 0 && a.Compare(e.Last) <= 0 && time.Now().Before(e.Until)
	})
}

func (k kernel) size() (n int) {
	for _, es := range k.Sets {
		n += len(es)
	}
	return n
}
