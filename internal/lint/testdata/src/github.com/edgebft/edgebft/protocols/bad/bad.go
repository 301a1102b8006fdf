// Package bad breaks every rule once.
package bad

import (
	"crypto/ed25519"
	_ "crypto/rand" // want `import of crypto/rand: it is input from outside the seed`
	"fmt"
	_ "hash/maphash" // want `import of hash/maphash: it is seeded per process`
	"math"
	"math/rand/v2"
	_ "net/http" // want `import of net/http: deterministic code reaches the world through its Env only`
	"net/netip"
	"os"
	_ "os/exec" // want `import of os/exec`
	"reflect"
	"runtime"
	_ "sync"        // want `import of sync: locks and pools`
	_ "sync/atomic" // want `import of sync/atomic`
	"time"

	"github.com/edgebft/edgebft/protocols"
)

var _ netip.Addr

func scheduler(c chan int) {
	go scheduler(nil) // want `go statement`
	c <- 1            // want `channel send`
	<-c               // want `channel receive`
	select {          // want `select: its choice is random`
	default:
	}
	for range c { // want `range over a channel`
	}
	d := make(chan int) // want `make of a channel`
	close(d)            // want `close of a channel`
}

func outside() {
	_ = time.Now()                     // want `use of time.Now: use Env.Now or Env.Clock`
	_ = time.Since(time.Time{})        // want `use of time.Since`
	time.Sleep(1)                      // want `use of time.Sleep`
	_ = time.After(1)                  // want `use of time.After`
	_ = time.Tick(1)                   // want `use of time.Tick`
	_ = time.NewTimer(1)               // want `use of time.NewTimer`
	f := time.Now                      // want `use of time.Now`
	_ = f                              //
	_ = time.Time{}.Local()            // want `use of \(time.Time\).Local`
	_ = rand.IntN(3)                   // want `use of rand.IntN: the global generator`
	_ = os.Getenv("HOME")              // want `use of os.Getenv`
	_, _ = os.Hostname()               // want `use of os.Hostname`
	_ = os.Getpid()                    // want `use of os.Getpid`
	_ = os.Args                        // want `use of os.Args`
	_ = runtime.NumGoroutine()         // want `use of runtime.NumGoroutine`
	runtime.ReadMemStats(nil)          // want `use of runtime.ReadMemStats`
	runtime.SetFinalizer(nil, nil)     // want `use of runtime.SetFinalizer`
	_, _, _ = ed25519.GenerateKey(nil) // want `use of ed25519.GenerateKey`
	_ = reflect.Value{}.MapKeys()      // want `use of \(reflect.Value\).MapKeys`
	fmt.Printf("%d %-8p\n", 1, f)      // want `verb %p`
	_ = math.Exp(1.5)                  // want `use of math.Exp: its last bits differ`
}

func floats(d time.Duration, t protocols.Time, r *rand.Rand) {
	_ = float64(d)                    // want `time converted to a float`
	_ = float64(int64(t))             // want `time converted to a float`
	_ = float64(d.Nanoseconds())      // want `time converted to a float`
	_ = d.Seconds()                   // want `\(time.Duration\).Seconds is a float`
	x := 1.5                          //
	_ = time.Duration(x)              // want `float converted to a time`
	_ = protocols.Time(int64(x))      // want `float converted to a time`
	_ = time.Duration(r.Float64())    // want `float converted to a time` `use of \(\*math/rand/v2.Rand\).Float64`
	_ = time.Duration(float64(d) * x) // want `float converted to a time` `time converted to a float`
}

func scale(d time.Duration, by float64) time.Duration { // want `scale takes or returns both a float and a time`
	return d
}

type vote struct {
	Weight []float64 // want `float field in vote, a message`
}

func (*vote) Tag() protocols.Tag { return 1 }

type replica struct {
	rate  float32        // want `float field in replica, a type that decides events`
	stats stats          // want `float field in replica, a type that decides events`
	peers map[int]*stats // want `float field in replica, a type that decides events`
	next  *replica2
}

type stats struct{ inner struct{ rate float64 } }

type replica2 struct{ next *replica2 }

func (*replica) Receive(protocols.Message) {}

func (r *replica) adapt(rate float32) { r.rate = rate } // want `method adapt of a type that decides events`
