// dashboard-check reads a dashboard of Grafana's from standard input by the types that Grafana generates
// from its schemas: no field is unknown, none is missing, and each has its type. It prints what is wrong.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	// By these the options of a panel, and the queries of a data source, have schemas of their own.
	plugins.RegisterDefaultPlugins()
	if err := check(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(input io.Reader) error {
	text, err := io.ReadAll(input)
	if err != nil {
		return err
	}
	var read dashboard.Dashboard
	if err := read.UnmarshalJSONStrict(text); says(err) {
		return err
	}
	if err := read.Validate(); says(err) {
		return err
	}
	return nil
}

// says returns whether there is an error. The library also returns lists of none.
func says(err error) bool {
	return err != nil && err.Error() != ""
}
