package intel_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/intel"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// lists writes each text into a file and opens them under the names a, b, c, …
func lists(t testing.TB, texts ...string) (*intel.Lists, error) {
	t.Helper()
	dir := t.TempDir()
	var sources []intel.Source
	for i, text := range texts {
		s := intel.Source{Name: string(rune('a' + i)), Path: filepath.Join(dir, fmt.Sprint(i))}
		write(t, s.Path, text)
		sources = append(sources, s)
	}
	return intel.Open(sources...)
}

func TestLookup(t *testing.T) {
	l, err := lists(t,
		"\ufeff# a feed\n203.0.113.9\t7\n198.51.100.0/24 ; a network\n2001:db8::/32,comment\r\n",
		"203.0.113.0/24\n\"192.0.2.1\",x\n::ffff:192.0.2.2\n::ffff:192.0.2.16/124\n198.51.100.77/25#bits",
		"#nothing yet\n")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string][]string{
		"203.0.113.9": {"a", "b"}, "203.0.113.10": {"b"}, "::ffff:203.0.113.9": {"a", "b"}, "198.51.100.1": {"a", "b"}, "198.51.100.200": {"a"},
		"2001:db8::1": {"a"}, "2001:db8::1%eth0": {"a"}, "2001:db9::": nil, "192.0.2.1": {"b"}, "192.0.2.2": {"b"}, "192.0.2.31": {"b"}, "192.0.2.32": nil,
	} {
		if diff := cmp.Diff(want, l.Lookup(netip.MustParseAddr(address))); diff != "" {
			t.Errorf("%s: %s", address, diff)
		}
	}
	if got := l.Lookup(netip.Addr{}); got != nil {
		t.Errorf("no address is on %q", got)
	}
	a := netip.MustParseAddr("203.0.113.10")
	if n := testing.AllocsPerRun(100, func() { l.Lookup(a) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
	_ = append(l.Lookup(a), "x") // who appends does not change what the next one gets
	if diff := cmp.Diff([]string{"b"}, l.Lookup(a)); diff != "" {
		t.Error(diff)
	}
}

func TestReports(t *testing.T) {
	l, err := lists(t, "203.0.113.9\n// comment\n203.0.113.9 again\n\nexample.com\n203.0.113.0/24\n0.0.0.0/0\n::/0\n192.0.2.1\n2001:db8::1\n"+
		"192.0.2.9\n192.0.2.10\n"+strings.Repeat("9", 2*intel.MaxLine)+"\n192.0.2.11")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]intel.Report{"a": {Entries: 7, Refused: 4, First: 5, Why: "is neither an address nor a network"}}
	if diff := cmp.Diff(want, l.Reports()); diff != "" {
		t.Error(diff)
	}
	if l.Lookup(netip.MustParseAddr("8.8.8.8")) != nil {
		t.Error("a network of every address counts")
	}
	if l.Lookup(netip.MustParseAddr("192.0.2.11")) == nil {
		t.Error("the last line, without an end, is lost")
	}
}

func TestOpenErrors(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"empty":        {"", "it is empty"},
		"web page":     {"<!doctype html>\n<p>Not found</p>\n", "line 1 is neither an address nor a network"},
		"mostly names": {"203.0.113.9\nexample.com\nexample.org\n", "2 lines are no addresses and 1 are, line 2 "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lists(t, "203.0.113.9\n", tc.text)
			var fault *intel.ListError
			if !errors.As(err, &fault) || fault.Index != 1 || fault.Name != "b" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	_, err := intel.Open(intel.Source{Name: "gone", Path: filepath.Join(t.TempDir(), "no.txt")}, intel.Source{Name: "folder", Path: t.TempDir()},
		intel.Source{Name: "a b", Path: "x"}, intel.Source{Name: "gone", Path: "x"})
	for _, want := range []string{"list gone, file ", "no such file; download it", "list folder", "not a regular file", `"a b" is not a list's name`, "another list has this name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := intel.Open(make([]intel.Source, intel.MaxLists+1)...); err == nil {
		t.Error("any number of lists is taken")
	}
}

func TestRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed.txt")
	write(t, path, "203.0.113.9\n")
	l, err := intel.Open(intel.Source{Name: "feed", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	check := func(address string, changed int, fault string, stale int) {
		t.Helper()
		names, err := l.Refresh()
		if len(names) != changed || (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Fatalf("refresh: changed %q, error %v; want %d, %q", names, err, changed, fault)
		}
		if l.Lookup(netip.MustParseAddr(address)) == nil || l.Stale() != stale {
			t.Fatalf("%s is on no list, or %d are stale, want %d", address, l.Stale(), stale)
		}
	}
	check("203.0.113.9", 0, "", 0)
	write(t, path, "203.0.113.10\n203.0.113.11\n")
	check("203.0.113.10", 1, "", 0)
	write(t, path, "<html>\n")
	check("203.0.113.10", 0, "list feed, file "+path, 1)
	check("203.0.113.10", 0, "", 1) // said once
	write(t, path, "")
	check("203.0.113.10", 0, "it is empty", 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("203.0.113.10", 0, "no such file", 1)
	write(t, path, "203.0.113.12\n")
	check("203.0.113.12", 1, "", 0)
}
