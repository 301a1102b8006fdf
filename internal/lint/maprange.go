package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
)

// effect is what the body of a loop does to something that outlives an
// iteration.
type effect struct {
	target ast.Expr // what is changed
	op     string   // class of the operator; effects of one class commute
	block  ast.Node // innermost block it stands in
	// own says that the effect on a map concerns the entry of this iteration's
	// key only, so that reading that entry is reading this iteration.
	own bool
}

// loop is a range over a map under examination.
type loop struct {
	c     *checker
	stmt  *ast.RangeStmt
	key   types.Object
	local map[types.Object]bool // declared inside the loop
	// depth counts the breakable statements between the loop and the statement
	// being looked at.
	depth   int
	block   ast.Node
	effects []effect
	reads   []ast.Expr // pure expressions the body evaluates
	exits   []ast.Node // blocks that hold a break or return
	calls   bool       // a condition reads state through a function
	why     string
}

// orderMatters says why the order of iteration may be seen from outside, or "".
func (c *checker) orderMatters(n *ast.RangeStmt) string {
	if blank(n.Key) && blank(n.Value) {
		return "" // every iteration is the same
	}
	if n.Tok != token.DEFINE {
		return "its variables outlive it"
	}
	l := &loop{c: c, stmt: n, local: make(map[types.Object]bool)}
	l.declare(n.Key, n.Value)
	if id, ok := n.Key.(*ast.Ident); ok {
		l.key = c.info.Defs[id]
	}
	if !l.stmts(n.Body, n.Body.List) {
		return l.why
	}
	return l.verdict()
}

func blank(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return e == nil || ok && id.Name == "_"
}

func (l *loop) declare(vars ...ast.Expr) {
	for _, v := range vars {
		if id, ok := v.(*ast.Ident); ok {
			if obj := l.c.info.Defs[id]; obj != nil {
				l.local[obj] = true
			}
		}
	}
}

func (l *loop) fail(n ast.Node, format string, args ...any) bool {
	if l.why == "" {
		l.why = fmt.Sprintf("line %d %s", l.c.pass.Fset.Position(n.Pos()).Line, fmt.Sprintf(format, args...))
	}
	return false
}

func (l *loop) stmts(block ast.Node, list []ast.Stmt) bool {
	outer := l.block
	l.block = block
	defer func() { l.block = outer }()
	for _, s := range list {
		if !l.stmt1(s) {
			return false
		}
	}
	return true
}

// stmt1 examines one statement and reports whether its effect can be indifferent
// to the order of iterations.
func (l *loop) stmt1(s ast.Stmt) bool {
	switch s := s.(type) {
	case nil, *ast.EmptyStmt:
		return true
	case *ast.BlockStmt:
		return l.stmts(s, s.List)
	case *ast.IfStmt:
		return l.ifStmt(s)
	case *ast.SwitchStmt:
		return l.stmt1(s.Init) && l.pure(s.Tag) && l.clauses(s.Body)
	case *ast.TypeSwitchStmt:
		return l.stmt1(s.Init) && l.typeGuard(s.Assign) && l.clauses(s.Body)
	case *ast.ForStmt:
		return l.stmt1(s.Init) && l.pure(s.Cond) && l.stmt1(s.Post) && l.nested(s.Body)
	case *ast.RangeStmt:
		if s.Tok == token.ASSIGN {
			return l.fail(s, "assigns to variables that outlive the loop")
		}
		l.declare(s.Key, s.Value)
		return l.pure(s.X) && l.nested(s.Body)
	case *ast.BranchStmt:
		return l.branch(s)
	case *ast.ReturnStmt:
		for _, r := range s.Results {
			if !l.constant(r) {
				return l.fail(s, "returns what depends on the iteration")
			}
		}
		l.exits = append(l.exits, l.block)
		return true
	case *ast.DeclStmt:
		return l.declaration(s)
	case *ast.AssignStmt:
		return l.assign(s)
	case *ast.IncDecStmt:
		return l.accumulate(s, s.X, "+")
	case *ast.ExprStmt:
		return l.deletion(s)
	}
	return l.fail(s, "does what depends on the order")
}

