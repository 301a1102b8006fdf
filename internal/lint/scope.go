package lint

import (
	"go/ast"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Module is the path of the module that the passes apply to.
const Module = "github.com/edgebft/edgebft"

// deterministic lists the rooms whose code decides what happens in a run.
var deterministic = []string{"abstract", "netsim", "pag", "protocols", "rbft", "workloads", "xpaxos"}

// Deterministic reports whether the package with this import path is under the
// determinism rule.
func Deterministic(path string) bool {
	rel, ok := relative(path)
	if !ok {
		return false
	}
	for _, room := range deterministic {
		if within(rel, room) {
			return true
		}
	}
	return false
}

// relative returns the path of a package inside the module.
func relative(path string) (string, bool) {
	if path == Module {
		return "", true
	}
	return strings.CutPrefix(path, Module+"/")
}

// within reports whether path is room or lies below it.
func within(path, room string) bool {
	return path == room || strings.HasPrefix(path, room+"/")
}

// sources returns the files of a pass that are not tests.
func sources(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, f := range pass.Files {
		if !strings.HasSuffix(pass.Fset.File(f.FileStart).Name(), "_test.go") {
			files = append(files, f)
		}
	}
	return files
}
