package topology

// Quantiles is a sampled delay distribution: Values[i] is the quantile i/(len-1)
// in nanoseconds, ascending. It is generated data, so that every architecture
// draws the same integers.
type Quantiles struct{ Values []int64 }

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
}
