// Package chdb binds libchdb, the ClickHouse engine as a shared library, without cgo: the library is opened at run time.
//
// A process can open one data path, and a data path can be open in one process. The engine shares the process's memory and
// signals, so Warder only ever loads it in a child process (see internal/engine).
package chdb

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Library is a loaded libchdb. Its methods are safe for concurrent use. It cannot be unloaded.
type Library struct {
	fn      functions
	mu      sync.Mutex // guards opening: the engine's start is not reentrant
	signals savedSignals
}

// functions are libchdb's C functions that Warder calls; the names are those of chdb.h in chdb-io/chdb.
type functions struct {
	connect      func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn    func(conn unsafe.Pointer)
	query        func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr) unsafe.Pointer
	queryParams  func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer
	stream       func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr) unsafe.Pointer
	streamParams func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer
	streamFetch  func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamCancel func(conn, stream unsafe.Pointer)
	destroy      func(result unsafe.Pointer)
	buffer       func(result unsafe.Pointer) unsafe.Pointer
	length       func(result unsafe.Pointer) uintptr
	failure      func(result unsafe.Pointer) string
	elapsed      func(result unsafe.Pointer) float64
	rowsRead     func(result unsafe.Pointer) uint64
	storageRows  func(result unsafe.Pointer) uint64
	storageBytes func(result unsafe.Pointer) uint64
	rowsWritten  func(result unsafe.Pointer) uint64
}

// symbols maps each C function's name to where its address goes.
func (f *functions) symbols() map[string]any {
	return map[string]any{
		"chdb_connect":                    &f.connect,
		"chdb_close_conn":                 &f.closeConn,
		"chdb_query_n":                    &f.query,
		"chdb_query_with_params_n":        &f.queryParams,
		"chdb_stream_query_n":             &f.stream,
		"chdb_stream_query_with_params_n": &f.streamParams,
		"chdb_stream_fetch_result":        &f.streamFetch,
		"chdb_stream_cancel_query":        &f.streamCancel,
		"chdb_destroy_query_result":       &f.destroy,
		"chdb_result_buffer":              &f.buffer,
		"chdb_result_length":              &f.length,
		"chdb_result_error":               &f.failure,
		"chdb_result_elapsed":             &f.elapsed,
		"chdb_result_rows_read":           &f.rowsRead,
		"chdb_result_storage_rows_read":   &f.storageRows,
		"chdb_result_storage_bytes_read":  &f.storageBytes,
		"chdb_result_rows_written":        &f.rowsWritten,
	}
}

// Load opens the library file. The error tells whether the file cannot be loaded or is not a libchdb that this program knows.
func Load(path string) (*Library, error) {
	l := &Library{signals: saveSignals()}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load the engine library: %w", err)
	}
	for name, target := range l.fn.symbols() {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("the engine library %s has no function %s: it is not libchdb, or of another version: %w", path, name, err)
		}
		purego.RegisterFunc(target, address)
	}
	l.signals.restore()
	return l, nil
}
