package chhttp

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
)

// frameSize is how much of the output goes into one compressed frame, in bytes.
const frameSize = 1 << 20

// encoder writes the answer's body with the compression that the client asked for: ClickHouse's own frames (compress=1) or
// HTTP's (enable_http_compression=1 and Accept-Encoding).
type encoder struct {
	w      io.Writer
	frames *compress.Writer // nil without frames
	rc     *http.ResponseController
}

func newEncoder(w http.ResponseWriter, r *http.Request) *encoder {
	q := r.URL.Query()
	e := &encoder{w: w, rc: http.NewResponseController(w)}
	if q.Get("compress") == "1" {
		method := compress.LZ4
		if strings.EqualFold(q.Get("network_compression_method"), "ZSTD") {
			method = compress.ZSTD
		}
		e.frames = compress.NewWriter(compress.LevelZero, method)
		return e
	}
	if q.Get("enable_http_compression") != "1" {
		return e
	}
	accept := r.Header.Get("Accept-Encoding")
	switch {
	case strings.Contains(accept, "gzip"):
		w.Header().Set("Content-Encoding", "gzip")
		e.w = gzip.NewWriter(w)
	case strings.Contains(accept, "deflate"):
		w.Header().Set("Content-Encoding", "deflate")
		e.w = zlib.NewWriter(w)
	case strings.Contains(accept, "br"):
		w.Header().Set("Content-Encoding", "br")
		e.w = brotli.NewWriter(w)
	}
	return e
}

func (e *encoder) write(b []byte) error {
	if e.frames == nil {
		if len(b) == 0 {
			return nil
		}
		_, err := e.w.Write(b)
		return err
	}
	for len(b) > 0 {
		n := min(len(b), frameSize)
		if err := e.frames.Compress(b[:n]); err != nil {
			return err
		}
		if _, err := e.w.Write(e.frames.Data); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// flush sends what was written so far.
func (e *encoder) flush() error {
	if f, ok := e.w.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			return err
		}
	}
	return e.rc.Flush()
}

// close ends the body.
func (e *encoder) close() error {
	if c, ok := e.w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// contentType returns what ClickHouse calls the output of a format.
func contentType(format string) string {
	switch format {
	case "JSON", "JSONCompact", "JSONStrings":
		return "application/json; charset=UTF-8"
	case "JSONEachRow", "JSONCompactEachRow":
		return "application/x-ndjson; charset=UTF-8"
	case "CSV", "CSVWithNames", "CSVWithNamesAndTypes":
		return "text/csv; charset=UTF-8"
	case "Native", "RowBinary", "RowBinaryWithNamesAndTypes", "Parquet", "Arrow", "ArrowStream":
		return "application/octet-stream"
	}
	return "text/tab-separated-values; charset=UTF-8"
}
