package market

import (
	"crypto/sha256"
	"encoding/binary"
)

// Domain strings, ASCII without terminator; always the first bytes of what is
// hashed or signed.
const (
	domainTx      = "BFTMKT/tx/v1"
	domainTxID    = "BFTMKT/txid/v1"
	domainBid     = "BFTMKT/bid/v1"
	domainTie     = "BFTMKT/tie/v1"
	domainChannel = "BFTMKT/chan/v1"
	domainPromise = "BFTMKT/promise/v1"
	domainSample  = "BFTMKT/sample/v1"
	domainSeal    = "BFTMKT/seal/v1"
	domainAuction = "BFTMKT/auction/v1"
	domainTopic   = "BFTMKT/topic/v1"
	domainService = "BFTMKT/service/v1"
	domainPanel   = "BFTMKT/panel/v1"
	domainClock   = "BFTMKT/clock/v1"
	domainBeacon  = "BFTMKT/beacon/v1"
	domainLink    = "BFTMKT/link/v1"
	domainTEE     = "BFTMKT/tee/v1"
	domainBroker  = "BFTMKT/broker/v1"
	// domainReading heads the hash chain of a device's readings. The sheet asks
	// for a chain head but names no string.
	domainReading = "BFTMKT/reading/v1"
)

// preimage gathers what is hashed or signed under a domain string.
type preimage []byte

func under(domain string) preimage         { return append(make(preimage, 0, 192), domain...) }
func (p preimage) u8(v uint8) preimage     { return append(p, v) }
func (p preimage) u16(v uint16) preimage   { return binary.BigEndian.AppendUint16(p, v) }
func (p preimage) u32(v uint32) preimage   { return binary.BigEndian.AppendUint32(p, v) }
func (p preimage) u64(v uint64) preimage   { return binary.BigEndian.AppendUint64(p, v) }
func (p preimage) bytes(v []byte) preimage { return append(p, v...) }
func (p preimage) hash() Hash              { return sha256.Sum256(p) }
func (p preimage) id() ID {
	h := p.hash()
	return ID(h[:16])
}

// BidCommitment is what BidCommit carries and BidReveal opens.
func BidCommitment(chain uint32, auction ID, bidder, amount uint64, salt Hash) Hash {
	return under(domainBid).u32(chain).bytes(auction[:]).u64(bidder).u64(amount).bytes(salt[:]).hash()
}

// TieHash ranks equal bids: the smaller hash ranks first.
func TieHash(auction ID, bidder uint64) Hash {
	return under(domainTie).bytes(auction[:]).u64(bidder).hash()
}

// ChannelID of the channel that the payer's transaction with this nonce opens.
func ChannelID(chain uint32, payer, payee, nonce uint64) ID {
	return under(domainChannel).u32(chain).u64(payer).u64(payee).u64(nonce).id()
}

// PromiseMessage is what the payer of a channel signs: it owes cum in total.
func PromiseMessage(chain uint32, channel ID, cum uint64) []byte {
	return under(domainPromise).u32(chain).bytes(channel[:]).u64(cum)
}

// VoteSeal is the blinded vote that VerdictCommit carries.
func VoteSeal(service ID, epoch uint32, voter uint64, verdict Verdict, qBucket uint16, evidence, salt Hash) Hash {
	return under(domainSeal).bytes(service[:]).u32(epoch).u64(voter).u8(uint8(verdict)).u16(qBucket).
		bytes(evidence[:]).bytes(salt[:]).hash()
}

// AuctionID of the auction on a device that this transaction opens.
func AuctionID(chain uint32, device ID, sender, nonce uint64) ID {
	return under(domainAuction).u32(chain).bytes(device[:]).u64(sender).u64(nonce).id()
}

// TopicID of a device's topic.
func TopicID(chain uint32, device ID, topic Hash) ID {
	return under(domainTopic).u32(chain).bytes(device[:]).bytes(topic[:]).id()
}

// ServiceID of the service that this transaction posts.
func ServiceID(chain uint32, sender, nonce uint64) ID {
	return under(domainService).u32(chain).u64(sender).u64(nonce).id()
}

// DeviceID is the head of the hash of the device's public key, without a domain.
func DeviceID(key Key) ID {
	h := sha256.Sum256(key[:])
	return ID(h[:16])
}

// ClockMessage is what a replica signs to report its clock for tick k.
func ClockMessage(chain uint32, k, ts uint64) []byte {
	return under(domainClock).u32(chain).u64(k).u64(ts)
}

// BeaconCommitment binds a replica to the value it reveals in an epoch.
func BeaconCommitment(chain, epoch uint32, replica uint16, reveal Hash) Hash {
	return under(domainBeacon).u32(chain).u32(epoch).u16(replica).bytes(reveal[:]).hash()
}

// LinkGenesis is the first value of a device's ownership chain.
func LinkGenesis(chain uint32, device ID, oem uint64) Hash {
	return under(domainLink).u32(chain).bytes(device[:]).u64(oem).hash()
}

// NextLink is the ownership chain's value after one more transfer.
func NextLink(prev Hash, from, to, time uint64) Hash {
	return make(preimage, 0, 64).bytes(prev[:]).u64(from).u64(to).u64(time).hash()
}

// EnclaveMessage is what an enclave signs about an epoch of a service.
func EnclaveMessage(service ID, epoch uint32, counter uint64, verdict Verdict, qBucket uint16, measurement Hash) []byte {
	return under(domainTEE).bytes(service[:]).u32(epoch).u64(counter).u8(uint8(verdict)).u16(qBucket).bytes(measurement[:])
}

// BrokerMessage is what a TEE broker signs to vouch for an enclave key.
func BrokerMessage(reporter uint64, service ID, enclave Key) []byte {
	return under(domainBroker).u64(reporter).bytes(service[:]).bytes(enclave[:])
}
