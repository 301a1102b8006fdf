package lint

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// eventTypes are the interfaces whose implementations decide events.
var eventTypes = []string{"Node", "Client", "Env", "Application", "Load", "LoadEnv", "Adversary"}

// times looks for floating point where it could decide an event.
type times struct {
	message *types.Interface   // protocols.Message
	events  []*types.Interface // eventTypes
}

func newTimes(pass *analysis.Pass) *times {
	t := new(times)
	scope := contract(pass.Pkg)
	if scope == nil {
		return t
	}
	t.message = interfaceNamed(scope, "Message")
	for _, name := range eventTypes {
		if i := interfaceNamed(scope, name); i != nil {
			t.events = append(t.events, i)
		}
	}
	return t
}

// contract returns the scope of package protocols if pkg is it or imports it.
func contract(pkg *types.Package) *types.Scope {
	const path = Module + "/protocols"
	if pkg.Path() == path {
		return pkg.Scope()
	}
	for _, p := range pkg.Imports() {
		if p.Path() == path {
			return p.Scope()
		}
	}
	return nil
}

func interfaceNamed(scope *types.Scope, name string) *types.Interface {
	obj := scope.Lookup(name)
	if obj == nil {
		return nil
	}
	i, _ := obj.Type().Underlying().(*types.Interface)
	return i
}

// declarations checks signatures and struct fields.
func (t *times) declarations(c *checker, f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if fn, ok := c.info.Defs[d.Name].(*types.Func); ok {
				t.signature(c, d, fn.Signature())
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok {
					t.fields(c, ts)
				}
			}
		}
	}
}

func (t *times) signature(c *checker, d *ast.FuncDecl, sig *types.Signature) {
	hasFloat, hasTime := false, false
	for _, tuple := range []*types.Tuple{sig.Params(), sig.Results()} {
		for v := range tuple.Variables() {
			hasFloat = hasFloat || isFloat(v.Type())
			hasTime = hasTime || isTime(v.Type())
		}
	}
	switch {
	case hasFloat && hasTime:
		c.report.reportf(d.Name.Pos(), "%s takes or returns both a float and a time: floats must not decide when something happens", d.Name.Name)
	case hasFloat && sig.Recv() != nil && t.decides(sig.Recv().Type()):
		c.report.reportf(d.Name.Pos(), "method %s of a type that decides events has a float in its signature: use integers", d.Name.Name)
	}
}

func (t *times) fields(c *checker, spec *ast.TypeSpec) {
	obj := c.info.Defs[spec.Name]
	s, ok := spec.Type.(*ast.StructType)
	if !ok || obj == nil {
		return
	}
	var what string
	switch typ := obj.Type(); {
	case implements(typ, t.message):
		what = "message"
	case t.decides(typ):
		what = "type that decides events"
	default:
		return
	}
	for _, f := range s.Fields.List {
		if typ := c.info.TypeOf(f.Type); typ != nil && holdsFloat(typ, c.pass.Pkg, nil) {
			c.report.reportf(f.Pos(), "float field in %s, a %s: use integers", spec.Name.Name, what)
		}
	}
}

// conversion checks conversions between floats and times, also through integers,
// and the methods of time.Duration that return floats.
func (t *times) conversion(c *checker, call *ast.CallExpr) {
	if fn := callee(c.info, call); fn != nil {
		switch fn.FullName() {
		case "(time.Duration).Seconds", "(time.Duration).Minutes", "(time.Duration).Hours":
			c.report.reportf(call.Pos(), "%s is a float: compute with integer nanoseconds", fn.FullName())
		}
		return
	}
	tv := c.info.Types[call.Fun]
	if !tv.IsType() || len(call.Args) != 1 || c.info.Types[call].Value != nil {
		return
	}
	from := c.beneath(call.Args[0])
	switch {
	case isFloat(tv.Type) && isTime(from):
		c.report.reportf(call.Pos(), "time converted to a float: compute with integer nanoseconds")
	case isTime(tv.Type) && isFloat(from):
		c.report.reportf(call.Pos(), "float converted to a time: compute with integer nanoseconds")
	}
}

// beneath returns the type under integer conversions of e.
func (c *checker) beneath(e ast.Expr) types.Type {
	for {
		call, ok := ast.Unparen(e).(*ast.CallExpr)
		if !ok {
			return c.info.TypeOf(e)
		}
		if tv := c.info.Types[call.Fun]; tv.IsType() && len(call.Args) == 1 {
			if c.info.Types[call].Value != nil || isTime(tv.Type) || isFloat(tv.Type) {
				return tv.Type
			}
			e = call.Args[0]
			continue
		}
		if fn := callee(c.info, call); fn != nil {
			switch fn.FullName() {
			case "(time.Duration).Nanoseconds", "(time.Duration).Microseconds", "(time.Duration).Milliseconds":
				return fn.Signature().Recv().Type()
			}
		}
		return c.info.TypeOf(e)
	}
}

// decides reports whether a type implements one of the event interfaces.
func (t *times) decides(typ types.Type) bool {
	for _, i := range t.events {
		if implements(typ, i) {
			return true
		}
	}
	return false
}

func implements(typ types.Type, i *types.Interface) bool {
	if i == nil || i.Empty() || types.IsInterface(typ) {
		return false
	}
	if types.Implements(typ, i) {
		return true
	}
	if _, ok := typ.(*types.Pointer); ok {
		return false
	}
	return types.Implements(types.NewPointer(typ), i)
}

// isFloat reports whether t is a float or a container of floats.
func isFloat(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&(types.IsFloat|types.IsComplex) != 0 && t.Info()&types.IsUntyped == 0
	case *types.Slice:
		return isFloat(t.Elem())
	case *types.Array:
		return isFloat(t.Elem())
	case *types.Map:
		return isFloat(t.Key()) || isFloat(t.Elem())
	}
	return false
}

// holdsFloat reports whether a value of type t contains floats, also in structs that
// are unnamed or declared in pkg, and behind pointers to these.
func holdsFloat(t types.Type, pkg *types.Package, inside []types.Type) bool {
	if isFloat(t) {
		return true
	}
	if n, ok := types.Unalias(t).(*types.Named); ok {
		if n.Obj().Pkg() != pkg || slices.Contains(inside, t) {
			return false
		}
		inside = append(inside, t)
	}
	switch t := t.Underlying().(type) {
	case *types.Pointer:
		return holdsFloat(t.Elem(), pkg, inside)
	case *types.Slice:
		return holdsFloat(t.Elem(), pkg, inside)
	case *types.Array:
		return holdsFloat(t.Elem(), pkg, inside)
	case *types.Map:
		return holdsFloat(t.Key(), pkg, inside) || holdsFloat(t.Elem(), pkg, inside)
	case *types.Struct:
		for f := range t.Fields() {
			if holdsFloat(f.Type(), pkg, inside) {
				return true
			}
		}
	}
	return false
}

// isTime reports whether t is protocols.Time or time.Duration.
func isTime(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return false
	}
	switch n.Obj().Pkg().Path() + "." + n.Obj().Name() {
	case "time.Duration", Module + "/protocols.Time":
		return true
	}
	return false
}
