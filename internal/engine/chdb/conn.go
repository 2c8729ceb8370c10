package chdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"
)

// errClosed is returned by every method of a closed connection.
var errClosed = errors.New("the engine connection is closed")

// Conn is one session with the engine: its settings, current database and temporary tables. Its methods are safe for
// concurrent use but run one statement at a time; open several for parallelism (0.3 ms each).
type Conn struct {
	lib *Library
	mu  sync.Mutex
	h   unsafe.Pointer // chdb_connection *; nil once closed
}

// Stats is what the engine says about a statement that ended well.
type Stats struct {
	Seconds      float64
	ResultRows   uint64
	StorageRows  uint64 // read from tables
	StorageBytes uint64
	WrittenRows  uint64
}

// Open connects to the data path, which becomes this process's for good. options are further command-line options of
// `clickhouse local`, "--name=value". The folder is made when it is not there.
func (l *Library) Open(path string, options ...string) (*Conn, error) {
	// On a path without metadata/ the engine never starts its drop task, and DROP ... SYNC hangs for ever.
	if err := os.MkdirAll(filepath.Join(path, "metadata"), 0o700); err != nil {
		return nil, fmt.Errorf("make the engine's data folder: %w", err)
	}
	argv := append([]string{"clickhouse", "--path=" + path}, options...)
	ptrs := make([]*byte, len(argv)+1)
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, a := range argv {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		ptrs[i] = &b[0]
	}
	pin.Pin(&ptrs[0])

	l.mu.Lock()
	h := l.fn.connect(int32(len(argv)), unsafe.Pointer(&ptrs[0]))
	l.signals.restore() // the engine replaces Go's handlers on every connect
	l.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("the engine cannot open the data folder %s: another process may hold it, or it is damaged; the engine's own message is in the log", path)
	}
	return &Conn{lib: l, h: h}, nil
}

// Close ends the session. It waits for the running statement. Further calls do nothing.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.h != nil {
		c.lib.fn.closeConn(c.h)
		c.h = nil
	}
}

// inner is the pointer that the query functions take: chdb_connection points to it.
func (c *Conn) inner() unsafe.Pointer { return *(*unsafe.Pointer)(c.h) }

// Exec runs a statement whose output does not matter.
func (c *Conn) Exec(sql string) error {
	_, _, err := c.Query([]byte(sql), "Null", nil)
	return err
}

// Query runs one statement and returns a copy of its output in the format. params fill {name:Type} places. An error of the
// engine starts with "Code: N. DB::Exception:".
func (c *Conn) Query(sql []byte, format string, params map[string]string) ([]byte, Stats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.h == nil {
		return nil, Stats{}, errClosed
	}
	f := []byte(format)
	var r unsafe.Pointer
	if len(params) > 0 {
		p := pinParameters(params)
		r = c.lib.fn.queryParams(c.inner(), start(sql), uintptr(len(sql)), start(f), uintptr(len(f)),
			unsafe.Pointer(&p.names[0]), unsafe.Pointer(&p.nameLens[0]), unsafe.Pointer(&p.values[0]), unsafe.Pointer(&p.valueLens[0]), uintptr(len(params)))
		p.pin.Unpin()
	} else {
		r = c.lib.fn.query(c.inner(), start(sql), uintptr(len(sql)), start(f), uintptr(len(f)))
	}
	runtime.KeepAlive(sql)
	runtime.KeepAlive(f)
	return c.lib.take(r)
}

// take copies a result's output and frees the result.
func (l *Library) take(r unsafe.Pointer) ([]byte, Stats, error) {
	if r == nil {
		return nil, Stats{}, errors.New("the engine gave no result")
	}
	defer l.fn.destroy(r)
	if msg := l.fn.failure(r); msg != "" {
		return nil, Stats{}, errors.New(msg)
	}
	var out []byte
	if n := l.fn.length(r); n > 0 {
		out = append(out, unsafe.Slice((*byte)(l.fn.buffer(r)), n)...)
	}
	return out, Stats{
		Seconds:      l.fn.elapsed(r),
		ResultRows:   l.fn.rowsRead(r),
		StorageRows:  l.fn.storageRows(r),
		StorageBytes: l.fn.storageBytes(r),
		WrittenRows:  l.fn.rowsWritten(r),
	}, nil
}

// Stream runs a SELECT and calls fn with each chunk of formatted output. The chunk is only valid during the call. When fn
// fails the statement is cancelled and fn's error is returned.
func (c *Conn) Stream(sql []byte, format string, params map[string]string, fn func(chunk []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.h == nil {
		return errClosed
	}
	f := []byte(format)
	var s unsafe.Pointer
	if len(params) > 0 {
		p := pinParameters(params)
		s = c.lib.fn.streamParams(c.inner(), start(sql), uintptr(len(sql)), start(f), uintptr(len(f)),
			unsafe.Pointer(&p.names[0]), unsafe.Pointer(&p.nameLens[0]), unsafe.Pointer(&p.values[0]), unsafe.Pointer(&p.valueLens[0]), uintptr(len(params)))
		p.pin.Unpin()
	} else {
		s = c.lib.fn.stream(c.inner(), start(sql), uintptr(len(sql)), start(f), uintptr(len(f)))
	}
	runtime.KeepAlive(sql)
	runtime.KeepAlive(f)
	if s == nil {
		return errors.New("the engine gave no result")
	}
	defer c.lib.fn.destroy(s)
	if msg := c.lib.fn.failure(s); msg != "" {
		return errors.New(msg)
	}
	for {
		more, err := c.fetch(s, fn)
		if err != nil || !more {
			return err
		}
	}
}

// fetch hands over the stream's next chunk and tells whether there may be more.
func (c *Conn) fetch(s unsafe.Pointer, fn func([]byte) error) (bool, error) {
	r := c.lib.fn.streamFetch(c.inner(), s)
	if r == nil {
		return false, errors.New("the engine gave no chunk")
	}
	defer c.lib.fn.destroy(r)
	if msg := c.lib.fn.failure(r); msg != "" {
		return false, errors.New(msg)
	}
	n := c.lib.fn.length(r)
	if n == 0 {
		return false, nil
	}
	if err := fn(unsafe.Slice((*byte)(c.lib.fn.buffer(r)), n)); err != nil {
		c.lib.fn.streamCancel(c.inner(), s)
		return false, err
	}
	return true, nil
}

// start returns the address of b's first byte; of some byte when b is empty, because the engine does not take NULL.
func start(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return unsafe.Pointer(new(byte))
	}
	return unsafe.Pointer(&b[0])
}

// parameters are names and values laid out for C; they stay where they are until pin.Unpin.
type parameters struct {
	pin                 runtime.Pinner
	names, values       []unsafe.Pointer
	nameLens, valueLens []uintptr
}

func pinParameters(m map[string]string) *parameters {
	p := new(parameters)
	for k, v := range m {
		kb, vb := []byte(k+"\x00"), []byte(v+"\x00")
		p.pin.Pin(&kb[0])
		p.pin.Pin(&vb[0])
		p.names = append(p.names, unsafe.Pointer(&kb[0]))
		p.values = append(p.values, unsafe.Pointer(&vb[0]))
		p.nameLens = append(p.nameLens, uintptr(len(k)))
		p.valueLens = append(p.valueLens, uintptr(len(v)))
	}
	p.pin.Pin(&p.names[0])
	p.pin.Pin(&p.values[0])
	p.pin.Pin(&p.nameLens[0])
	p.pin.Pin(&p.valueLens[0])
	return p
}
