package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"
)

var errTooLarge = errors.New("too large")

// prototype is what each template begins with: the name and the options of Kanister's
// (pkg/param/render.go).
var prototype = template.New("config").Option("missingkey=error").Funcs(functions())

// render renders the strings of a tree: in lists, in maps and the keys of maps. What is no string
// stays as it is.
func render(asked *renderRequest) (any, *failure) {
	parameters, err := decodeParameters(asked.Parameters)
	if err != nil {
		return nil, &failure{Message: err.Error(), Permanent: true}
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(asked.Tree))
	// A number stays as it is written.
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, &failure{Message: "what is to be rendered is no JSON", Permanent: true}
	}
	return (&rendering{parameters: *parameters, left: maxAnswer}).of(tree, nil)
}

type rendering struct {
	// A struct and no pointer to it, as Kanister hands it to text/template.
	parameters TemplateParams
	// Bytes that templates may still make.
	left int
}

func (r *rendering) of(value any, path []any) (any, *failure) {
	if len(path) > maxDepth {
		return nil, &failure{Path: path[:3], Message: "nested too deeply", Permanent: true}
	}
	switch value := value.(type) {
	case string:
		return r.text(value, path)
	case []any:
		return r.list(value, path)
	case map[string]any:
		return r.object(value, path)
	default:
		return value, nil
	}
}

func (r *rendering) list(values []any, path []any) (any, *failure) {
	rendered := make([]any, 0, len(values))
	for i, value := range values {
		one, failed := r.of(value, extended(path, i))
		if failed != nil {
			return nil, failed
		}
		rendered = append(rendered, one)
	}
	return rendered, nil
}

func (r *rendering) object(values map[string]any, path []any) (any, *failure) {
	rendered := make(map[string]any, len(values))
	for _, key := range sorted(values) {
		inside := extended(path, key)
		name, failed := r.text(key, inside)
		if failed != nil {
			return nil, failed
		}
		value, failed := r.of(values[key], inside)
		if failed != nil {
			return nil, failed
		}
		// Kanister takes one of them by chance.
		if _, twice := rendered[name]; twice {
			message := "another key beside this one renders to the same text"
			return nil, &failure{Path: inside, Message: message, Permanent: true}
		}
		rendered[name] = value
	}
	return rendered, nil
}

func (r *rendering) text(source string, path []any) (string, *failure) {
	if !strings.Contains(source, "{{") {
		return source, nil
	}
	parsed, err := template.Must(prototype.Clone()).Parse(source)
	if err != nil {
		return "", &failure{Path: path, Message: err.Error(), Permanent: true}
	}
	out := &limited{left: r.left}
	err = parsed.Execute(out, r.parameters)
	r.left = out.left
	if errors.Is(err, errTooLarge) {
		return "", tooLarge(path)
	}
	if err != nil {
		return "", &failure{Path: path, Message: explain(err, source), Permanent: true}
	}
	// It could not be part of a pod or of any other JSON.
	if !utf8.Valid(out.Bytes()) {
		message := "renders to bytes that are no text in UTF-8; use b64enc"
		return "", &failure{Path: path, Message: message, Permanent: true}
	}
	return out.String(), nil
}

// limited is a buffer that takes no more than it may.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(text []byte) (int, error) {
	if len(text) > l.left {
		return 0, errTooLarge
	}
	l.left -= len(text)
	return l.Buffer.Write(text)
}

func tooLarge(path []any) *failure {
	return &failure{Path: path, Message: "renders to more than 4 MiB", Permanent: true}
}

// extended returns a path of its own: failures keep theirs.
func extended(path []any, step any) []any {
	return append(slices.Clone(path), step)
}

func sorted(values map[string]any) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
