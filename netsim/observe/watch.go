package observe

import "github.com/edgebft/edgebft/protocols"

// Watch returns a client that tells the history what it invokes. It is for clients
// without a load, which nobody else reports.
func (h *History) Watch(inner protocols.Client, id protocols.NodeID) protocols.Client {
	return &watched{Client: inner, history: h, id: id}
}

type watched struct {
	protocols.Client
	env     protocols.Env
	history *History
	id      protocols.NodeID
}

// Start implements protocols.Node.
func (w *watched) Start(env protocols.Env, boot protocols.Boot) {
	w.env = env
	w.Client.Start(env, boot)
}

// Invoke implements protocols.Client.
func (w *watched) Invoke(id uint64, op []byte) {
	w.history.Invoked(w.env.Now(), w.id, id, op)
	w.Client.Invoke(id, op)
}
