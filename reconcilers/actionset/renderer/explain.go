package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

const concealed = "the reason is not shown, as it may have a value of a parameter in it"

var (
	// What comes before it is of the template's own text: the place, and the node up to 20 bytes.
	beforeReason = ">: "
	missingKey   = regexp.MustCompile(`^(?:nil data; no entry for key|map has no entry for key) "(.*)"$`)
	calling      = regexp.MustCompile(`^error calling (\S+): `)

	// The reasons of text/template that consist of names of types and of the template's own text.
	// The others print values.
	harmless = regexp.MustCompile(`(?s)^(?:` + strings.Join([]string{
		`nil pointer evaluating .+\.\w+`,
		`can't evaluate field \w+ in type .+`,
		`wrong number of args for \w+: want (?:at least )?\d+ got \d+`,
		`(?:invalid value|wrong type for value); expected .+`,
		`undefined variable: \S+`,
		`can't give argument to non-function .+`,
		`dereference of nil pointer of type .+`,
		`cannot assign nil to .+`,
		`template ".*" not defined`,
		`exceeded maximum template depth \(\d+\)`,
		`nil is not a command`,
		`\w+ (?:has arguments but cannot be invoked as function|is not a method but has arguments)`,
		`indirection through explicit nil in .+`,
		`can't print .+ of type \S+`,
		`expected (?:bool|string|integer|unsigned integer|float|complex); found .+`,
		`can't handle .+ for arg of type \S+`,
	}, "|") + `)$`)

	// Functions of text/template itself, and those of their errors that consist of names of types.
	// Any text may be the error of another function: `fail` has it from the template.
	builtin        = regexp.MustCompile(`^(?:index|len|eq|ne|lt|le|gt|ge)$`)
	harmlessInside = regexp.MustCompile(`^(?:` + strings.Join([]string{
		`index of (?:untyped nil|nil pointer)`,
		`cannot index slice/array with (?:nil|type .+)`,
		`can't index item of type .+`,
		`len of (?:nil pointer|type .+)`,
		`value is nil; should be of type .+`,
		`value has type .+; should be .+`,
		`incompatible types for comparison: .+ and .+`,
		`missing argument for comparison`,
		`invalid type for comparison`,
		`reflect: call of \S+ on zero Value`,
	}, "|") + `)$`)
	indexRange = regexp.MustCompile(`^index out of range: \d+$`)
)

// explain returns why a template could not be executed, without a value of a parameter.
//
// A key that is lacking is reported in Kanister's words (pkg/param/render.go).
func explain(err error, source string) string {
	var failed template.ExecError
	if !errors.As(err, &failed) {
		return concealed
	}
	place, reason, found := strings.Cut(failed.Error(), beforeReason)
	if !found {
		return concealed
	}
	// A function's error is wrapped, and nothing else is.
	if inside := errors.Unwrap(failed.Err); inside != nil {
		return place + beforeReason + ofFunction(reason, inside, source)
	}
	// The text of a node may have had what separates it: then this is not where the reason begins.
	if strings.Contains(reason, beforeReason) {
		return place + beforeReason + concealed
	}
	if match := missingKey.FindStringSubmatch(reason); match != nil {
		return "Failed to render template: " + strconv.Quote(match[1]) + " not found"
	}
	return place + beforeReason + withoutValues(reason)
}

func withoutValues(reason string) string {
	switch {
	case harmless.MatchString(reason):
		return withoutPackage(reason)
	case strings.HasPrefix(reason, "range can't iterate over "):
		return "range can't iterate over what this is"
	}
	return concealed
}

func ofFunction(reason string, inside error, source string) string {
	match := calling.FindStringSubmatch(reason)
	if match == nil {
		return concealed
	}
	name, text := match[1], inside.Error()
	switch {
	case errors.Is(inside, errNotFIPS), errors.Is(inside, errNotBase64):
	case builtin.MatchString(name) && harmlessInside.MatchString(text):
	case builtin.MatchString(name) && indexRange.MatchString(text):
		text = "index out of range"
	case name == "fail" && isLiteral(text, source):
	default:
		text = concealed
	}
	return "error calling " + name + ": " + withoutPackage(text)
}

// isLiteral returns whether the author has written a text as it is into the template.
func isLiteral(text, source string) bool {
	return strings.Contains(source, strconv.Quote(text)) || strings.Contains(source, "`"+text+"`")
}

// withoutPackage leaves the names of types that Kanister has: here they are in another package.
func withoutPackage(reason string) string {
	return strings.ReplaceAll(reason, "main.", "")
}
