package lint

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"
)

func TestDeterminism(t *testing.T) {
	for _, pkg := range []string{"protocols/bad", "protocols/good", "rbft/allowed", "experiments"} {
		t.Run(pkg, func(t *testing.T) {
			analysistest.Run(t, analysistest.TestData(), Determinism, Module+"/"+pkg)
		})
	}
}

func TestLayering(t *testing.T) {
	for _, pkg := range []string{"protocols/layers", "netsim", "experiments"} {
		t.Run(pkg, func(t *testing.T) {
			analysistest.Run(t, analysistest.TestData(), Layering, Module+"/"+pkg)
		})
	}
}

func TestDeterministicPackages(t *testing.T) {
	for path, want := range map[string]bool{
		Module + "/protocols":        true,
		Module + "/protocols/pbft":   true,
		Module + "/netsim/kernel":    true,
		Module + "/workloads/market": true,
		Module + "/abstract":         true,
		Module + "/rbft":             true,
		Module + "/xpaxos":           true,
		Module + "/pag":              true,
		Module + "/nettcp":           false,
		Module + "/experiments":      false,
		Module + "/protocolsx":       false,
		"example.org/protocols":      false,
	} {
		require.Equal(t, want, Deterministic(path), path)
	}
}

func TestCheckImport(t *testing.T) {
	tests := []struct {
		from, to string
		ok       bool
	}{
		{"protocols", "fmt", true},
		{"protocols", "github.com/tinylib/msgp/msgp", true},
		{"protocols", "github.com/stretchr/testify/require", false},
		{"protocols", "protocols/auth", false},
		{"protocols/auth", "protocols", true},
		{"protocols/auth", "protocols/smr", false},
		{"protocols/smr", "protocols/auth", true},
		{"protocols/pbft", "protocols/smr", true},
		{"protocols/pbft", "protocols/raft", false},
		{"protocols/pbft", "netsim", false},
		{"protocols/pbft", "workloads/market", false},
		{"protocols/mine", "protocols/smr", true},
		{"protocols/mine", "netsim", false},
		{"abstract/backup", "abstract", true},
		{"abstract/backup", "protocols/pbft", true},
		{"rbft", "abstract", true},
		{"rbft", "xpaxos", false},
		{"netsim", "protocols/auth", true},
		{"netsim/observe", "netsim", true},
		{"netsim/observe", "github.com/anishathalye/porcupine", true},
		{"netsim", "protocols/pbft", false},
		{"netsim", "experiments/scenario", false},
		{"nettcp", "netsim", false},
		{"workloads/market", "protocols", true},
		{"workloads/market", "netsim", false},
		{"experiments/explore", "netsim", true},
		{"experiments/catalog", "gonum.org/v1/plot", true},
		{"cmd/edgebft", "experiments", true},
		{"cmd/edgebft", "netsim", false},
		{"cmd/edgebft", "gonum.org/v1/plot", false},
		{"test/conformance", "netsim", true},
		{"util", "fmt", false}, // no such room
	}
	for _, tt := range tests {
		to := tt.to
		if layerOf(to) != nil {
			to = Module + "/" + to
		}
		why := CheckImport(Module+"/"+tt.from, to)
		require.Equal(t, tt.ok, why == "", "%s -> %s: %q", tt.from, tt.to, why)
		if !tt.ok && tt.from != "util" {
			require.Contains(t, why, tt.to, "the offending import is named")
		}
	}
}

// TestTreeKeepsLayers checks every import of this repository, build tags or not.
func TestTreeKeepsLayers(t *testing.T) {
	root := filepath.Join("..", "..")
	_, err := os.Stat(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	checked := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (name == "testdata" || name == "tools" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			checked++
			if why := CheckImport(Module+"/"+filepath.ToSlash(dir), importPath(spec)); why != "" {
				t.Errorf("%s: %s", path, why)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, checked, 20, "the walk found the repository")
}

func TestPointerVerb(t *testing.T) {
	for format, want := range map[string]bool{
		"%p": true, "%#p": true, "%-10.3p": true, "x%[1]py": true, "%d%p": true,
		"": false, "%": false, "%%p": false, "%d p": false, "%5": false,
	} {
		require.Equal(t, want, hasPointerVerb(format), "%q", format)
	}
}
