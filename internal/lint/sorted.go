package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
)

// sorters are the functions that put their first argument in order.
var sorters = map[string]bool{
	"sort.Slice": true, "sort.SliceStable": true, "sort.Sort": true, "sort.Stable": true,
	"sort.Ints": true, "sort.Strings": true,
	"slices.Sort": true, "slices.SortFunc": true, "slices.SortStableFunc": true,
}

// sortedAfter says why the slice x is not sorted between pos and its next use in
// the function being looked at, or "".
func (c *checker) sortedAfter(x ast.Expr, pos token.Pos) string {
	name := types.ExprString(x)
	body := c.function()
	if body == nil {
		return fmt.Sprintf("%s is collected outside a function", name)
	}
	verdict := fmt.Sprintf("%s is not sorted afterwards in this function", name)
	var visit func(n ast.Node) bool
	done := false
	visit = func(n ast.Node) bool {
		if done || n == nil || n.End() <= pos {
			return false
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			if n.Pos() < pos || len(n.Args) == 0 {
				return true
			}
			if fn := callee(c.info, n); fn != nil && sorters[fn.FullName()] && spells(n.Args[0], name) {
				verdict, done = "", true
				return false
			}
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "len" || id.Name == "cap") {
				return false // the length does not depend on the order
			}
		case *ast.AssignStmt:
			if n.Pos() < pos || len(n.Lhs) != 1 || types.ExprString(n.Lhs[0]) != name {
				return true
			}
			if call, ok := n.Rhs[0].(*ast.CallExpr); ok && len(call.Args) > 0 && types.ExprString(call.Args[0]) == name {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "append" {
					return false // more is collected
				}
			}
		case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr:
			if n.Pos() >= pos && types.ExprString(n.(ast.Expr)) == name {
				verdict, done = fmt.Sprintf("%s is used on line %d before it is sorted", name, c.pass.Fset.Position(n.Pos()).Line), true
				return false
			}
		}
		return true
	}
	ast.Inspect(body, visit)
	return verdict
}

// spells reports whether e is the expression name, or a conversion or slice of
// it.
func spells(e ast.Expr, name string) bool {
	e = ast.Unparen(e)
	if types.ExprString(e) == name {
		return true
	}
	switch e := e.(type) {
	case *ast.CallExpr: // byName(x), sort.Reverse(byName(x))
		return len(e.Args) == 1 && spells(e.Args[0], name)
	case *ast.SliceExpr:
		return spells(e.X, name)
	case *ast.UnaryExpr:
		return e.Op == token.AND && spells(e.X, name)
	}
	return false
}
