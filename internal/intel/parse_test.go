package intel

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse gives hostile lists: every entry must be found again, nothing may stand for every address, and each line counts once.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"203.0.113.9\t7\n# x\n2001:db8::/32\n", "0.0.0.0/0\n::ffff:0.0.0.0/96", "\ufeff1.2.3.4;x\r\n", "::1%a\n\"1.2.3.4\",2", "<html>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		table, rep, err := parse(strings.NewReader(s))
		if rep.Entries+rep.Refused > strings.Count(s, "\n")+1 {
			t.Fatalf("%+v of %d lines", rep, strings.Count(s, "\n")+1)
		}
		if err != nil {
			return
		}
		n := 0
		for p := range table.All() {
			n++
			if !table.Contains(p.Addr()) || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() && p.Bits() >= 96 {
				t.Fatalf("entry %s", p)
			}
		}
		if n != rep.Entries {
			t.Fatalf("%d entries, reported %d", n, rep.Entries)
		}
	})
}

func spread(i uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], i*2654435761)
	return netip.AddrFrom4(b)
}

// BenchmarkLists reads a list of a million entries, and looks addresses up in it and seven more of 15,000.
func BenchmarkLists(b *testing.B) {
	dir := b.TempDir()
	var sources []Source
	for k, n := range []uint32{1_000_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000} {
		var text strings.Builder
		for i := range n {
			text.WriteString(spread(uint32(k) + i).String())
			text.WriteString("\t3\n")
		}
		s := Source{Name: string(rune('a' + k)), Path: filepath.Join(dir, string(rune('a'+k)))}
		if err := os.WriteFile(s.Path, []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		sources = append(sources, s)
	}
	b.Run("read=1000000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := load(sources[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, n := range map[string]int{"lists=1": 1, "lists=8": 8} {
		l, err := Open(sources[:n]...)
		if err != nil {
			b.Fatal(err)
		}
		for where, base := range map[string]uint32{"listed": 0, "unlisted": 2_000_000} {
			b.Run(name+"/"+where, func(b *testing.B) {
				b.ReportAllocs()
				i := uint32(0)
				for b.Loop() {
					l.Lookup(spread(base + i%1_000_000))
					i++
				}
			})
		}
	}
}
