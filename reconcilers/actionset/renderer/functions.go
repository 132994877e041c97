package main

import (
	"errors"
	"text/template"

	"github.com/Masterminds/sprig"
)

// A Blueprint must not read this process's environment, nor make it talk to a name server.
var removed = []string{"env", "expandenv", "getHostByName"}

var errNotFIPS = errors.New("Kanister refuses this function: it is not FIPS compatible")

// functions returns what templates can call: sprig's, without those that reach outside, and with
// Kanister's refusals (pkg/ksprig/fipsonly_sprig.go).
func functions() template.FuncMap {
	known := sprig.TxtFuncMap()
	for _, name := range removed {
		delete(known, name)
	}
	generate := known["genPrivateKey"].(func(string) string)
	known["genPrivateKey"] = func(kind string) (string, error) {
		switch kind {
		case "rsa", "ecdsa", "ed25519":
			return generate(kind), nil
		}
		return "", errNotFIPS
	}
	known["bcrypt"] = func(string) (string, error) { return "", errNotFIPS }
	known["htpasswd"] = func(_, _ string) (string, error) { return "", errNotFIPS }
	known["derivePassword"] = func(uint32, string, string, string, string) (string, error) {
		return "", errNotFIPS
	}
	return known
}
