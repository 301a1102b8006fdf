package protocols

// MaxByzantine returns the largest f with n >= 3f+1.
func MaxByzantine(n int) int { return (n - 1) / 3 }

// Quorum returns the size of a Byzantine quorum of n replicas of which f may be
// faulty: any two quorums meet in a correct replica. It is ceil((n+f+1)/2), which
// is 2f+1 for n = 3f+1. Using 2f+1 with n > 3f+1 would be unsafe.
func Quorum(n, f int) int { return (n+f)/2 + 1 }

// WeakQuorum returns f+1: such a set holds a correct replica.
func WeakQuorum(f int) int { return f + 1 }
