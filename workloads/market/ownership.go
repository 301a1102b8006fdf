package market

import "fmt"

// Ownership is the exported ownership chain of a device. It verifies offline.
type Ownership struct {
	Chain  uint32
	Device ID
	OEM    uint64
	Links  []Link
}

// Verify walks the chain from the OEM to the present owner and returns its head
// and that owner, or where it breaks.
func (o *Ownership) Verify() (head Hash, owner uint64, err error) {
	head, owner = LinkGenesis(o.Chain, o.Device, o.OEM), o.OEM
	for hop, l := range o.Links {
		if l.From != owner {
			return head, owner, fmt.Errorf("ownership chain of device %x: hop %d is sold by %d, the owner is %d", o.Device, hop, l.From, owner)
		}
		head = NextLink(head, l.From, l.To, l.Time)
		if head != l.Hash {
			return head, owner, fmt.Errorf("ownership chain of device %x: the hash of hop %d does not follow from the one before", o.Device, hop)
		}
		owner = l.To
	}
	return head, owner, nil
}

func (o *Ownership) fields(c *codec) {
	c.u32(&o.Chain)
	c.id(&o.Device)
	c.u64(&o.OEM)
	list(c, &o.Links, 1<<16-1, 64, func(c *codec, l *Link) { l.fields(c) })
}
