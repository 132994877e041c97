// Template-renderer renders the templates of Blueprints for the controller that started it.
//
// It reads requests from standard input and answers them one after the other on standard output.
// Each is a JSON document after its length in four bytes, the highest first. It ends when standard
// input does. What it is given may be secret: it writes nothing but answers, and these have no
// value of a parameter but where a template has put it.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // The image need not have the time zones that templates name.
)

const (
	maxRequest = 64 << 20
	maxAnswer  = 4 << 20
	maxDepth   = 100
	// Of what calls itself without end. Go's own limit is beyond the memory that there is.
	maxStack = 64 << 20
)

// request has one of its fields.
type request struct {
	Render    *renderRequest    `json:"render"`
	Condition *conditionRequest `json:"condition"`
}

type renderRequest struct {
	Parameters json.RawMessage `json:"parameters"`
	Tree       json.RawMessage `json:"tree"`
}

type conditionRequest struct {
	Kind   string          `json:"kind"`
	Text   string          `json:"text"`
	Object json.RawMessage `json:"object"`
}

// answer has a result or a failure.
type answer struct {
	Result     any      `json:"result"`
	Failure    *failure `json:"failure,omitempty"`
	CPUSeconds float64  `json:"cpuSeconds"`
}

// failure says why something cannot be rendered, without a value of a parameter.
type failure struct {
	// Path leads through the tree to the template: names and numbers.
	Path    []any  `json:"path"`
	Message string `json:"message"`
	// Permanent is false if another state of the object may help.
	Permanent bool `json:"permanent"`
}

func main() {
	// As in the image of Kanister's operator, whatever this machine's zone is.
	time.Local = time.UTC
	debug.SetMaxStack(maxStack)
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		if err := serve(in, out); err == io.EOF {
			return
		} else if err != nil {
			os.Exit(1)
		}
	}
}

func serve(in io.Reader, out *bufio.Writer) error {
	document, err := receive(in)
	if err != nil {
		return err
	}
	return send(out, handle(document))
}

func receive(in io.Reader) ([]byte, error) {
	var size uint32
	if err := binary.Read(in, binary.BigEndian, &size); err != nil {
		return nil, err
	}
	if size > maxRequest {
		return nil, fmt.Errorf("a request of %d bytes", size)
	}
	document := make([]byte, size)
	_, err := io.ReadFull(in, document)
	return document, err
}

func send(out *bufio.Writer, to answer) error {
	to.CPUSeconds = cpuSeconds()
	document, err := json.Marshal(to)
	if err == nil && len(document) > maxAnswer {
		to.Result, to.Failure = nil, tooLarge(nil)
		document, err = json.Marshal(to)
	}
	if err != nil {
		return err
	}
	if err := binary.Write(out, binary.BigEndian, uint32(len(document))); err != nil {
		return err
	}
	if _, err := out.Write(document); err != nil {
		return err
	}
	return out.Flush()
}

// handle never panics: a template that makes text/template do so fails like another.
func handle(document []byte) (to answer) {
	defer func() {
		if recover() != nil {
			to = answer{Failure: &failure{Message: "the template makes Go's text/template panic"}}
		}
	}()
	var asked request
	if err := json.Unmarshal(document, &asked); err != nil {
		return answer{Failure: &failure{Message: "the request is no JSON of a request"}}
	}
	var result any
	var failed *failure
	switch {
	case asked.Render != nil:
		result, failed = render(asked.Render)
	case asked.Condition != nil:
		result, failed = holds(asked.Condition)
	default:
		failed = &failure{Message: "the request asks for nothing"}
	}
	return answer{Result: result, Failure: failed}
}

// cpuSeconds returns the time that this process has used so far.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
