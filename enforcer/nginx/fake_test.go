package nginx

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer/gatewaytest"
)

// asNGINX makes the test program a fake nginx: "test" and a file, "reload", a file and where to put it.
const asNGINX = "as-nginx"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == asNGINX {
		if err := fakeNGINX(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "nginx: [emerg] "+err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func fakeNGINX(args []string) error {
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	if _, err := parse(string(text)); err != nil || args[0] == "test" {
		return err
	}
	return os.WriteFile(args[2], text, 0o600)
}

// rules is what a file says.
type rules struct {
	networks   map[netip.Prefix]string
	principals map[string]string
	agents     map[string]string
}

// parse takes what render writes, and nothing else.
func parse(text string) (r rules, err error) {
	r = rules{map[netip.Prefix]string{}, map[string]string{}, map[string]string{}}
	ws, err := tokens(text)
	if err != nil {
		return r, err
	}
	var section string
	for len(ws) > 0 {
		switch {
		case section == "" && len(ws) > 2 && ws[0] == "geo" && ws[1] == "$warder_blocked_address" && ws[2] == "{":
			section, ws = "geo", ws[3:]
		case section == "" && len(ws) > 3 && ws[0] == "map" && ws[3] == "{":
			section, ws = ws[2], ws[4:]
		case section == "":
			return r, fmt.Errorf("unknown directive %q", ws[0])
		case ws[0] == "}":
			section, ws = "", ws[1:]
		case len(ws) < 3 || ws[2] != ";":
			return r, fmt.Errorf("invalid number of parameters: %q", ws)
		default:
			if err := r.add(section, ws[0], ws[1]); err != nil {
				return r, err
			}
			ws = ws[3:]
		}
	}
	if section != "" {
		return r, errors.New(`unexpected end of file, expecting "}"`)
	}
	return r, nil
}

func (r rules) add(section, key, value string) error {
	switch {
	case key == "default":
		return nil
	case strings.ContainsAny(value, "$ \"';{}\\"):
		return fmt.Errorf("strange value %q", value)
	case section == "geo":
		p, err := netip.ParsePrefix(key)
		if _, twice := r.networks[p]; twice {
			return fmt.Errorf("duplicate network %q", key)
		}
		r.networks[p] = value
		return err
	}
	text, err := literal(key)
	if section == "$warder_blocked" {
		r.agents[text] = value
	} else {
		r.principals[text] = value
	}
	return err
}

// literal returns the only text that the regular expression matches.
func literal(s string) (string, error) {
	s, begins := strings.CutPrefix(s, `~\A`)
	s, ends := strings.CutSuffix(s, `\z`)
	if !begins || !ends {
		return "", fmt.Errorf("%q is not anchored", s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if plain(rune(s[i])) {
			b.WriteByte(s[i])
			continue
		}
		if s[i] != '\\' || i+3 >= len(s) || s[i+1] != 'x' {
			return "", fmt.Errorf("%q has a meaning of its own at %d", s, i)
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(n))
		i += 3
	}
	return b.String(), nil
}

// tokens reads NGINX's configuration syntax: words, quoted words, and { } ;.
func tokens(text string) (out []string, err error) {
	for len(text) > 0 {
		switch c := text[0]; {
		case c == '#':
			_, text, _ = strings.Cut(text, "\n")
		case strings.IndexByte(" \t\r\n", c) >= 0:
			text = text[1:]
		case strings.IndexByte("{};", c) >= 0:
			out, text = append(out, text[:1]), text[1:]
		case c == '"':
			end := strings.IndexByte(text[1:], '"') + 1
			if end == 0 || strings.Contains(text[:end], `\"`) || strings.Contains(text[:end], "\n") {
				return nil, errors.New("a quoted word does not end in its line")
			}
			out, text = append(out, text[1:end]), text[end+1:]
		default:
			n := strings.IndexAny(text, " \t\r\n{};\"'\\")
			if n <= 0 {
				return nil, fmt.Errorf("strange character %q", c)
			}
			out, text = append(out, text[:n]), text[n:]
		}
	}
	return out, nil
}

func (r rules) ask(q gatewaytest.Request) gatewaytest.Answer {
	for p := range r.networks {
		if p.Contains(q.Address) {
			return gatewaytest.Answer{Status: 403}
		}
	}
	if r.principals[q.Principal] != "" || r.agents[q.UserAgent] != "" {
		return gatewaytest.Answer{Status: 403}
	}
	return gatewaytest.Answer{Status: 200}
}
