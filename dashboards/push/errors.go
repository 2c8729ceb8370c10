package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/warder/warder/internal/console"
)

// Answer is an answer of Grafana's that is no success.
type Answer struct {
	Method, Path string
	Status       int    // of HTTP
	Message      string // Grafana's, safe to print; "" when it gave none
	Reason       string // Grafana's word for it, such as version-mismatch; "" when it gave none
}

// Error says what Grafana said and, where it can be known, what to do.
func (a *Answer) Error() string {
	said := a.Message
	if said == "" {
		said = strings.ToLower(http.StatusText(a.Status))
	}
	text := fmt.Sprintf("Grafana answered %d to %s %s: %s", a.Status, a.Method, console.Clean(a.Path, 200), said)
	switch {
	case a.Status == http.StatusUnauthorized:
		return fmt.Sprintf("Grafana does not know the token (401: %s): it may be expired, revoked, of another Grafana, or cut short; "+
			"make a new one under Administration, Service accounts", said)
	case a.Status == http.StatusForbidden:
		return fmt.Sprintf("the token may not do this: %s %s needs %s (403: %s); give its service account the role Admin, or this permission",
			a.Method, console.Clean(a.Path, 200), permission(a.Method, a.Path), said)
	case repeatable(a.Method, a.Status):
		return fmt.Sprintf("%s; tried %d times: Grafana's own log says why, try again later", text, attempts)
	case a.Status >= 500:
		return text + "; Grafana's own log says why"
	}
	return text
}

// permission names the permission of Grafana's access control that a request needs.
func permission(method, path string) string {
	for _, p := range []struct{ part, read, create, write string }{
		{"/api/folders", "folders:read", "folders:create", "folders:write"},
		{"/api/datasources", "datasources:read", "datasources:create", "datasources:write"},
		{"/api/v1/provisioning", "alert.provisioning:read", "alert.provisioning:write", "alert.provisioning:write"},
		{"/api/plugins", "plugins.app:access", "plugins:write", "plugins:write"},
	} {
		if !strings.Contains(path, p.part) {
			continue
		}
		switch method {
		case http.MethodGet:
			return p.read
		case http.MethodPost:
			return p.create
		}
		return p.write
	}
	if method == http.MethodGet {
		return "dashboards:read"
	}
	return "dashboards:create and dashboards:write in the folder"
}

// has tells whether err is an answer with one of the statuses.
func has(err error, statuses ...int) bool {
	var a *Answer
	if !errors.As(err, &a) {
		return false
	}
	for _, s := range statuses {
		if a.Status == s {
			return true
		}
	}
	return false
}

// plain takes off the address that net/http puts around an error.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// unreachable says why there is no answer.
func (w *wire) unreachable(err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf("the certificate of %s is not trusted: %w; name its authority with --ca-file", w.host, untrusted.Err)
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return fmt.Errorf("%s does not speak TLS: write http:// in --url, or the port that does", w.host)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer from %s within %v; is it Grafana's address, and is no firewall in between?", w.host, perRequest)
	}
	return fmt.Errorf("cannot reach %s: %w; is Grafana running there, and --url right?", w.host, err)
}
