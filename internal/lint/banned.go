package lint

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strconv"
	"strings"
)

// bannedImports names packages, and why; a path ending in "/..." names all below
// it too.
var bannedImports = map[string]string{
	"sync":                          "locks and pools depend on the scheduler and the garbage collector; deterministic code has one goroutine",
	"sync/atomic":                   "deterministic code has one goroutine",
	"math/rand":                     "use the seeded generators of math/rand/v2 that Env.Rand and streams give",
	"crypto/rand":                   "it is input from outside the seed",
	"crypto/ecdsa":                  "its signatures and keys ignore the reader they are given; use Ed25519 with keys from seeds",
	"crypto/rsa":                    "its keys ignore the reader they are given; use Ed25519 with keys from seeds",
	"crypto/ecdh":                   "its keys ignore the reader they are given",
	"hash/maphash":                  "it is seeded per process",
	"weak":                          "weak pointers depend on the garbage collector",
	"unique":                        "handles order by address",
	"net/...":                       "deterministic code reaches the world through its Env only",
	"os/...":                        "deterministic code reads nothing from the process or host; take what is needed as an argument",
	"runtime/metrics":               "it depends on the scheduler and the garbage collector",
	"runtime/debug":                 "it depends on the process",
	"testing/synctest":              "bubbles are not replayable",
	"golang.org/x/sync/...":         "deterministic code has one goroutine",
	"github.com/anacrolix/chansync": "deterministic code has one goroutine",
	"github.com/google/uuid":        "it draws from outside the seed",
	"golang.org/x/exp/rand":         "use math/rand/v2 through Env.Rand",
	"github.com/anacrolix/sync":     "deterministic code has one goroutine",
}

// permittedBelow are exceptions from "/..." entries of bannedImports.
var permittedBelow = map[string]bool{"net/netip": true, "net/url": true}

// bannedFuncs names functions and methods by full name.
var bannedFuncs = map[string]string{
	"time.Now":                         "use Env.Now or Env.Clock",
	"time.Since":                       "use Env.Now",
	"time.Until":                       "use Env.Now",
	"time.After":                       "use Env.SetTimer",
	"time.AfterFunc":                   "use Env.SetTimer",
	"time.Sleep":                       "use Env.SetTimer",
	"time.Tick":                        "use Env.SetTimer",
	"time.NewTimer":                    "use Env.SetTimer",
	"time.NewTicker":                   "use Env.SetTimer",
	"time.LoadLocation":                "the time zone data base belongs to the host",
	"(time.Time).Local":                "the time zone belongs to the host",
	"runtime.NumGoroutine":             "it depends on the process",
	"runtime.NumCPU":                   "it depends on the host",
	"runtime.NumCgoCall":               "it depends on the process",
	"runtime.GOMAXPROCS":               "it depends on the host",
	"runtime.ReadMemStats":             "it depends on the garbage collector",
	"runtime.GC":                       "nothing deterministic depends on the garbage collector",
	"runtime.Gosched":                  "deterministic code has one goroutine",
	"runtime.SetFinalizer":             "finalizers run when the garbage collector likes",
	"runtime.AddCleanup":               "cleanups run when the garbage collector likes",
	"runtime.Stack":                    "it shows addresses",
	"crypto/ed25519.GenerateKey":       "make keys from seeds with NewKeyFromSeed",
	"(reflect.Value).MapRange":         "it has the order of a map",
	"(reflect.Value).MapKeys":          "it has the order of a map",
	"(reflect.Value).Pointer":          "addresses differ from run to run",
	"(reflect.Value).UnsafePointer":    "addresses differ from run to run",
	"(*math/rand/v2.Rand).Float64":     "draw integers; floats differ between architectures once computed with",
	"(*math/rand/v2.Rand).Float32":     "draw integers; floats differ between architectures once computed with",
	"(*math/rand/v2.Rand).NormFloat64": "draw from an integer table",
	"(*math/rand/v2.Rand).ExpFloat64":  "draw from an integer table",
}

