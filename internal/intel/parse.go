package intel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Limits of one list.
const (
	// MaxEntries bounds the addresses and networks of a list.
	MaxEntries = 4 << 20
	// MaxFile bounds a list's file, in bytes.
	MaxFile = 256 << 20
	// MaxLine bounds a line, in bytes; a longer one is refused.
	MaxLine = 4 << 10
)

// Report says what became of a list's lines.
type Report struct {
	Entries int // addresses and networks, those that came twice once
	Refused int // lines that are neither that nor a comment
	// First is the number of the first refused line, from 1, and Why what is wrong with it; 0 and "" without one.
	First int
	Why   string
}

// parse reads a list: one address or network a line, as its first word; what follows it (ipsum's count, a comment) is left out.
// Comments begin with "#", ";" or "//". A list of which most lines are refused is an error: it is not what it should be.
func parse(r io.Reader) (*bart.Lite, Report, error) {
	table, rep := &bart.Lite{}, Report{}
	in := bufio.NewReaderSize(r, MaxLine)
	for no := 1; ; no++ {
		line, long, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, rep, fmt.Errorf("read line %d: %w", no, err)
		}
		if no == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		word := firstWord(line)
		if len(word) == 0 && !long {
			continue
		}
		prefix, why := network(word)
		if long {
			why = fmt.Sprintf("has more than %d bytes", MaxLine)
		}
		if why != "" {
			if rep.Refused++; rep.First == 0 {
				rep.First, rep.Why = no, why
			}
			continue
		}
		if rep.Entries == MaxEntries {
			return nil, rep, fmt.Errorf("line %d: more than %d entries", no, MaxEntries)
		}
		if !table.Get(prefix) {
			table.Insert(prefix)
			rep.Entries++
		}
	}
	if rep.Refused > rep.Entries {
		return nil, rep, fmt.Errorf("%d lines are no addresses and %d are, line %d %s; write one address or network a line", rep.Refused, rep.Entries, rep.First, rep.Why)
	}
	return table, rep, nil
}

// readLine returns the next line without its end. Of a line that is too long it returns the beginning.
func readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	line, err = in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, true, err
	case errors.Is(err, io.EOF) && len(line) > 0:
		err = nil // the last line may lack its end
	}
	return line, false, err
}

// firstWord returns what stands before white space, a comma or a comment; nothing for a comment.
func firstWord(line []byte) []byte {
	line = bytes.TrimLeft(line, " \t\r\n\"")
	if bytes.HasPrefix(line, []byte("//")) {
		return nil
	}
	if i := bytes.IndexAny(line, " \t\r\n,;#\""); i >= 0 {
		line = line[:i]
	}
	return line
}

// network reads an address or a network; why says what is wrong with it. IPv4 in IPv6 becomes IPv4, and bits behind the prefix are
// dropped.
func network(word []byte) (_ netip.Prefix, why string) {
	if bytes.IndexByte(word, '/') < 0 {
		a, err := netip.ParseAddr(string(word))
		if err != nil {
			return netip.Prefix{}, "is neither an address nor a network"
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	p, err := netip.ParsePrefix(string(word))
	switch {
	case err != nil:
		return netip.Prefix{}, "is neither an address nor a network"
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, "stands for every address"
	}
	return p.Masked(), ""
}
