package suite

import (
	"bytes"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"go.yaml.in/yaml/v3"
)

// Resolved returns the suite with its profile applied and every default of the
// base written out. It is a suite file that expands to the same cells.
func (s *Suite) Resolved() ([]byte, error) {
	doc := s.doc.Clone()
	if s.Base.v != nil {
		base, err := scenario.FromDocument(strict.Of(s.Base.v))
		if err != nil {
			return nil, err
		}
		if err := put(doc, "base", base.Text()); err != nil {
			return nil, err
		}
	}
	if err := put(doc, "auto", strict.Text(s.Auto, nil)); err != nil {
		return nil, err
	}
	doc.Delete("profiles")
	var buf bytes.Buffer
	if s.profile != "" {
		buf.WriteString("# profile " + s.profile + " applied\n")
	}
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(doc.Root); err != nil {
		return nil, err
	}
	return buf.Bytes(), enc.Close()
}

func put(doc *strict.Document, key string, v strict.Ordered) error {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		return err
	}
	return doc.SetNode(key, &n, "")
}
