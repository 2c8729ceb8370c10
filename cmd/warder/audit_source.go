package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/tlsconf"
)

// apiFlags say how a running Warder's API is reached.
type apiFlags struct{ url, tokenFile, caFile string }

func (f *apiFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "api", "http://127.0.0.1:9601", "`URL` of a running Warder's API")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "`FILE` with the API's bearer token")
	c.Flags().StringVar(&f.caFile, "ca-file", "", "`FILE` with the authority of the API's certificate, PEM")
}

// audit asks for the ledger.
func (f *apiFlags) audit(ctx context.Context) (io.ReadCloser, error) {
	base, err := url.Parse(f.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--api %.80q is not a URL such as https://warder.example.com:9601", f.url)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("api/v1/audit").String(), nil)
	if err != nil {
		return nil, usageError{fmt.Errorf("--api: %w", err)}
	}
	req.Header.Set("Accept", "application/x-ndjson")
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("--token-file: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(b)))
	}
	conf, err := tlsconf.Client{CAFile: f.caFile}.Config()
	if err != nil {
		return nil, usageError{fmt.Errorf("--ca-file: %w", err)}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("no answer from the API at %s: %w; is warder running? --api names another address, or give a FILE", base.Host, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	says, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // what it says is a help at best
	hint := ""
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		hint = "; give a token that may read the ledger with --token-file"
	}
	return nil, fmt.Errorf("the API at %s answers %s: %s%s", base.Host, resp.Status, console.Clean(strings.TrimSpace(string(says)), 200), hint)
}

// openLedger opens what a command verifies.
func openLedger(ctx context.Context, s streams, api apiFlags, args []string) (io.ReadCloser, error) {
	switch {
	case len(args) == 0:
		return api.audit(ctx)
	case args[0] == "-":
		return io.NopCloser(newInterruptible(ctx, s.in)), nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, usageError{err}
	}
	return f, nil
}
