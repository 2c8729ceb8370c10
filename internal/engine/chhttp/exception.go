package chhttp

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// fail answers with an exception. It must come before anything of the body.
func (s *Server) fail(w http.ResponseWriter, err error) {
	msg := strings.TrimSpace(err.Error())
	code := exceptionCode(msg)
	if code == "" {
		code = "1002"
		msg = "Code: 1002. DB::Exception: " + msg + " (UNKNOWN_EXCEPTION)"
	}
	h := w.Header()
	h.Set("X-ClickHouse-Exception-Code", code)
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Del("Content-Encoding")
	h.Del("X-ClickHouse-Exception-Tag")
	w.WriteHeader(exceptionStatus(code))
	_, _ = fmt.Fprintf(w, "%s (version %s (chdb))\n", msg, s.version)
}

// failLate reports an exception behind a part of the result, in the frame that clients look for at the end of a body.
func failLate(w io.Writer, tag string, err error) {
	msg := err.Error()
	_, _ = fmt.Fprintf(w, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", tag, msg, len(msg), tag)
}

// exceptionCode returns the number in "Code: N. DB::Exception: …", "" when there is none.
func exceptionCode(msg string) string {
	rest, ok := strings.CutPrefix(msg, "Code: ")
	if !ok {
		return ""
	}
	end := 0
	for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	if end == 0 || end > 5 || !strings.HasPrefix(rest[end:], ".") {
		return ""
	}
	return rest[:end]
}

// exceptionStatus maps a code to a status as exceptionCodeToHTTPStatus in ClickHouse's HTTPHandler does.
func exceptionStatus(code string) int {
	switch code {
	case "194", "516", "497", "164":
		return http.StatusForbidden
	case "27", "34", "38", "41", "42", "43", "46", "47", "53", "62", "63", "69", "72", "117", "130", "456", "457":
		return http.StatusBadRequest
	case "60", "81", "115":
		return http.StatusNotFound
	case "159":
		return http.StatusRequestTimeout
	case "202":
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// exception returns an error in the form in which ClickHouse reports its own; clients read code and name from it. The codes are
// those of ClickHouse's ErrorCodes.cpp.
func exception(code int, name, text string) error {
	//lint:ignore ST1005 ClickHouse's form
	return fmt.Errorf("Code: %d. DB::Exception: %s (%s)", code, text, name)
}
