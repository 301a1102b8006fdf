package sweep

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/anacrolix/chansync"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/schollz/progressbar/v3"
)

// plainInterval is how often a line is printed where there is no terminal.
const plainInterval = 10 * time.Second

// progress shows one rewritten line on a terminal, otherwise one plain line now
// and then. All its output goes through one lock, so that failures and the line
// do not mix.
type progress struct {
	name    string
	total   int
	w       io.Writer
	quiet   bool
	bar     *progressbar.ProgressBar
	started time.Time

	mu                 sync.Mutex
	done, ran, running int
	failed, invalid    int
	current            string
	quit               chan struct{}
	stopped            sync.WaitGroup
}

func newProgress(name string, total int, w io.Writer, terminal, quiet bool) *progress {
	p := &progress{name: name, total: total, w: w, quiet: quiet || w == io.Discard, started: time.Now(), quit: make(chan struct{})}
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(terminal && !p.quiet),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(20),
		progressbar.OptionShowCount(),
		progressbar.OptionSetDescription(name),
		progressbar.OptionClearOnFinish(),
	)
	if !terminal && !p.quiet {
		p.stopped.Add(1)
		go p.plain()
	}
	return p
}

func (p *progress) plain() {
	defer p.stopped.Done()
	t := time.NewTicker(plainInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.mu.Lock()
			fmt.Fprintln(p.w, p.line())
			p.mu.Unlock()
		case <-p.quit:
			return
		}
	}
}

// line is called with the lock held.
func (p *progress) line() string {
	s := fmt.Sprintf("%s  %d/%d cells  %d running  %d failed  %d invalid", p.name, p.done, p.total, p.running, p.failed, p.invalid)
	if p.ran > 0 && p.done < p.total {
		eta := time.Since(p.started) / time.Duration(p.ran) * time.Duration(p.total-p.done)
		s += "  ETA " + eta.Round(time.Second).String()
	}
	if p.current != "" {
		s += "  [" + p.current + "]"
	}
	return s
}

func (p *progress) begin(label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
	p.current = label
	p.describe()
}

func (p *progress) end(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
}

func (p *progress) describe() {
	p.bar.Describe(fmt.Sprintf("%s  %d running  %d failed  %d invalid  [%s]", p.name, p.running, p.failed, p.invalid, p.current))
}

// cell counts a finished cell and prints what is wrong with it.
func (p *progress) cell(r CellReport, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if r.Ran {
		p.ran++
	}
	switch r.State {
	case result.OK:
	case result.Invalid:
		p.invalid++
	default:
		p.failed++
	}
	if line != "" {
		// Clear fails only where the bar is hidden; then there is nothing to clear.
		_ = p.bar.Clear()
		fmt.Fprint(p.w, line)
	}
	p.describe()
	_ = p.bar.Add(1)
}

func (p *progress) finish() {
	close(p.quit)
	p.stopped.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish()
	p.current = ""
	if !p.quiet {
		fmt.Fprintln(p.w, p.line())
	}
}

// NotifyInterrupt sets stop on the first SIGINT or SIGTERM. A second one kills
// the process as usual. The returned function ends the watch.
func NotifyInterrupt(stop *chansync.SetOnce) (release func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Add(1)
	go func() {
		defer ended.Done()
		select {
		case <-c:
			stop.Set()
			signal.Stop(c)
		case <-quit:
		}
	}()
	return func() {
		signal.Stop(c)
		close(quit)
		ended.Wait()
	}
}
