package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// LinkedRevision may be set at build time:
// -ldflags "-X github.com/edgebft/edgebft/experiments/store.LinkedRevision=<commit>".
var LinkedRevision string

// LinkedVersion may be set at build time in the same way.
var LinkedVersion string

// modulePath guards against reporting the revision of some other repository
// that the program happens to be started in.
const modulePath = "github.com/edgebft/edgebft"

// Revision is the code that ran.
type Revision struct {
	// Commit is empty if unknown.
	Commit string `json:"commit"`
	Dirty  bool   `json:"dirty"`
	// DiffHash identifies what the commit does not: the uncommitted changes, or the
	// whole program where those cannot be seen.
	DiffHash string `json:"diff_hash,omitempty"`
	// Source is build-info, ldflags, git or none: how it was learnt.
	Source string `json:"source"`
}

// String is short enough for a figure's footer.
func (r Revision) String() string {
	s := r.Commit
	if len(s) > 10 {
		s = s[:10]
	}
	switch {
	case s == "":
		s = "unknown"
	case r.Dirty:
		s += "+changes"
	}
	if len(r.DiffHash) >= 6 {
		s += "." + r.DiffHash[:6]
	}
	return s
}

// Same says whether two cells ran the same code.
func (r Revision) Same(o Revision) bool {
	return r.Commit == o.Commit && r.Dirty == o.Dirty && r.DiffHash == o.DiffHash
}

// Build is how the program was built and started.
type Build struct {
	Version    string            `json:"version"`
	Go         string            `json:"go"`
	GOOS       string            `json:"goos"`
	GOARCH     string            `json:"goarch"`
	Settings   map[string]string `json:"settings"`
	Modules    string            `json:"modules_sha256"`
	GOMAXPROCS int               `json:"gomaxprocs"`
	GOGC       string            `json:"gogc"`
	GODEBUG    string            `json:"godebug"`
}

// Host describes the machine; empty or 0 is unknown.
type Host struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	Governor    string `json:"governor"`
	MinKHz      int64  `json:"min_khz"`
	MaxKHz      int64  `json:"max_khz"`
	ClockSource string `json:"clock_source"`
	CgroupCPU   string `json:"cgroup_cpu_max"`
	CgroupMem   string `json:"cgroup_memory_max"`
	LoadAverage string `json:"load_average"`
	Container   bool   `json:"container"`
}

// Usable is three quarters of the memory that the process may take, in bytes; 0 if
// that is unknown.
func (h *Host) Usable() int64 {
	limit := h.MemoryBytes
	if group, err := strconv.ParseInt(h.CgroupMem, 10, 64); err == nil && group > 0 && (limit == 0 || group < limit) {
		limit = group
	}
	return limit / 4 * 3
}

// Environment is the same for all cells of a process.
type Environment struct {
	Revision Revision
	Build    Build
	Host     Host
}

// Discover looks at the program and the host. dir is where git may be asked, ""
// for the working directory.
func Discover(dir string) *Environment {
	return &Environment{Revision: discoverRevision(dir), Build: discoverBuild(), Host: discoverHost()}
}

// discoverRevision asks the program, and git where the program does not know. Two builds
// of one commit with different changes, or of no known commit, are told apart.
func discoverRevision(dir string) Revision {
	r := statedRevision(dir)
	if r.DiffHash == "" && (r.Dirty || r.Commit == "") {
		r.DiffHash = programHash()
	}
	return r
}

func statedRevision(dir string) Revision {
	if info, ok := debug.ReadBuildInfo(); ok {
		r := Revision{Source: "build-info"}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				r.Commit = s.Value
			case "vcs.modified":
				r.Dirty = s.Value == "true"
			}
		}
		if r.Commit != "" {
			return r
		}
	}
	if LinkedRevision != "" {
		commit, dirty := strings.CutSuffix(LinkedRevision, "-dirty")
		return Revision{Commit: commit, Dirty: dirty, Source: "ldflags"}
	}
	return gitRevision(dir)
}