func (l *loop) nested(body *ast.BlockStmt) bool {
	l.depth++
	defer func() { l.depth-- }()
	return l.stmts(body, body.List)
}

func (l *loop) clauses(body *ast.BlockStmt) bool {
	l.depth++
	defer func() { l.depth-- }()
	for _, s := range body.List {
		clause := s.(*ast.CaseClause)
		if obj := l.c.info.Implicits[clause]; obj != nil {
			l.local[obj] = true
		}
		for _, e := range clause.List {
			if tv := l.c.info.Types[e]; !tv.IsType() && !l.pure(e) {
				return false
			}
		}
		if !l.stmts(clause, clause.Body) {
			return false
		}
	}
	return true
}

func (l *loop) typeGuard(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.AssignStmt:
		return l.pure(s.Rhs[0].(*ast.TypeAssertExpr).X)
	case *ast.ExprStmt:
		return l.pure(s.X.(*ast.TypeAssertExpr).X)
	}
	return false
}

func (l *loop) ifStmt(s *ast.IfStmt) bool {
	if l.extreme(s) {
		return true
	}
	return l.stmt1(s.Init) && l.pure(s.Cond) && l.stmts(s.Body, s.Body.List) && l.stmt1(s.Else)
}

// extreme recognises "if e > x { x = e }" over integers or strings.
func (l *loop) extreme(s *ast.IfStmt) bool {
	cond, ok := s.Cond.(*ast.BinaryExpr)
	if !ok || s.Init != nil || s.Else != nil || len(s.Body.List) != 1 {
		return false
	}
	set, ok := s.Body.List[0].(*ast.AssignStmt)
	if !ok || set.Tok != token.ASSIGN || len(set.Lhs) != 1 || !l.ordered(set.Lhs[0]) {
		return false
	}
	x, e := types.ExprString(set.Lhs[0]), types.ExprString(set.Rhs[0])
	a, b, op := types.ExprString(cond.X), types.ExprString(cond.Y), cond.Op
	if a == x && b == e { // x < e is e > x
		a, b = b, a
		switch op {
		case token.LSS, token.LEQ:
			op = token.GTR
		case token.GTR, token.GEQ:
			op = token.LSS
		}
	}
	if a != e || b != x {
		return false
	}
	var class string
	switch op {
	case token.GTR, token.GEQ:
		class = "max"
	case token.LSS, token.LEQ:
		class = "min"
	default:
		return false
	}
	if !l.pure(set.Rhs[0]) {
		return false
	}
	l.effect(set.Lhs[0], class)
	return true
}

func (l *loop) branch(s *ast.BranchStmt) bool {
	switch {
	case s.Tok == token.CONTINUE && s.Label == nil:
		return true
	case s.Tok == token.BREAK && s.Label == nil && l.depth > 0:
		return true
	case s.Tok == token.BREAK, s.Tok == token.CONTINUE:
		l.exits = append(l.exits, l.block)
		return true
	}
	return l.fail(s, "jumps")
}

func (l *loop) declaration(s *ast.DeclStmt) bool {
	gen, ok := s.Decl.(*ast.GenDecl)
	if !ok {
		return l.fail(s, "declares")
	}
	for _, spec := range gen.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				l.declare(name)
			}
			for _, e := range v.Values {
				if !l.pure(e) {
					return false
				}
			}
		}
	}
	return true
}

