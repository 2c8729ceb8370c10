package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/outbound"
)

// Bounds of the runtime API. HAProxy takes a request into one buffer (tune.bufsize, 16 KiB by default).
const (
	maxRequest = 8 << 10
	maxLine    = 8 << 10
)

// runtime is HAProxy's runtime API (HAProxy's management guide, section 9.3): one request a connection, which HAProxy closes after the
// answer. An answer ends with an empty line; there is no status, an error is a text.
type runtime struct{ network, address string }

// ask sends a request and passes each line of the answer that is not empty to fn.
func (r *runtime) ask(ctx context.Context, request string, fn func(line string) error) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, r.network, r.address)
	if err != nil {
		return fmt.Errorf("haproxy: runtime API: %w (is HAProxy up, and may Warder use its stats socket?)", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, request+"\n"); err != nil {
		return failed(ctx, err)
	}
	if err := lines(conn, fn); err != nil {
		return failed(ctx, err)
	}
	return nil
}

// failed prefers the context's reason to that of the connection which it closed.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("haproxy: runtime API: %w", err)
}

// lines passes on what is not empty, until the end.
func lines(from io.Reader, fn func(string) error) error {
	s := bufio.NewScanner(from)
	s.Buffer(make([]byte, 0, 4<<10), maxLine)
	for n := 0; s.Scan(); n++ {
		if n > 2*active.MaxEntries {
			return errors.New("the answer does not end")
		}
		if s.Text() == "" {
			continue
		}
		if err := fn(s.Text()); err != nil {
			return err
		}
	}
	return s.Err()
}

// do sends a request that has nothing to say when it succeeds, or one of the allowed texts.
func (r *runtime) do(ctx context.Context, request string, allowed ...string) error {
	return r.ask(ctx, request, func(line string) error {
		for _, a := range allowed {
			if line == a {
				return nil
			}
		}
		return said(line)
	})
}

func said(line string) error { return fmt.Errorf("HAProxy says %q", outbound.Snippet(line)) }

// read returns the map's entries. extra counts further entries of the same key.
func (r *runtime) read(ctx context.Context, file string) (have map[string]string, extra int, err error) {
	have = map[string]string{}
	err = r.ask(ctx, "show map "+file, func(line string) error {
		k, v, err := entryOf(line)
		if err != nil {
			return err
		}
		if _, ok := have[k]; ok {
			extra++
		}
		have[k] = v
		return nil
	})
	return have, extra, err
}

// entryOf reads "0x56170c871b20 key value".
func entryOf(line string) (key, value string, err error) {
	id, rest, _ := strings.Cut(line, " ")
	key, value, ok := strings.Cut(rest, " ")
	if !strings.HasPrefix(id, "0x") || key == "" || !ok {
		if strings.HasPrefix(line, "Unknown map") {
			return "", "", fmt.Errorf("%w (HAProxy's configuration must use the map files of docs/gateways/haproxy.md below the folder \"maps\")", said(line))
		}
		return "", "", said(line)
	}
	return key, value, nil
}

// pid is the process that answers: another one has maps of its own.
func (r *runtime) pid(ctx context.Context) (pid string, err error) {
	err = r.ask(ctx, "show info", func(line string) error {
		if v, ok := strings.CutPrefix(line, "Pid: "); ok {
			pid = v
		}
		return nil
	})
	return pid, err
}

// replace makes the entries the map's only ones, at one moment for all requests (HAProxy 2.4).
func (r *runtime) replace(ctx context.Context, file string, want map[string]string) error {
	version := -1
	err := r.ask(ctx, "prepare map "+file, func(line string) error {
		n, ok := strings.CutPrefix(line, "New version created: ")
		v, err := strconv.ParseUint(n, 10, 32)
		if !ok || err != nil {
			return said(line)
		}
		version = int(v)
		return nil
	})
	if err != nil {
		return err
	}
	if version < 0 {
		return errors.New("haproxy: prepare map: no answer (HAProxy 2.4 or later is needed)")
	}
	at := fmt.Sprintf("@%d %s", version, file)
	if err := r.add(ctx, at, want); err != nil {
		return err
	}
	return r.do(ctx, "commit map "+at)
}

// add adds entries as payloads that fit into HAProxy's buffer.
func (r *runtime) add(ctx context.Context, to string, entries map[string]string) error {
	head := "add map " + to + " <<\n"
	var b strings.Builder
	flush := func() error {
		if b.Len() == 0 {
			return nil
		}
		defer b.Reset()
		return r.do(ctx, head+b.String())
	}
	for k, v := range entries {
		if len(head)+b.Len()+len(k)+len(v)+3 > maxRequest {
			if err := flush(); err != nil {
				return err
			}
		}
		b.WriteString(k + " " + v + "\n")
	}
	return flush()
}

// commands sends many commands, as many at once as fit.
func (r *runtime) commands(ctx context.Context, all []string, allowed ...string) error {
	var b strings.Builder
	for i, c := range all {
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(c)
		if i+1 < len(all) && b.Len()+len(all[i+1])+2 < maxRequest {
			continue
		}
		if err := r.do(ctx, b.String(), allowed...); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}
