package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Lines calls fn for each line of r, without its line feed; the bytes are only good during the call. A line that is too long is given
// up to its limit, which no entry reaches, and the rest of it is passed over. An error of fn ends it and is returned as it is.
func Lines(r io.Reader, fn func([]byte) error) error {
	br := bufio.NewReaderSize(r, MaxLine+2)
	for {
		b, err := br.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if len(b) > 0 {
			if ferr := fn(bytes.TrimSuffix(b, []byte("\n"))); ferr != nil {
				return ferr
			}
		}
		for long && errors.Is(err, bufio.ErrBufferFull) {
			_, err = br.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the ledger: %w", err)
		}
	}
}