func (l *loop) assign(s *ast.AssignStmt) bool {
	switch s.Tok {
	case token.DEFINE:
		l.declare(s.Lhs...)
	case token.ASSIGN:
	case token.ADD_ASSIGN, token.SUB_ASSIGN:
		return l.pure(s.Rhs[0]) && l.accumulate(s, s.Lhs[0], "+")
	case token.MUL_ASSIGN, token.OR_ASSIGN, token.AND_ASSIGN, token.XOR_ASSIGN:
		return l.pure(s.Rhs[0]) && l.accumulate(s, s.Lhs[0], s.Tok.String())
	case token.AND_NOT_ASSIGN:
		return l.pure(s.Rhs[0]) && l.accumulate(s, s.Lhs[0], "&=")
	default:
		return l.fail(s, "uses an operator that does not commute")
	}
	if len(s.Lhs) != len(s.Rhs) { // v, ok := m[k] and the like
		for _, x := range s.Lhs {
			if !blank(x) && !l.isLocal(x) {
				return l.fail(s, "assigns what depends on the iteration to %s", types.ExprString(x))
			}
		}
		return l.pure(s.Rhs[0])
	}
	for i := range s.Lhs {
		if !l.assignOne(s, s.Lhs[i], s.Rhs[i]) {
			return false
		}
	}
	return true
}

func (l *loop) assignOne(s ast.Stmt, x, e ast.Expr) bool {
	if blank(x) || l.isLocal(x) {
		return l.pure(e)
	}
	name := types.ExprString(x)
	if args := l.builtin(e, "append"); len(args) > 0 && types.ExprString(args[0]) == name {
		for _, a := range args[1:] {
			if !l.pure(a) {
				return false
			}
		}
		l.effect(x, "append")
		return true
	}
	for _, extreme := range []string{"max", "min"} {
		args := l.builtin(e, extreme)
		if len(args) != 2 || !l.ordered(x) {
			continue
		}
		if types.ExprString(args[1]) == name {
			args[0], args[1] = args[1], args[0]
		}
		if types.ExprString(args[0]) == name {
			l.effect(x, extreme)
			return l.pure(args[1])
		}
	}
	if ix, ok := ast.Unparen(x).(*ast.IndexExpr); ok && isMap(l.c.info.TypeOf(ix.X)) {
		if !l.pure(ix.Index) || !l.pure(e) {
			return false
		}
		if l.isKey(ix.Index) { // one assignment per key
			l.effectOn(ix.X, "entry", true)
			return true
		}
		if l.constant(e) {
			l.effectOn(ix.X, "entry="+types.ExprString(e), false)
			return true
		}
		return l.fail(s, "assigns to an entry that several iterations may share")
	}
	if l.constant(e) {
		if _, ok := ast.Unparen(x).(*ast.IndexExpr); ok && !l.pure(x) {
			return false
		}
		l.effect(x, "="+types.ExprString(e))
		return true
	}
	return l.fail(s, "assigns what depends on the iteration to %s", name)
}

// accumulate examines x op= e.
func (l *loop) accumulate(s ast.Stmt, x ast.Expr, class string) bool {
	if l.isLocal(x) {
		return true
	}
	b, ok := l.c.info.TypeOf(x).Underlying().(*types.Basic)
	if !ok || b.Info()&types.IsInteger == 0 {
		return l.fail(s, "accumulates what is no integer")
	}
	if ix, ok := ast.Unparen(x).(*ast.IndexExpr); ok {
		if !l.pure(ix.Index) {
			return false
		}
		l.effectOn(ix.X, class, false)
		return true
	}
	l.effect(x, class)
	return true
}

// deletion examines a statement that is a call: only delete is indifferent.
func (l *loop) deletion(s *ast.ExprStmt) bool {
	args := l.builtin(s.X, "delete")
	if len(args) != 2 {
		return l.fail(s, "calls %s", types.ExprString(s.X))
	}
	if !l.pure(args[1]) {
		return false
	}
	l.effectOn(args[0], "delete", l.isKey(args[1]))
	return true
}

func (l *loop) effect(x ast.Expr, op string) { l.effectOn(x, op, false) }
func (l *loop) effectOn(x ast.Expr, op string, own bool) {
	l.effects = append(l.effects, effect{target: x, op: op, block: l.block, own: own})
}

