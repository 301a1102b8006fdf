package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
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
	s := &sortSearch{
		c: c, name: name, pos: pos, local: !strings.ContainsAny(name, ".["),
		verdict: fmt.Sprintf("%s is not sorted afterwards in this function", name),
	}
	ast.Inspect(body, s.visit)
	return s.verdict
}

// sortSearch goes through a function in the order of its text.
type sortSearch struct {
	c       *checker
	name    string // the slice
	pos     token.Pos
	local   bool
	path    []ast.Node // from the body to the node visited
	until   token.Pos  // end of a branch in which the slice is sorted
	verdict string     // what holds if nothing more is found
	done    bool
}

func (s *sortSearch) visit(n ast.Node) bool {
	if n == nil {
		s.path = s.path[:len(s.path)-1]
		return true
	}
	if s.done || n.End() <= s.pos || n.Pos() < s.until && n.Pos() >= s.pos || !s.descend(n) {
		return false
	}
	s.path = append(s.path, n)
	return true
}

func (s *sortSearch) end(verdict string, n ast.Node) {
	s.done = true
	if verdict != "" {
		s.verdict = fmt.Sprintf(verdict, s.name, s.c.pass.Fset.Position(n.Pos()).Line)
	} else {
		s.verdict = ""
	}
}

// descend looks at one node at or after pos: it decides that x is sorted, or used
// before it is, or says whether to look on below.
func (s *sortSearch) descend(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		if n.Pos() < s.pos || len(n.Args) == 0 {
			return true
		}
		if fn := callee(s.c.info, n); fn != nil && sorters[fn.FullName()] && spells(n.Args[0], s.name) {
			const partly = "%s is sorted on line %d on some paths only"
			switch always, until := s.reached(); {
			case always:
				s.end("", n)
			case until == 0 || !s.local:
				s.end(partly, n)
			default: // all is well if it is used in that branch only
				s.until, s.verdict = until, ""
			}
			return false
		}
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "len" || id.Name == "cap") {
			return false // the length does not depend on the order
		}
	case *ast.AssignStmt:
		if n.Pos() < s.pos || len(n.Lhs) != 1 || types.ExprString(n.Lhs[0]) != s.name {
			return true
		}
		if call, ok := n.Rhs[0].(*ast.CallExpr); ok && len(call.Args) > 0 && types.ExprString(call.Args[0]) == s.name {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "append" {
				return false // more is collected
			}
		}
	case *ast.ReturnStmt:
		if n.Pos() >= s.pos && !s.local { // a field outlives the call
			s.end("%s is not sorted when line %d returns", n)
			return false
		}
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr:
		if n.Pos() >= s.pos && types.ExprString(n.(ast.Expr)) == s.name {
			s.end("%s is used on line %d before it is sorted on all paths", n)
			return false
		}
	}
	return true
}

// reached reports whether what is at the end of path happens whenever control passes
// pos: it is in the list of statements that pos is in, or in an outer one, and nothing
// but a test that there are several elements stands between. If not, until is the end
// of the branch that it happens in, or 0 if it cannot be told.
func (s *sortSearch) reached() (always bool, until token.Pos) {
	for i, n := range s.path {
		var next ast.Node
		if i+1 < len(s.path) {
			next = s.path[i+1]
		}
		if n.Pos() < s.pos { // pos is inside n, too: not in another branch of it?
			if next != nil && next.Pos() >= s.pos {
				switch n.(type) {
				case *ast.BlockStmt, *ast.CaseClause:
				default:
					return false, 0
				}
			}
			continue
		}
		switch n := n.(type) {
		case *ast.IfStmt:
			if next == n.Body && severalOf(n.Cond, s.name) {
				continue
			}
			if next != n.Body && next != n.Else {
				return false, 0
			}
			return false, next.End()
		case *ast.ForStmt:
			return false, n.Body.End()
		case *ast.RangeStmt:
			return false, n.Body.End()
		case *ast.CaseClause:
			return false, n.End()
		case *ast.BlockStmt, *ast.ExprStmt, *ast.AssignStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt:
		default:
			return false, 0
		}
	}
	return true, 0
}

// severalOf reports whether a condition holds whenever x has two elements or more.
func severalOf(cond ast.Expr, name string) bool {
	b, ok := ast.Unparen(cond).(*ast.BinaryExpr)
	if !ok {
		return false
	}
	call, ok := b.X.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 || types.ExprString(call.Args[0]) != name || types.ExprString(call.Fun) != "len" {
		return false
	}
	switch b.Op.String() + types.ExprString(b.Y) {
	case ">0", ">1", ">=1", ">=2", "!=0", "!=1":
		return true
	}
	return false
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
