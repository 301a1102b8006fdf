package test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads"
)

type nullTrace struct{}

func (nullTrace) U64(uint64)              {}
func (nullTrace) Digest(protocols.Digest) {}

type nullHasher struct{}

func (nullHasher) Digest(b []byte) protocols.Digest {
	var d protocols.Digest
	for i, c := range b {
		d[i%32] += c + 1
	}
	return d
}

// fill sets every exported field of a message to something random, lists included.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), r)
			}
		}
	case reflect.Slice:
		n := r.IntN(4)
		if v.Type().Elem().Kind() == reflect.Struct {
			n = r.IntN(2)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), r)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.String:
		v.SetString(fmt.Sprint(r.IntN(1000)))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int8(r.Uint32())))
	default:
		v.SetUint(uint64(uint8(r.Uint32())))
	}
}

func eachMessageType(t *testing.T, f func(t *testing.T, mt *protocols.MessageType)) {
	reg := catalog.Protocols()
	for _, name := range reg.Names() {
		e, err := reg.Lookup(name)
		require.NoError(t, err)
		for _, mt := range e.Messages().Types() {
			t.Run(name+"/"+mt.Name, func(t *testing.T) { f(t, mt) })
		}
	}
	for _, mt := range agentTypes(t) {
		t.Run("agents/"+mt.Name, func(t *testing.T) { f(t, mt) })
	}
}

// agentTypes are the messages of the agents beside the replicas.
func agentTypes(t testing.TB) []*protocols.MessageType {
	app, err := workloads.Lookup("market")
	require.NoError(t, err)
	var out []*protocols.MessageType
	types := app.Messages()
	for i := range types {
		out = append(out, &types[i])
	}
	require.NotEmpty(t, out)
	return out
}

// Every message of every protocol survives its codec, and nothing that a handler of
// the table does panics on any content or changes the message.
func TestEveryMessageSurvivesItsCodec(t *testing.T) {
	eachMessageType(t, func(t *testing.T, mt *protocols.MessageType) {
		r := rand.New(rand.NewPCG(uint64(mt.Tag), 1))
		for i := range 200 {
			m := mt.New()
			if i > 0 { // the first one stays empty
				fill(reflect.ValueOf(m).Elem(), r)
			}
			body, err := m.MarshalMsg(nil)
			require.NoError(t, err)
			require.LessOrEqual(t, len(body), m.Msgsize())
			back, err := protocols.DecodeMessage(mt, body)
			require.NoError(t, err)
			again, err := back.MarshalMsg(nil)
			require.NoError(t, err)
			require.Equal(t, body, again)
			if mt.Round != nil {
				mt.Round(m)
			}
			if mt.Trace != nil {
				mt.Trace(m, nullTrace{})
			}
			if mt.Parts != nil {
				mt.Parts(nil, nullHasher{}, &protocols.Envelope{Type: mt}, m)
			}
			for _, mut := range mt.Mutations {
				_, err := mut.Apply(m, r).MarshalMsg(nil)
				require.NoError(t, err, mut.Name)
			}
			after, err := m.MarshalMsg(nil)
			require.NoError(t, err)
			require.Equal(t, body, after, "the table changed the message")
		}
	})
}

// Decoders accept canonical encodings only and never panic.
func FuzzEveryDecoder(f *testing.F) {
	reg := catalog.Protocols()
	var types []*protocols.MessageType
	for _, name := range reg.Names() {
		e, err := reg.Lookup(name)
		require.NoError(f, err)
		types = append(types, e.Messages().Types()...)
	}
	types = append(types, agentTypes(f)...)
	r := rand.New(rand.NewPCG(1, 2))
	for i, mt := range types {
		m := mt.New()
		fill(reflect.ValueOf(m).Elem(), r)
		body, err := m.MarshalMsg(nil)
		require.NoError(f, err)
		f.Add(uint16(i), body)
	}
	f.Fuzz(func(t *testing.T, which uint16, body []byte) {
		mt := types[int(which)%len(types)]
		m, err := protocols.DecodeMessage(mt, body)
		if err != nil {
			return
		}
		again, err := m.MarshalMsg(nil)
		require.NoError(t, err)
		require.Equal(t, body, again)
		if mt.Trace != nil {
			mt.Trace(m, nullTrace{})
		}
		if mt.Parts != nil {
			mt.Parts(nil, nullHasher{}, &protocols.Envelope{Type: mt}, m)
		}
	})
}