// verdict judges the effects together.
func (l *loop) verdict() string {
	for i, e := range l.effects {
		name := types.ExprString(e.target)
		for _, f := range l.effects[:i] {
			if types.ExprString(f.target) == name && f.op != e.op {
				return fmt.Sprintf("%s is changed in two ways that do not commute", name)
			}
		}
		for _, r := range l.reads {
			if l.mentions(r, name, e.own) {
				return fmt.Sprintf("line %d reads %s, which the loop changes", l.c.pass.Fset.Position(r.Pos()).Line, name)
			}
		}
		if l.calls && !l.isVariable(e.target) {
			return fmt.Sprintf("a condition calls a function that may read %s, which the loop changes", name)
		}
		if e.op == "append" {
			if why := l.c.sortedAfter(e.target, l.stmt.End()); why != "" {
				return why
			}
		}
	}
	if len(l.exits) == 0 {
		return ""
	}
	if len(l.exits) > 1 {
		return "it leaves the loop in more than one place"
	}
	for _, e := range l.effects {
		if e.block != l.exits[0] || e.op[0] != '=' {
			return fmt.Sprintf("it leaves the loop early, with %s changed by some iterations only", types.ExprString(e.target))
		}
	}
	return ""
}

// mentions reports whether e contains an expression spelled name. With own set,
// reading the entry of the iteration's own key does not count.
func (l *loop) mentions(e ast.Expr, name string, own bool) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		x, ok := n.(ast.Expr)
		if !ok || found {
			return !found
		}
		if ix, ok := x.(*ast.IndexExpr); ok && own && types.ExprString(ix.X) == name && l.isKey(ix.Index) {
			return false
		}
		if types.ExprString(x) == name {
			found = true
		}
		return !found
	})
	return found
}

// pure examines an expression; see purity.
func (l *loop) pure(e ast.Expr) bool {
	if e == nil {
		return true
	}
	level := l.c.purity.expr(e)
	if level == impure {
		return l.fail(e, "evaluates %s, which may have effects", types.ExprString(e))
	}
	if level == readsState {
		l.calls = true
	}
	l.reads = append(l.reads, e)
	return true
}

// constant reports whether e has one value in all iterations: a constant, nil, an
// empty composite, or a variable from outside the loop (which verdict then finds
// unchanged by it, or not).
func (l *loop) constant(e ast.Expr) bool {
	e = ast.Unparen(e)
	tv := l.c.info.Types[e]
	if tv.Value != nil || tv.IsNil() {
		return true
	}
	name := e
	switch x := e.(type) {
	case *ast.CompositeLit:
		return len(x.Elts) == 0
	case *ast.SelectorExpr:
		name = x.Sel
	}
	id, ok := name.(*ast.Ident)
	if !ok {
		return false
	}
	v, ok := l.c.info.Uses[id].(*types.Var)
	if !ok || v.IsField() || l.local[v] {
		return false
	}
	l.reads = append(l.reads, e)
	return true
}

func (l *loop) isLocal(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	return ok && l.local[l.c.info.ObjectOf(id)]
}

func (l *loop) isKey(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	return ok && l.key != nil && l.c.info.Uses[id] == l.key
}

// isVariable reports whether x is a variable of a function, which no function
// called from the loop can see (closures and addresses left aside).
func (l *loop) isVariable(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	if !ok {
		return false
	}
	v, ok := l.c.info.ObjectOf(id).(*types.Var)
	return ok && v.Parent() != v.Pkg().Scope()
}

func (l *loop) ordered(x ast.Expr) bool {
	b, ok := l.c.info.TypeOf(x).Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsInteger|types.IsString) != 0
}

// builtin returns the arguments of a call of the builtin function, or nil.
func (l *loop) builtin(e ast.Expr, name string) []ast.Expr {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return nil
	}
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return nil
	}
	if b, ok := l.c.info.Uses[id].(*types.Builtin); !ok || b.Name() != name {
		return nil
	}
	return append([]ast.Expr(nil), call.Args...)
}