// programHash is the SHA-256 of the running program in hex, "" if it cannot be read.
var programHash = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
})

// sources are what programs are built from, below the top of the repository. Results
// that are written into the tree are no change of the code.
var sources = []string{"*.go", "*.yaml", "*.json", "*.tmpl", "*.css", "*.js", "go.mod", "go.sum", ":(exclude)results"}

func gitRevision(dir string) Revision {
	none := Revision{Source: "none"}
	git := func(args ...string) (string, bool) {
		c := exec.Command("git", args...)
		c.Dir = dir
		out, err := c.Output()
		return string(out), err == nil
	}
	top, ok := git("rev-parse", "--show-toplevel")
	if !ok {
		return none
	}
	dir = strings.TrimSpace(top) // patterns are read from here
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(gomod), "module "+modulePath+"\n") {
		return none
	}
	commit, ok := git("rev-parse", "HEAD")
	if !ok {
		return none
	}
	r := Revision{Commit: strings.TrimSpace(commit), Source: "git"}
	status, ok := git(append([]string{"status", "--porcelain", "--untracked-files=all", "--"}, sources...)...)
	if !ok || strings.TrimSpace(status) == "" {
		return r
	}
	r.Dirty = true
	h := sha256.New()
	diff, _ := git(append([]string{"diff", "HEAD", "--"}, sources...)...)
	fmt.Fprintf(h, "%s%s", status, diff)
	// The diff has nothing of files that git does not know yet.
	untracked, _ := git(append([]string{"ls-files", "--others", "--exclude-standard", "-z", "--"}, sources...)...)
	for _, name := range strings.Split(untracked, "\x00") {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if name != "" && err == nil {
			fmt.Fprintf(h, "%d %s\n", len(data), name)
			h.Write(data)
		}
	}
	r.DiffHash = hex.EncodeToString(h.Sum(nil))
	return r
}

func discoverBuild() Build {
	b := Build{
		Version: LinkedVersion, Go: runtime.Version(), GOOS: runtime.GOOS, GOARCH: runtime.GOARCH,
		GOMAXPROCS: runtime.GOMAXPROCS(0), GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"), Settings: map[string]string{},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		b.Settings[s.Key] = s.Value
	}
	var mods []string
	for _, d := range info.Deps {
		mods = append(mods, d.Path+" "+d.Version+" "+d.Sum)
	}
	sort.Strings(mods)
	sum := sha256.Sum256([]byte(strings.Join(mods, "\n")))
	b.Modules = hex.EncodeToString(sum[:])
	return b
}

func discoverHost() Host {
	h := Host{Cores: runtime.NumCPU()}
	first := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
		return line
	}
	field := func(path, key string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		for _, line := range strings.Split(string(data), "\n") {
			k, v, ok := strings.Cut(line, ":")
			if ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	number := func(s string) int64 {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		return v
	}
	h.CPU = field("/proc/cpuinfo", "model name")
	if h.CPU == "" {
		h.CPU = strings.TrimRight(first("/proc/device-tree/model"), "\x00")
	}
	h.MemoryBytes = number(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")) * 1024
	h.Kernel = first("/proc/sys/kernel/osrelease")
	const freq = "/sys/devices/system/cpu/cpu0/cpufreq/"
	h.Governor = first(freq + "scaling_governor")
	h.MinKHz, h.MaxKHz = number(first(freq+"scaling_min_freq")), number(first(freq+"scaling_max_freq"))
	h.ClockSource = first("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	h.CgroupCPU, h.CgroupMem = first("/sys/fs/cgroup/cpu.max"), first("/sys/fs/cgroup/memory.max")
	h.LoadAverage = first("/proc/loadavg")
	_, err := os.Stat("/.dockerenv")
	h.Container = err == nil
	return h
}
