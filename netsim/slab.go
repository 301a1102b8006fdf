package netsim

import "github.com/edgebft/edgebft/protocols"

// slab hands out numbered records with stable addresses and takes them back.
// Memory follows the largest number in use at one time.
type slab[T any] struct {
	chunks [][]T
	free   []uint32
	used   uint32 // handles ever handed out
	live   int
}

// chunkBits makes chunks of 64: small runs by the thousand must stay cheap.
const chunkBits = 6

func (s *slab[T]) get(i uint32) *T { return &s.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }

// take returns a record with the content of its last use; the caller overwrites
// it.
func (s *slab[T]) take() (uint32, *T) {
	s.live++
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i, s.get(i)
	}
	if int(s.used>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, 1<<chunkBits))
	}
	i := s.used
	s.used++
	return i, s.get(i)
}

func (s *slab[T]) put(i uint32) {
	s.live--
	s.free = append(s.free, i)
}

// payload is what all copies of one Send share. It is immutable once sent.
type payload struct {
	msg  protocols.WireMessage
	mt   *protocols.MessageType
	bad  func(to protocols.NodeID) bool // copies whose seal does not verify
	sig  []byte                         // real signature seal
	path string

	trace   uint64 // content hash for the trace
	counter uint64 // the sender's, keys the network's draws
	check   uint64 // wire mode: hash of the body, to catch mutation after send
	upQ     uint64 // serialisation at the sender: upQ + upR/rate ns
	upR     uint64
	quiet   int64 // departure of the last packet before it in its class
	gap     int64 // first to last packet at the sender's rate
	wire    int64 // bytes on the wire
	downFor uint64
	downQ   uint64 // same at receivers with rate downFor
	downR   uint64
	digest  protocols.Digest

	src   int32 // endpoint
	lane  int32 // of the sender
	from  protocols.NodeID
	seq   uint32 // order among outputs of the lane that leave at one time
	size  int32  // frame
	body  int32
	refs  int32
	typ   uint16
	flush bool // opens a flush: pays for a write and a read
}

func (s *Sim) release(ref uint32) {
	p := s.payloads.get(ref)
	if p.refs--; p.refs == 0 {
		p.msg, p.bad, p.sig = nil, nil, nil
		s.payloads.put(ref)
	}
}

// local is a message that never leaves its process.
type local struct {
	msg  protocols.Message
	from int32 // lane that posted it, -1 for the host
	ep   int32
	inc  uint32
	send bool // a Send to oneself, not a Post
	path string
	mt   *protocols.MessageType
	size int32
}
