package lint

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// Determinism is the pass that keeps outside input out of the code that decides
// what happens in a run.
var Determinism = &analysis.Analyzer{
	Name: "determinism",
	Doc:  "rejects what would make a simulated run depend on anything but scenario and seed",
	Run:  runDeterminism,
}

func runDeterminism(pass *analysis.Pass) (any, error) {
	if !Deterministic(pass.Pkg.Path()) {
		return nil, nil
	}
	files := sources(pass)
	c := &checker{pass: pass, info: pass.TypesInfo, report: newReporter(pass, files)}
	c.purity = newPurity(pass, files)
	c.times = newTimes(pass)
	for _, f := range files {
		c.file(f)
	}
	c.report.unused(files)
	return nil, nil
}

// checker looks at one package.
type checker struct {
	pass   *analysis.Pass
	info   *types.Info
	report *reporter
	purity *purity
	times  *times
	// stack holds the ancestors of the node being looked at.
	stack []ast.Node
}

func (c *checker) file(f *ast.File) {
	for _, spec := range f.Imports {
		if why := bannedImport(importPath(spec)); why != "" {
			c.report.reportf(spec.Pos(), "import of %s: %s", importPath(spec), why)
		}
	}
	c.times.declarations(c, f)
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			c.stack = c.stack[:len(c.stack)-1]
			return true
		}
		c.node(n)
		c.stack = append(c.stack, n)
		return true
	})
}

func (c *checker) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report.reportf(n.Pos(), "go statement: the scheduler's order is not reproducible")
	case *ast.SelectStmt:
		c.report.reportf(n.Pos(), "select: its choice is random and channels belong to the scheduler")
	case *ast.SendStmt:
		c.report.reportf(n.Pos(), "channel send: post through Env.Post instead")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.report.reportf(n.Pos(), "channel receive: deterministic code receives through its handlers")
		}
	case *ast.RangeStmt:
		c.ranged(n)
	case *ast.Ident:
		if obj := c.info.Uses[n]; obj != nil {
			if why := bannedUse(obj); why != "" {
				c.report.reportf(n.Pos(), "use of %s: %s", qualified(obj), why)
			}
		}
	case *ast.CallExpr:
		c.call(n)
	}
}

// ranged checks a range statement.
func (c *checker) ranged(n *ast.RangeStmt) {
	t := c.info.TypeOf(n.X)
	if t == nil {
		return
	}
	if isChan(t) {
		c.report.reportf(n.Pos(), "range over a channel: deterministic code receives through its handlers")
		return
	}
	what := ""
	if isMap(t) {
		what = "a map"
	} else if fn := c.mapIterator(n.X); fn != nil {
		what = qualified(fn)
	}
	if what == "" {
		return
	}
	if why := c.orderMatters(n); why != "" {
		c.report.reportf(n.Pos(), "range over %s: %s; iterate over sorted keys, or say why the order does not matter: %s%s <reason>", what, why, allowPrefix, c.report.rule)
	}
}

// call checks calls whose meaning depends on where they stand.
func (c *checker) call(n *ast.CallExpr) {
	if formatsPointer(c.info, n) {
		c.report.reportf(n.Pos(), "verb %%p: addresses differ from run to run")
	}
	if id, ok := ast.Unparen(n.Fun).(*ast.Ident); ok && len(n.Args) > 0 {
		if b, ok := c.info.Uses[id].(*types.Builtin); ok && (b.Name() == "make" || b.Name() == "close") && isChan(c.info.TypeOf(n.Args[0])) {
			c.report.reportf(n.Pos(), "%s of a channel: deterministic code has one goroutine", b.Name())
		}
	}
	if fn := c.mapIterator(n); fn != nil && !c.iteratorIsOrdered(n) {
		c.report.reportf(n.Pos(), "%s has the order of a map: hand it to slices.Sorted, or sort what is collected from it before anything reads it", qualified(fn))
	}
	c.times.conversion(c, n)
}

// mapIterator returns the function if e calls maps.Keys, maps.Values or maps.All.
func (c *checker) mapIterator(e ast.Expr) *types.Func {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return nil
	}
	fn := callee(c.info, call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != "maps" {
		return nil
	}
	switch fn.Name() {
	case "Keys", "Values", "All":
		return fn
	}
	return nil
}

// iteratorIsOrdered reports whether what a map iterator yields is sorted, goes
// into a map, or is looked at by the check of range statements.
func (c *checker) iteratorIsOrdered(n *ast.CallExpr) bool {
	parent := c.ancestor(0)
	if r, ok := parent.(*ast.RangeStmt); ok && ast.Unparen(r.X) == n {
		return true
	}
	call, ok := parent.(*ast.CallExpr)
	if !ok {
		return false
	}
	fn := callee(c.info, call)
	if fn == nil {
		return false
	}
	switch fn.FullName() {
	case "slices.Sorted", "slices.SortedFunc", "slices.SortedStableFunc", "maps.Collect", "maps.Insert":
		return true
	case "slices.Collect", "slices.AppendSeq":
		assign, ok := c.ancestor(1).(*ast.AssignStmt)
		return ok && len(assign.Lhs) == 1 && c.sortedAfter(assign.Lhs[0], assign.End()) == ""
	}
	return false
}

// ancestor returns the i-th ancestor of the node being looked at, parentheses
// left out.
func (c *checker) ancestor(i int) ast.Node {
	for j := len(c.stack) - 1; j >= 0; j-- {
		if _, ok := c.stack[j].(*ast.ParenExpr); ok {
			continue
		}
		if i == 0 {
			return c.stack[j]
		}
		i--
	}
	return nil
}

// function returns the body of the innermost function around the node being
// looked at.
func (c *checker) function() *ast.BlockStmt {
	for j := len(c.stack) - 1; j >= 0; j-- {
		switch f := c.stack[j].(type) {
		case *ast.FuncDecl:
			return f.Body
		case *ast.FuncLit:
			return f.Body
		}
	}
	return nil
}

func qualified(obj types.Object) string {
	if fn, ok := obj.(*types.Func); ok && fn.Signature().Recv() != nil {
		return fn.FullName()
	}
	if obj.Pkg() == nil {
		return obj.Name()
	}
	return obj.Pkg().Name() + "." + obj.Name()
}

// isMap reports whether t is a map, or a type parameter that some map satisfies.
func isMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		if _, ok := types.Unalias(t).(*types.TypeParam); !ok {
			return false
		}
		for e := range u.EmbeddedTypes() {
			if union, ok := e.(*types.Union); ok {
				for term := range union.Terms() {
					if isMap(term.Type()) {
						return true
					}
				}
			} else if isMap(e) {
				return true
			}
		}
	}
	return false
}

func isChan(t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(*types.Chan)
	return ok
}
