package lint

import (
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// allowPrefix starts a comment that silences findings of a pass.
const allowPrefix = "//lint:allow "

// minReason is the least number of words of a reason. Fewer say nothing.
const minReason = 3

// allowance is one comment and the stretch of source that it covers.
type allowance struct {
	at         token.Pos
	start, end token.Pos // covered stretch; unused if line is set
	line       int       // covered lines are line and line+1
	used       bool
}

// reporter passes findings on unless a comment allows them.
type reporter struct {
	pass  *analysis.Pass
	rule  string
	files map[string][]*allowance
}

func newReporter(pass *analysis.Pass, files []*ast.File) *reporter {
	r := &reporter{pass: pass, rule: pass.Analyzer.Name, files: make(map[string][]*allowance)}
	for _, f := range files {
		r.gather(f)
	}
	return r
}

func (r *reporter) gather(f *ast.File) {
	docs := make(map[*ast.CommentGroup]*ast.FuncDecl)
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Doc != nil {
			docs[fn.Doc] = fn
		}
	}
	name := r.pass.Fset.File(f.FileStart).Name()
	for _, group := range f.Comments {
		for _, c := range group.List {
			rest, ok := strings.CutPrefix(c.Text, allowPrefix)
			if !ok {
				continue
			}
			words := strings.Fields(rest)
			if len(words) == 0 || words[0] != r.rule {
				continue
			}
			if len(words)-1 < minReason {
				r.pass.Reportf(c.Pos(), "%s%s needs a reason of at least %d words behind it", allowPrefix, r.rule, minReason)
				continue
			}
			a := &allowance{at: c.Pos()}
			switch fn := docs[group]; {
			case fn != nil:
				a.start, a.end = fn.Pos(), fn.End()
			case c.Pos() < f.Package:
				a.start, a.end = f.FileStart, f.FileEnd
			default:
				a.line = r.pass.Fset.Position(c.Pos()).Line
			}
			r.files[name] = append(r.files[name], a)
		}
	}
}

// reportf reports a finding at pos unless it is allowed there.
func (r *reporter) reportf(pos token.Pos, format string, args ...any) {
	p := r.pass.Fset.Position(pos)
	for _, a := range r.files[r.pass.Fset.File(pos).Name()] {
		if a.line != 0 && (p.Line == a.line || p.Line == a.line+1) ||
			a.line == 0 && a.start <= pos && pos < a.end {
			a.used = true
			return
		}
	}
	r.pass.Reportf(pos, format, args...)
}

// unused reports the comments that silenced nothing.
func (r *reporter) unused(files []*ast.File) {
	for _, f := range files {
		for _, a := range r.files[r.pass.Fset.File(f.FileStart).Name()] {
			if !a.used {
				r.pass.Reportf(a.at, "%s%s allows nothing here; remove it", allowPrefix, r.rule)
			}
		}
	}
}
