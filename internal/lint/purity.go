package lint

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// level says what evaluating an expression may do. Higher is worse.
type level int

const (
	// valueOnly: it depends on its operands alone.
	valueOnly level = iota
	// readsState: it calls a function that may read what others change.
	readsState
	// impure: it may change something.
	impure
)

// purePackages are packages all of whose functions (not methods) leave their
// arguments alone and depend on them only.
var purePackages = map[string]bool{
	"bytes": true, "cmp": true, "encoding/hex": true, "errors": true, "math/bits": true, "path": true,
	"strconv": true, "strings": true, "unicode": true, "unicode/utf8": true,
}

// pureFuncs are further functions and methods of that kind, by full name.
var pureFuncs = map[string]bool{
	"fmt.Errorf": true, "fmt.Sprint": true, "fmt.Sprintf": true,
	"maps.Clone": true, "maps.Equal": true,
	"slices.Clone": true, "slices.Compare": true, "slices.Contains": true, "slices.Equal": true,
	"slices.Index": true, "slices.Max": true, "slices.Min": true,
	"(time.Duration).Nanoseconds": true, "(time.Duration).Microseconds": true,
	"(time.Duration).Milliseconds": true, "(time.Duration).String": true,
	"(" + Module + "/protocols.NodeID).IsReplica": true,
	"(" + Module + "/protocols.NodeID).IsClient":  true,
	"(" + Module + "/protocols.Digest).IsZero":    true,
	"(" + Module + "/protocols.Digest).String":    true,
	"(" + Module + "/protocols.Group).Index":      true,
	"(" + Module + "/protocols.Time).Add":         true,
	"(" + Module + "/protocols.Time).Sub":         true,
	Module + "/protocols.Quorum":                  true,
	Module + "/protocols.WeakQuorum":              true,
	Module + "/protocols.MaxByzantine":            true,
}

// purity judges expressions and the functions of one package.
type purity struct {
	info  *types.Info
	decls map[*types.Func]*ast.FuncDecl
	known map[*types.Func]level
}

func newPurity(pass *analysis.Pass, files []*ast.File) *purity {
	p := &purity{info: pass.TypesInfo, decls: make(map[*types.Func]*ast.FuncDecl), known: make(map[*types.Func]level)}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if obj, ok := p.info.Defs[fn.Name].(*types.Func); ok {
					p.decls[obj] = fn
				}
			}
		}
	}
	return p
}

// expr judges an expression.
func (p *purity) expr(e ast.Expr) level {
	worst := valueOnly
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			worst = impure
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				worst = impure
			}
			if _, lit := ast.Unparen(n.X).(*ast.CompositeLit); n.Op == token.AND && !lit {
				worst = impure // an alias that others may write through
			}
		case *ast.CallExpr:
			worst = max(worst, p.call(n))
		}
		return worst != impure
	})
	return worst
}

func (p *purity) call(call *ast.CallExpr) level {
	if tv := p.info.Types[call.Fun]; tv.IsType() {
		return valueOnly // a conversion
	}
	if id, ok := ast.Unparen(call.Fun).(*ast.Ident); ok {
		if b, ok := p.info.Uses[id].(*types.Builtin); ok {
			switch b.Name() {
			case "len", "cap", "min", "max", "new", "make", "real", "imag", "complex":
				return valueOnly
			}
			return impure
		}
	}
	fn := callee(p.info, call)
	if fn == nil || fn.Pkg() == nil {
		return impure // a function value, or a method of error
	}
	fn = fn.Origin()
	if fn.Signature().Recv() == nil && purePackages[fn.Pkg().Path()] || pureFuncs[fn.FullName()] {
		return valueOnly
	}
	return p.function(fn)
}

// function judges a function declared in this package; all others are impure.
func (p *purity) function(fn *types.Func) level {
	if l, ok := p.known[fn]; ok {
		return l
	}
	decl := p.decls[fn]
	if decl == nil || decl.Body == nil {
		return impure
	}
	p.known[fn] = impure // while it is being judged: no recursion
	worst := valueOnly
	if !valueParameters(fn.Signature()) {
		worst = readsState
	}
	ast.Inspect(decl.Body, func(n ast.Node) bool {
		worst = max(worst, p.effect(n, decl))
		return worst != impure
	})
	p.known[fn] = worst
	return worst
}

// effect judges one node of a function's body by itself.
func (p *purity) effect(n ast.Node, decl *ast.FuncDecl) level {
	switch n := n.(type) {
	case *ast.GoStmt, *ast.DeferStmt, *ast.SendStmt, *ast.SelectStmt, *ast.FuncLit:
		return impure
	case *ast.RangeStmt:
		if t := p.info.TypeOf(n.X); t == nil || isMap(t) || isChan(t) {
			return impure // its result may have the order of the map
		}
		if n.Tok == token.ASSIGN && !(p.owned(n.Key, decl) && p.owned(n.Value, decl)) {
			return impure
		}
	case *ast.UnaryExpr:
		if _, lit := ast.Unparen(n.X).(*ast.CompositeLit); n.Op == token.ARROW || n.Op == token.AND && !lit {
			return impure
		}
	case *ast.AssignStmt:
		for _, x := range n.Lhs {
			if !p.owned(x, decl) {
				return impure
			}
		}
	case *ast.IncDecStmt:
		if !p.owned(n.X, decl) {
			return impure
		}
	case *ast.CallExpr:
		return p.call(n)
	case *ast.Ident:
		if v, ok := p.info.Uses[n].(*types.Var); ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
			return readsState
		}
	}
	return valueOnly
}

// owned reports whether x is a variable of the function itself.
func (p *purity) owned(x ast.Expr, decl *ast.FuncDecl) bool {
	if blank(x) {
		return true
	}
	id, ok := ast.Unparen(x).(*ast.Ident)
	if !ok {
		return false
	}
	obj := p.info.ObjectOf(id)
	return obj != nil && decl.Pos() <= obj.Pos() && obj.Pos() < decl.End()
}

// valueParameters reports whether nothing reachable from the receiver and
// parameters can be changed by others.
func valueParameters(sig *types.Signature) bool {
	if r := sig.Recv(); r != nil && !isValue(r.Type()) {
		return false
	}
	for v := range sig.Params().Variables() {
		if !isValue(v.Type()) {
			return false
		}
	}
	return true
}

func isValue(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Kind() != types.UnsafePointer
	case *types.Array:
		return isValue(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if !isValue(f.Type()) {
				return false
			}
		}
		return true
	}
	return false
}
