package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The ledger of a running Warder is verified, exported and headed as a file is.
func TestAuditOverTheAPI(t *testing.T) {
	fixture, err := txtar.ParseFile(filepath.Join("testdata", "script", "audit.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range fixture.Files {
		files[f.Name] = f.Data
	}
	cut := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/api/v1/audit":
			http.NotFound(w, r)
		case r.Header.Get("Authorization") != "Bearer secret":
			http.Error(w, "no \x1b[31mtoken", http.StatusUnauthorized)
		case cut:
			w.Header().Set("Content-Length", "100000")
			fallthrough
		default:
			_, _ = w.Write(files["ledger.jsonl"])
		}
	}))
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (code int, out, errs string) {
		var o, e bytes.Buffer
		code = run(append([]string{"audit", args[0], "--api", srv.URL}, args[1:]...), streams{strings.NewReader(""), &o, &e})
		return code, o.String(), e.String()
	}
	if code, out, errs := call("verify", "--token-file", token); code != exitOK || !strings.Contains(out, "6 entries in 2 chains") {
		t.Errorf("verify: %d, %s%s", code, out, errs)
	}
	if code, out, errs := call("export", "--token-file", token); code != exitOK || out != string(files["ledger.jsonl"]) {
		t.Errorf("export: %d, %s%s", code, out, errs)
	}
	if code, out, errs := call("head", "--token-file", token); code != exitOK || out != string(files["heads.golden"]) {
		t.Errorf("head: %d, %s%s", code, out, errs)
	}
	if code, _, errs := call("verify", "--token-file", wrong); code != exitFailed || !strings.Contains(errs, "127.0.0.1") || strings.Contains(errs, "\x1b") {
		t.Errorf("with a wrong token: %d, %s", code, errs)
	}
	cut = true
	if code, _, errs := call("verify", "--token-file", token); code != exitFailed || !strings.Contains(errs, "read the ledger") {
		t.Errorf("cut off: %d, %s", code, errs)
	}
}
