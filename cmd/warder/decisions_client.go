package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/apiclient"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/tlsconf"
)

const (
	maxIDSearch = 100_000 // decisions looked through for a shortened id
	wholeID     = 32      // digits
)

// apiFlags say where the API is and who asks.
type apiFlags struct{ url, tokenFile, caFile string }

func (f *apiFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "api", "", "the API's `URL` (default $WARDER_API, else http://127.0.0.1:9601)")
	fs.StringVar(&f.tokenFile, "token-file", "",
		"`file` with the token (default $WARDER_API_TOKEN itself, else api.token in the data folder of warder up)")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM `file` with the authorities that vouch for an https API")
}

// apiClient asks the API about decisions.
type apiClient struct{ *apiclient.Client }

// client reads the flags and the token.
func (f *apiFlags) client() (*apiClient, error) {
	base, err := f.base()
	if err != nil {
		return nil, usageError{err}
	}
	token, source, err := f.token()
	if err != nil {
		return nil, usageError{err}
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caFile != "" {
		if tlsConfig.RootCAs, err = tlsconf.Pool(f.caFile); err != nil {
			return nil, usageError{fmt.Errorf("--ca-file: %w", err)}
		}
	}
	return &apiClient{apiclient.New(base, token, source, tlsConfig)}, nil
}

// base is the URL in front of /api/v1. A token crosses a network only through TLS.
func (f *apiFlags) base() (*url.URL, error) {
	text, flag := f.url, "--api"
	if text == "" {
		text, flag = os.Getenv("WARDER_API"), "WARDER_API"
	}
	if text == "" {
		text = "http://" + api.DefaultConfig().Listen
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "":
		return nil, fmt.Errorf("%s %.80q is not a URL such as http://127.0.0.1:9601", flag, text)
	case u.Scheme == "http" && !local(u.Hostname()):
		return nil, fmt.Errorf("%s %.80q leads to another machine without TLS, and would show the token to the network: use https", flag, text)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// token reads the token, and says where it is from.
func (f *apiFlags) token() (token, source string, err error) {
	if t := os.Getenv("WARDER_API_TOKEN"); t != "" && f.tokenFile == "" {
		return strings.TrimSpace(t), "the one in WARDER_API_TOKEN", nil
	}
	file, hint := f.tokenFile, ""
	if file == "" {
		file = filepath.Join(app.DefaultConfig().DataDir, api.TokenFile)
		hint = "; `warder up` makes it at its first start when api.tokens is not set; otherwise give --token-file or WARDER_API_TOKEN"
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("no token for the API: %w%s", err, hint)
	}
	if token = strings.TrimSpace(string(b)); token == "" || strings.ContainsAny(token, "\r\n") {
		return "", "", fmt.Errorf("no token for the API: %s does not hold one token", file)
	}
	return token, "the one in " + file, nil
}

// list returns up to limit decisions, and whether there are more.
func (c *apiClient) list(ctx context.Context, query url.Values, limit int) ([]api.Decision, bool, error) {
	var out []api.Decision
	query.Set("limit", fmt.Sprint(min(limit, api.MaxLimit)))
	for {
		var page api.Page
		if err := c.Call(ctx, http.MethodGet, "decisions", query, nil, &page); err != nil {
			return nil, false, err
		}
		out = append(out, page.Decisions...)
		if page.Next == "" || len(out) >= limit {
			return out[:min(len(out), limit)], page.Next != "" || len(out) > limit, nil
		}
		query.Set("cursor", page.Next)
	}
}

// resolve finds the whole id that begins with the given digits.
func (c *apiClient) resolve(ctx context.Context, id string) (string, error) {
	if len(id) >= wholeID {
		return id, nil
	}
	all, more, err := c.list(ctx, url.Values{}, maxIDSearch)
	if err != nil {
		return "", err
	}
	var found []string
	for _, d := range all {
		if d.ID == id {
			return id, nil
		}
		if strings.HasPrefix(d.ID, id) {
			found = append(found, d.ID)
		}
	}
	switch {
	case len(found) > 1:
		return "", fmt.Errorf("%d decisions begin with %.40q, for example %s and %s; write more of the id", len(found), id, found[0], found[1])
	case len(found) == 1:
		return found[0], nil
	case more:
		return "", fmt.Errorf("none of the newest %d decisions begins with %.40q; write the whole id", maxIDSearch, id)
	}
	return "", fmt.Errorf("no decision begins with %.40q; `warder decisions list --all` shows all", id)
}