// bannedVars names package variables.
var bannedVars = map[string]string{
	"os.Args":    "deterministic code reads nothing from the process",
	"time.Local": "the time zone belongs to the host",
}

// osReads are the functions of package os that may not be used; the rest of the
// package (reading data files at set-up) may.
var osReads = []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Hostname", "Getpid", "Getppid", "Getuid", "Geteuid", "Getgid", "Getegid", "Getgroups", "Getwd", "TempDir", "Executable", "UserHomeDir", "UserCacheDir", "UserConfigDir", "Getpagesize"}

// exactMath are the functions of package math whose results the standards fix to
// the last bit.
var exactMath = map[string]bool{
	"Float64bits": true, "Float64frombits": true, "Float32bits": true, "Float32frombits": true,
	"IsNaN": true, "IsInf": true, "Inf": true, "NaN": true, "Signbit": true, "Copysign": true,
	"Abs": true, "Floor": true, "Ceil": true, "Trunc": true, "Round": true, "RoundToEven": true,
	"Sqrt": true, "Max": true, "Min": true,
}

// freeRand are the package functions of math/rand/v2 that do not use the global
// generator.
var freeRand = map[string]bool{"New": true, "NewPCG": true, "NewChaCha8": true, "NewZipf": true}

func init() {
	for _, f := range osReads {
		bannedFuncs["os."+f] = "deterministic code reads nothing from the process or host; take it as an argument"
	}
}

// bannedImport returns why a path may not be imported, or "".
func bannedImport(path string) string {
	if why, ok := bannedImports[path]; ok {
		return why
	}
	if permittedBelow[path] {
		return ""
	}
	for p := path; p != ""; {
		if why, ok := bannedImports[p+"/..."]; ok && path != "os" { // of os itself single functions are banned
			return why
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return ""
}

// bannedUse returns why an object may not be used, or "".
func bannedUse(obj types.Object) string {
	switch obj := obj.(type) {
	case *types.Var:
		if obj.Pkg() != nil && obj.Parent() == obj.Pkg().Scope() {
			return bannedVars[obj.Pkg().Path()+"."+obj.Name()]
		}
	case *types.Func:
		if why := bannedFuncs[obj.FullName()]; why != "" {
			return why
		}
		if obj.Pkg() == nil || obj.Signature().Recv() != nil {
			return ""
		}
		switch obj.Pkg().Path() {
		case "math":
			if !exactMath[obj.Name()] {
				return "its last bits differ between architectures; use integer tables or fixed-point arithmetic"
			}
		case "math/rand/v2":
			if !freeRand[obj.Name()] {
				return "the global generator is seeded per process; use Env.Rand"
			}
		}
	}
	return ""
}

// formatsPointer reports whether a call formats with the verb %p.
func formatsPointer(info *types.Info, call *ast.CallExpr) bool {
	fn := callee(info, call)
	if fn == nil || fn.Pkg() == nil {
		return false
	}
	if p := fn.Pkg().Path(); p != "fmt" && p != "log" && p != "log/slog" {
		return false
	}
	for _, arg := range call.Args {
		if tv := info.Types[arg]; tv.Value != nil && tv.Value.Kind() == constant.String && hasPointerVerb(constant.StringVal(tv.Value)) {
			return true
		}
	}
	return false
}

func hasPointerVerb(format string) bool {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.[]*", format[i]) >= 0; i++ {
		}
		if i < len(format) && format[i] == 'p' {
			return true
		}
	}
	return false
}

// callee returns the function or method that a call names, or nil.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	switch f := fun.(type) {
	case *ast.Ident:
		fn, _ := info.Uses[f].(*types.Func)
		return fn
	case *ast.SelectorExpr:
		fn, _ := info.Uses[f.Sel].(*types.Func)
		return fn
	}
	return nil
}

func importPath(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return path
}
