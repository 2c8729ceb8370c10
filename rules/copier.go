package rules

import (
	"fmt"
	"maps"

	celast "github.com/google/cel-go/common/ast"
)

// copier copies a macro's body, or an argument, into the expression that uses it.
type copier struct {
	x     *expander
	from  *macro          // nil for an argument: it was written in the expression itself
	site  int64           // where the macro is used
	taken map[string]bool // names that the arguments mean; what the body binds must not hide them
	ids   map[int64]int64 // of the copied parts
}

// id returns the new number of a part, and remembers where it was written. Past the bound nothing more is copied.
func (c *copier) id(old int64) int64 {
	x := c.x
	if n, ok := c.ids[old]; ok {
		return n
	}
	n := x.next
	x.next++
	c.ids[old] = n
	site, info := c.site, x.info
	if c.from == nil {
		site = old
		if o, ok := x.origins[old]; ok {
			x.origins[n] = o
		}
	} else {
		o, ok := c.from.origins[old]
		if !ok {
			o = origin{c.from, positionOf(c.from.text.Value, c.from.body, old)}
		}
		x.origins[n] = o
	}
	if r, ok := info.GetOffsetRange(site); ok {
		info.SetOffsetRange(n, r)
	}
	return n
}

// source is what knows of the macros of CEL in the copied text.
func (c *copier) source() *celast.SourceInfo {
	if c.from == nil {
		return c.x.info
	}
	return c.from.body.SourceInfo()
}

// expr copies e; the names in env are replaced.
func (c *copier) expr(e celast.Expr, env map[string]celast.Expr) celast.Expr {
	x := c.x
	if x.size++; x.size > maxExpanded {
		return x.make.NewUnspecifiedExpr(c.id(e.ID()))
	}
	if e.Kind() == celast.IdentKind {
		if to, ok := env[e.AsIdent()]; ok {
			return c.argument(e, to)
		}
	}
	id := c.id(e.ID())
	inner := env
	if e.Kind() == celast.ComprehensionKind {
		inner = c.bind(e.AsComprehension(), env)
	}
	out := c.shell(e, id, env, inner)
	if call, ok := c.source().GetMacroCall(e.ID()); ok && e.Kind() != celast.UnspecifiedExprKind {
		x.info.SetMacroCall(id, c.expr(call, inner))
	}
	return out
}

// argument is what stands in the place of a name: a copy of the argument, or another name.
func (c *copier) argument(e, to celast.Expr) celast.Expr {
	if to.ID() == 0 { // a new name for what the body binds
		return c.x.make.NewIdent(c.id(e.ID()), to.AsIdent())
	}
	inner := &copier{x: c.x, site: c.site, ids: map[int64]int64{}}
	return inner.expr(to, nil)
}

// bind returns the names to replace within a comprehension: those that it binds hide parameters, and get another name when they
// would hide what an argument means.
func (c *copier) bind(f celast.ComprehensionExpr, env map[string]celast.Expr) map[string]celast.Expr {
	inner := maps.Clone(env)
	if inner == nil {
		inner = map[string]celast.Expr{}
	}
	for _, v := range []string{f.IterVar(), f.IterVar2(), f.AccuVar()} {
		if v == "" {
			continue
		}
		delete(inner, v)
		if c.taken[v] && v != c.x.make.AccuIdentName() {
			name := v
			for i := 1; c.taken[name] || c.from != nil && c.from.free[name]; i++ {
				name = fmt.Sprintf("%s_%d", v, i)
			}
			inner[v] = c.x.make.NewIdent(0, name)
		}
	}
	return inner
}

// renamed is the name that a bound variable has within env.
func renamed(name string, env map[string]celast.Expr) string {
	if to, ok := env[name]; ok && name != "" {
		return to.AsIdent()
	}
	return name
}

// shell copies e and its parts; env holds outside of a comprehension, inner within it.
func (c *copier) shell(e celast.Expr, id int64, env, inner map[string]celast.Expr) celast.Expr {
	mk := c.x.make
	switch e.Kind() {
	case celast.IdentKind:
		return mk.NewIdent(id, e.AsIdent())
	case celast.LiteralKind:
		return mk.NewLiteral(id, e.AsLiteral())
	case celast.SelectKind:
		s := e.AsSelect()
		if s.IsTestOnly() {
			return mk.NewPresenceTest(id, c.expr(s.Operand(), env), s.FieldName())
		}
		return mk.NewSelect(id, c.expr(s.Operand(), env), s.FieldName())
	case celast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return mk.NewMemberCall(id, call.FunctionName(), c.expr(call.Target(), env), c.all(call.Args(), env)...)
		}
		return mk.NewCall(id, call.FunctionName(), c.all(call.Args(), env)...)
	case celast.ListKind:
		return mk.NewList(id, c.all(e.AsList().Elements(), env), e.AsList().OptionalIndices())
	case celast.MapKind:
		var out []celast.EntryExpr
		for _, entry := range e.AsMap().Entries() {
			v := entry.AsMapEntry()
			out = append(out, mk.NewMapEntry(c.id(entry.ID()), c.expr(v.Key(), env), c.expr(v.Value(), env), v.IsOptional()))
		}
		return mk.NewMap(id, out)
	case celast.StructKind:
		var out []celast.EntryExpr
		for _, f := range e.AsStruct().Fields() {
			v := f.AsStructField()
			out = append(out, mk.NewStructField(c.id(f.ID()), v.Name(), c.expr(v.Value(), env), v.IsOptional()))
		}
		return mk.NewStruct(id, e.AsStruct().TypeName(), out)
	case celast.ComprehensionKind:
		f := e.AsComprehension()
		return mk.NewComprehensionTwoVar(id, c.expr(f.IterRange(), env), renamed(f.IterVar(), inner), renamed(f.IterVar2(), inner),
			renamed(f.AccuVar(), inner), c.expr(f.AccuInit(), env), c.expr(f.LoopCondition(), inner), c.expr(f.LoopStep(), inner),
			c.expr(f.Result(), inner))
	}
	return mk.NewUnspecifiedExpr(id)
}

func (c *copier) all(list []celast.Expr, env map[string]celast.Expr) []celast.Expr {
	out := make([]celast.Expr, len(list))
	for i, e := range list {
		out[i] = c.expr(e, env)
	}
	return out
}
