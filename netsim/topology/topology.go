package topology

// Path is the one-way path between two places.
type Path struct {
	// Floor is the mandatory minimum delay in nanoseconds, Jitter the tail on top
	// of it (nil for none).
	Floor  int64
	Jitter *Quantiles
	// LossPPM is the mean loss in packets per million, Burst the mean length of a
	// loss burst in packets (at least 1).
	LossPPM int64
	Burst   int64
}

// Link is the access link of a host: rates in bit/s, 0 for unlimited.
type Link struct {
	Up, Down int64
	MTU      int64
	// Queue bounds the backlog in bytes in each direction.
	Queue int64
}

// Place is where hosts stand.
type Place struct {
	Name string
	Link Link
	// Profile names the host profile (netsim/profile) that fits the place; "" is
	// no suggestion. A scenario may override it.
	Profile string
}

// Topology is a set of places and the paths between them.
type Topology struct {
	Name, Doc string
	Places    []Place
	// Paths[i][j] leads from place i to place j; Paths[i][i] joins two hosts of
	// one place.
	Paths [][]Path
	// Replicas and Clients name the places that replicas and client hosts are put
	// at in turn, as indices into Places.
	Replicas, Clients []int
	// Hash identifies the content in results: 16 hex digits.
	Hash string
}

// Delay turns 64 uniform bits into a one-way delay in nanoseconds.
func (p *Path) Delay(u uint64) int64 {
	if p.Jitter == nil {
		return p.Floor
	}
	return p.Floor + p.Jitter.Sample(u)
}

// Quantile returns the one-way delay of a probability in parts per million.
func (p *Path) Quantile(ppm int64) int64 {
	if p.Jitter == nil {
		return p.Floor
	}
	return p.Floor + p.Jitter.At(ppm)
}
