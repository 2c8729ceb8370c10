package rules

import celast "github.com/google/cel-go/common/ast"

// inList recognises inList(text of the event, "name"). Addresses are looked up as such, without writing them out.
func (c *compiler) inList(value, name celast.Expr) test {
	s, ok := literalString(name)
	l := c.lists[s]
	if !ok || l == nil {
		return test{}
	}
	set := &l.set
	if f := c.field(value); f != nil && f.addr != nil && set.texts == nil {
		return sure(costPlain, func(in *input) bool { return set.hasAddr(f.addr(in.ev)) })
	}
	t, ok := c.textOf(value)
	if !ok || t.fold {
		return test{}
	}
	return t.test(costPlain, func(in *input) bool { return set.has(in.slot(t.slot)) })
}
