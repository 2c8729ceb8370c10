package chhttp

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/warder/warder/internal/engine/chdb"
)

// errTooLarge answers a request whose body is above the limit.
var errTooLarge = exception(307, "TOO_MANY_BYTES", "The request's body is larger than the embedded engine takes.")

// input is a request's statement and the data that came beside it.
type input struct {
	sql []byte
	// data is what follows the statement's own text; nil when there is nothing.
	data io.Reader
}

// body returns the request's body with its compressions taken off, bounded.
func (s *Server) body(r *http.Request, q url.Values) (io.Reader, error) {
	var rd io.Reader = r.Body
	var err error
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		rd, err = gzip.NewReader(rd)
	case "deflate":
		rd, err = zlib.NewReader(rd)
	case "br":
		rd = brotli.NewReader(rd)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(rd, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20)); err == nil {
			rd = z
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decompress the request's body: %w", err)
	}
	if q.Get("decompress") == "1" {
		rd = &frames{compress.NewReader(rd)}
	}
	return &bounded{rd: rd, left: s.cfg.MaxBody}, nil
}

// frames reads ClickHouse's own compressed frames; ch-go wraps the clean end of the stream in an error.
type frames struct{ r *compress.Reader }

func (f *frames) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// bounded fails, instead of ending, when there is more than the limit.
type bounded struct {
	rd   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.rd.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// readStatement reads a statement's text.
func readStatement(rd io.Reader) ([]byte, error) {
	return io.ReadAll(&bounded{rd: rd, left: maxStatement})
}

// input takes the statement out of the request: from the URL, with data in the body; or from the body.
func (s *Server) input(r *http.Request, q url.Values) (input, error) {
	body, err := s.body(r, q)
	if err != nil {
		return input{}, err
	}
	if sql := q.Get("query"); sql != "" {
		return input{sql: []byte(sql), data: body}, nil
	}
	sql, err := readStatement(body)
	if err != nil {
		return input{}, err
	}
	return input{sql: sql}, nil
}

// isMultipart tells whether the request carries external tables.
func isMultipart(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data")
}

// multipart reads a request with external tables: each becomes a temporary table of the connection. The parts are read in
// order, one at a time.
func (s *Server) multipart(c *chdb.Conn, r *http.Request, q url.Values) (input, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, s.cfg.MaxBody)
	mr, err := r.MultipartReader()
	if err != nil {
		return input{}, err
	}
	in := input{sql: []byte(q.Get("query"))}
	for {
		part, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			return in, nil
		}
		if err != nil {
			return input{}, err
		}
		if part.FormName() == "query" {
			if in.sql, err = readStatement(part); err != nil {
				return input{}, err
			}
			continue
		}
		if err = s.externalTable(c, part, q); err != nil {
			return input{}, err
		}
	}
}

// externalTable makes the temporary table that a part of a multipart request describes.
func (s *Server) externalTable(c *chdb.Conn, part *multipart.Part, q url.Values) error {
	name := part.FormName()
	structure, format := q.Get(name+"_structure"), q.Get(name+"_format")
	if structure == "" {
		return nil
	}
	if err := c.Exec("CREATE TEMPORARY TABLE " + quoteName(name) + " (" + structure + ") ENGINE=Memory"); err != nil {
		return err
	}
	st := statement{sql: []byte("INSERT INTO " + quoteName(name)), inline: true, format: format}
	st.head, st.data = len(st.sql), len(st.sql)
	st.settings = st.head
	_, err := s.insert(c, st, part, nil)
	return err
}
