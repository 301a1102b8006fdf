package result

import (
	"reflect"
	"strings"
)

// JSONSchema describes the summary of one run.
func JSONSchema() map[string]any {
	s := schemaOf(reflect.TypeOf(Result{}))
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "edgebft result"
	s["description"] = "Summary of one run. Keys carry their units; null is unknown."
	return s
}

func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeOf(Fixed(0)), reflect.TypeOf(Millis(0)), reflect.TypeOf(Seconds(0)):
		return map[string]any{"type": "number"}
	case reflect.TypeOf(Verdict(0)):
		return map[string]any{"enum": []any{true, false, "undecided"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{schemaOf(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Struct:
		props, required := map[string]any{}, []any{}
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			key, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := schemaOf(f.Type)
			if doc := f.Tag.Get("doc"); doc != "" {
				p["description"] = doc
			}
			props[key] = p
			if opts != "omitempty" {
				required = append(required, key)
			}
		}
		return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	}
	return map[string]any{"type": "integer"}
}
