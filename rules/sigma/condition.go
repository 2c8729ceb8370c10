package sigma

import (
	"regexp"
	"strconv"
	"strings"
)

// condition parses Sigma's condition: identifiers, not, and, or, brackets, and "1 of", "all of", "any of" and "N of" a pattern of
// identifiers or "them". names are the search identifiers in the order of the file, of which resolve gives the meaning.
type condition struct {
	at      *node
	tokens  []string
	names   []string
	resolve func(at *node, name string) (expr, error)
	depth   int
}

var tokenForm = regexp.MustCompile(`\(|\)|[^\s()]+`)

// maxTokens and maxBrackets bound a condition.
const (
	maxTokens   = 2000
	maxBrackets = 60
)

// parseCondition returns the condition's meaning.
func parseCondition(at *node, text string, names []string, resolve func(*node, string) (expr, error)) (expr, error) {
	c := &condition{at: at, tokens: tokenForm.FindAllString(text, maxTokens+1), names: names, resolve: resolve}
	if len(c.tokens) > maxTokens {
		return expr{}, refuse(at, "condition has more than %d words", maxTokens)
	}
	if len(c.tokens) == 0 {
		return expr{}, refuse(at, "condition is empty")
	}
	e, err := c.disjunction()
	if err == nil && len(c.tokens) > 0 {
		err = refuse(at, "condition: unexpected %.40q", c.tokens[0])
	}
	return e, err
}

func (c *condition) peek() string {
	if len(c.tokens) == 0 {
		return ""
	}
	return strings.ToLower(c.tokens[0])
}

func (c *condition) next() string {
	t := c.tokens[0]
	c.tokens = c.tokens[1:]
	return t
}

func (c *condition) disjunction() (expr, error) { return c.chain("or", c.conjunction, or) }

func (c *condition) conjunction() (expr, error) { return c.chain("and", c.factor, and) }

func (c *condition) chain(word string, part func() (expr, error), join func(...expr) expr) (expr, error) {
	var parts []expr
	for {
		e, err := part()
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
		if c.peek() != word {
			return join(parts...), nil
		}
		c.next()
	}
}

func (c *condition) factor() (expr, error) {
	if len(c.tokens) == 0 {
		return expr{}, refuse(c.at, "condition ends where an identifier is expected")
	}
	if c.depth++; c.depth > maxBrackets {
		return expr{}, refuse(c.at, "condition is nested more than %d deep", maxBrackets)
	}
	defer func() { c.depth-- }()
	word := c.next()
	switch low := strings.ToLower(word); {
	case low == "not":
		e, err := c.factor()
		return not(e), err
	case word == "(":
		e, err := c.disjunction()
		if err != nil {
			return expr{}, err
		}
		if c.peek() != ")" {
			return expr{}, refuse(c.at, "condition: a bracket is not closed")
		}
		c.next()
		return e, nil
	case c.peek() == "of":
		c.next()
		return c.some(low)
	case word == ")" || low == "and" || low == "or":
		return expr{}, refuse(c.at, "condition: unexpected %.40q", word)
	}
	return c.resolve(c.at, word)
}

// some is "quantity of target", after the word of.
func (c *condition) some(quantity string) (expr, error) {
	if len(c.tokens) == 0 {
		return expr{}, refuse(c.at, "condition: %s of what?", quantity)
	}
	target := c.next()
	names := c.matching(target)
	if len(names) == 0 {
		return expr{}, refuse(c.at, "condition: no search identifier matches %.60q", target)
	}
	var parts []expr
	for _, n := range names {
		e, err := c.resolve(c.at, n)
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
	}
	n, err := strconv.Atoi(quantity)
	switch {
	case quantity == "all":
		return and(parts...), nil
	case quantity == "any":
		return or(parts...), nil
	case err != nil || n < 1:
		return expr{}, refuse(c.at, "condition: want 1 of, any of, all of or a number of, not %.20q of", quantity)
	}
	return c.atLeast(n, parts)
}

// matching lists the search identifiers that a pattern means. Those with a leading underscore are meant only by a pattern that has
// it, too.
func (c *condition) matching(target string) []string {
	if strings.EqualFold(target, "them") {
		target = "*"
	}
	re, err := regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(target), `\*`, ".*") + "$")
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range c.names {
		if re.MatchString(n) && (!strings.HasPrefix(n, "_") || strings.HasPrefix(target, "_")) {
			out = append(out, n)
		}
	}
	return out
}

// atLeast is true when n of the parts are: every choice of n is written out.
func (c *condition) atLeast(n int, parts []expr) (expr, error) {
	const limit = 64
	var choices []expr
	var choose func(from int, chosen []expr) bool
	choose = func(from int, chosen []expr) bool {
		if len(chosen) == n {
			choices = append(choices, and(append([]expr{}, chosen...)...))
			return len(choices) <= limit
		}
		for i := from; i <= len(parts)-(n-len(chosen)); i++ {
			if !choose(i+1, append(chosen, parts[i])) {
				return false
			}
		}
		return true
	}
	if !choose(0, nil) {
		return expr{}, refuse(c.at, "condition: %d of %d has more than %d combinations", n, len(parts), limit)
	}
	return or(choices...), nil
}
