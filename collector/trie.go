package collector

import (
	"errors"
	"fmt"
	"strings"

	"github.com/warder/warder/internal/config"
)

// routeTrie holds the configured route patterns, one level for each path segment. The zero value is empty.
type routeTrie struct {
	literal map[string]*routeTrie
	param   *routeTrie
	pattern string // of the path that ends here
	rest    string // of the path that goes on below here
}

func (t *routeTrie) add(pattern string) error {
	if !strings.HasPrefix(pattern, "/") || len(pattern) > 1024 {
		return fmt.Errorf("route %.60q: want a path that starts with a slash, at most 1024 bytes", pattern)
	}
	node := t
	segs := strings.Split(strings.TrimSuffix(pattern[1:], "/"), "/")
	for i, s := range segs {
		if s == "{rest...}" {
			if i != len(segs)-1 {
				return fmt.Errorf("route %.60q: {rest...} must come last", pattern)
			}
			return setPattern(&node.rest, pattern)
		}
		if i == 0 && s == "" && len(segs) == 1 {
			break // the root
		}
		switch {
		case s == "":
			return fmt.Errorf("route %.60q: has an empty segment", pattern)
		case s[0] == '{' && s[len(s)-1] == '}' && len(s) > 2:
			if node.param == nil {
				node.param = &routeTrie{}
			}
			node = node.param
		case strings.ContainsAny(s, "{}"):
			return fmt.Errorf("route %.60q: a parameter is a whole segment: {name}", pattern)
		default:
			if node.literal == nil {
				node.literal = map[string]*routeTrie{}
			}
			if node.literal[s] == nil {
				node.literal[s] = &routeTrie{}
			}
			node = node.literal[s]
		}
	}
	return setPattern(&node.pattern, pattern)
}

func setPattern(p *string, pattern string) error {
	if *p != "" && *p != pattern {
		return fmt.Errorf("route %.60q: matches the same paths as %.60q", pattern, *p)
	}
	*p = pattern
	return nil
}

// match returns the pattern of the path, "" without one. A literal wins over a parameter, a parameter over {rest...}; it goes
// back when the better one leads nowhere. The work is bounded by the depth of the patterns: at each level at most two branches.
func (t *routeTrie) match(p string) string {
	if t.literal == nil && t.param == nil && t.rest == "" && t.pattern == "" {
		return ""
	}
	if p == "/" {
		p = ""
	}
	budget := 256
	return t.walk(p, &budget)
}

func (t *routeTrie) walk(p string, budget *int) string {
	if *budget--; *budget < 0 {
		return ""
	}
	if p == "" {
		return t.pattern
	}
	seg, rest := p[1:], ""
	if i := strings.IndexByte(seg, '/'); i >= 0 {
		seg, rest = seg[:i], seg[i:]
	}
	if n := t.literal[seg]; n != nil {
		if m := n.walk(rest, budget); m != "" {
			return m
		}
	}
	if t.param != nil && seg != "" {
		if m := t.param.walk(rest, budget); m != "" {
			return m
		}
	}
	return t.rest
}

// joinIn joins errors, each under its key.
func joinIn(keysAndErrs ...any) error {
	var errs []error
	for i := 0; i+1 < len(keysAndErrs); i += 2 {
		err, _ := keysAndErrs[i+1].(error)
		errs = append(errs, config.In(keysAndErrs[i].(string), err))
	}
	return errors.Join(errs...)
}

func indexKey(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
