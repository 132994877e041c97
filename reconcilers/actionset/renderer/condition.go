package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"

	"k8s.io/client-go/util/jsonpath"
	kjson "sigs.k8s.io/json"
)

var (
	// As Kanister finds the paths of a condition (pkg/jsonpath/jsonpath.go).
	paths    = regexp.MustCompile(`{\s*\$([^}]*)}`)
	notFound = regexp.MustCompile(`^[\w.\-/]+ is not found$`)

	errNotBase64 = errors.New("it is not in base64")
)

// holds returns whether a condition of Wait or WaitV2 is met by an object: whether it evaluates to
// `true`, with or without space around it (Kanister pkg/function/wait.go, waitv2.go).
func holds(asked *conditionRequest) (any, *failure) {
	var object map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(asked.Object, &object); err != nil {
		return nil, &failure{Message: "the object is no JSON object"}
	}
	var text string
	var failed *failure
	switch asked.Kind {
	case "jsonpath":
		text, failed = evaluatePaths(asked.Text, object)
	case "gotemplate":
		text, failed = evaluateTemplate(asked.Text, object)
	default:
		failed = &failure{Message: fmt.Sprintf("there is no kind of condition %q", asked.Kind)}
	}
	return strings.TrimSpace(text) == "true", failed
}

// evaluatePaths puts the values of an object in the place of the paths and executes the template
// that this makes, without parameters.
func evaluatePaths(condition string, object map[string]any) (string, *failure) {
	var failed *failure
	filled := paths.ReplaceAllStringFunc(condition, func(found string) string {
		path := strings.TrimSpace(paths.FindStringSubmatch(found)[1])
		value, problem := lookUp(path, object)
		if problem != nil && failed == nil {
			failed = problem
		}
		return value
	})
	if failed != nil {
		return "", failed
	}
	// From here on the template has values of the object in it: nothing of it is shown.
	parsed, err := template.Must(prototype.Clone()).Option("missingkey=zero").Parse(filled)
	if err != nil {
		return "", &failure{Message: "with the values of the object in it, it is no template of Go; " +
			"put the paths in quotes"}
	}
	out := &limited{left: maxAnswer}
	if err := parsed.Execute(out, nil); err != nil {
		return "", &failure{Message: "with the values of the object in it, it cannot be executed"}
	}
	return out.String(), nil
}

func lookUp(path string, object map[string]any) (string, *failure) {
	query := jsonpath.New("out")
	// Kanister takes a path that it cannot read for an empty text.
	if err := query.Parse("{" + path + "}"); err != nil {
		return "", &failure{Message: "$" + path + " is no JSONPath", Permanent: true}
	}
	var out bytes.Buffer
	if err := query.Execute(&out, object); err != nil {
		reason := "it cannot be looked up in this object"
		if notFound.MatchString(err.Error()) {
			reason = err.Error()
		}
		return "", &failure{Message: "$" + path + ": " + reason}
	}
	return out.String(), nil
}

// evaluateTemplate executes a template on an object as `kubectl get -o go-template` does
// (k8s.io/cli-runtime pkg/printers/template.go).
func evaluateTemplate(condition string, object map[string]any) (string, *failure) {
	own := template.FuncMap{"exists": exists, "base64decode": base64decode}
	parsed, err := template.New("output").Funcs(own).Parse(condition)
	if err != nil {
		return "", &failure{Message: err.Error(), Permanent: true}
	}
	out := &limited{left: maxAnswer}
	if err := parsed.Execute(out, object); err != nil {
		return "", &failure{Message: explain(err, condition)}
	}
	return out.String(), nil
}

// exists returns whether an item has something other than nil under a number of indices. Unlike
// `index` it does not fail.
func exists(item any, indices ...any) bool {
	for _, index := range indices {
		switch of := item.(type) {
		case map[string]any:
			name, ok := index.(string)
			if !ok {
				return false
			}
			item = of[name]
		case []any:
			number, ok := whole(index)
			if !ok || number < 0 || number >= int64(len(of)) {
				return false
			}
			item = of[number]
		case string:
			// A byte of it, which is something.
			number, ok := whole(index)
			if !ok || number < 0 || number >= int64(len(of)) {
				return false
			}
			item = of[number]
		default:
			return false
		}
	}
	return item != nil
}

func whole(index any) (int64, bool) {
	value := reflect.ValueOf(index)
	if value.IsValid() && value.CanInt() {
		return value.Int(), true
	}
	return 0, false
}

func base64decode(text string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errNotBase64
	}
	return string(decoded), nil
}
