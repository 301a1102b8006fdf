package profile

import (
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD, which package syscall lacks.
const rusageThread = 1

func rusage(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// threadCPU is the CPU time of the calling thread; lock the goroutine to it.
func threadCPU() time.Duration { return rusage(rusageThread) }

// processCPU is the CPU time of the process.
func processCPU() time.Duration { return rusage(syscall.RUSAGE_SELF) }
