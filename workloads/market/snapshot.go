package market

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// snapshotMagic begins every snapshot.
const snapshotMagic = "BFTMKT/snap/v1"

// Snapshot implements protocols.Application. The format is the magic, the digest
// of genesis, the version, every table as a count and its rows by ascending key,
// and the root.
func (s *State) Snapshot(w io.Writer) error {
	if s.broken != nil {
		return s.broken
	}
	root := s.Root()
	b := bufio.NewWriterSize(w, 1<<16)
	head := append([]byte(snapshotMagic), s.config.digest[:]...)
	head = binary.BigEndian.AppendUint64(head, s.version)
	if _, err := b.Write(head); err != nil {
		return err
	}
	c := codec{enc: true}
	for _, t := range s.tables {
		if err := t.write(b, &c); err != nil {
			return err
		}
	}
	if _, err := b.Write(root[:]); err != nil {
		return err
	}
	return b.Flush()
}

// Restore implements protocols.Application. The snapshot must come from the same
// genesis, and its rows must lead to the root that it claims. The version is not
// covered by that root: who takes a snapshot from a stranger compares both with
// what the cluster certified.
func (s *State) Restore(r io.Reader) error {
	if err := s.restore(r); err != nil {
		s.broken = fmt.Errorf("restore: %w", err)
		return s.broken
	}
	s.broken = nil
	return nil
}

func (s *State) restore(r io.Reader) error {
	b := bufio.NewReaderSize(r, 1<<16)
	head := make([]byte, len(snapshotMagic)+40)
	if _, err := io.ReadFull(b, head); err != nil {
		return err
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return fmt.Errorf("this is no snapshot: it begins with %q, want %q", head[:len(snapshotMagic)], snapshotMagic)
	}
	digest, version := head[len(snapshotMagic):], binary.BigEndian.Uint64(head[len(snapshotMagic)+32:])
	if Hash(digest[:32]) != s.config.digest {
		return fmt.Errorf("snapshot is of genesis %x, this is %x", digest[:8], s.config.digest[:8])
	}
	if version > 1<<62 {
		return fmt.Errorf("version %d, at most 2^62", version)
	}
	for _, t := range s.tables {
		t.clear()
	}
	s.index.reset()
	s.tree = NewTree()
	s.version, s.floor, s.step = version, version, 2*version+1
	buf := make([]byte, maxRow)
	for _, t := range s.tables {
		if err := t.read(b, buf); err != nil {
			return err
		}
	}
	var root Hash
	if _, err := io.ReadFull(b, root[:]); err != nil {
		return err
	}
	if _, err := b.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("bytes after the end of the snapshot")
	}
	if got := Hash(s.Root()); got != root {
		return fmt.Errorf("rows lead to root %x, the snapshot claims %x", got[:8], root[:8])
	}
	return Check(s)
}
