package active

import "github.com/warder/warder/internal/decision"

// The scopes by decision.Scope.Rank; a test compares them.
const (
	rankAddress = iota
	rankPrincipal
	rankAPIKey
	rankCIDR
	rankFingerprint
	rankUserAgent
	rankTenant
	rankRoute
	rankASN
	rankCountry
	scopeCount
)

// Uses tells whether a decision that is held has a term of the scope: a gateway need not find out a request's country for nobody.
func (s *Set) Uses(scope decision.Scope) bool {
	r := scope.Rank()
	return r >= 0 && s.used[r].Load() > 0
}
