// Package protocols stands in for the contract.
package protocols

type Time int64

type Tag uint16

type Message interface{ Tag() Tag }

type Node interface {
	Receive(m Message)
}

type NodeID int32

func (id NodeID) IsReplica() bool { return id >= 0 }
