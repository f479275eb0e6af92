package main

import (
	"errors"
	"fmt"
	"io"

	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// maxRefusals is how many lines of a file that is refused are shown: enough to see what is wrong with it.
const maxRefusals = 20

// refusals reports the lines that an import cannot read: each as it comes if it is left out, the first ones together
// if the import fails by them.
type refusals struct {
	w     io.Writer
	skip  bool
	first []format.LineError
}

// take is a format.Options.Report.
func (r *refusals) take(e format.LineError) {
	switch {
	case r.skip:
		fmt.Fprintf(r.w, "%v: left out\n", e)
	case len(r.first) < maxRefusals:
		r.first = append(r.first, e)
	}
}

// failed returns the error of an import in the words of the command, after it has shown the lines that led to it.
func (r *refusals) failed(err error) error {
	first := r.first
	r.first = nil
	var refused *format.RefusedError
	if !errors.As(err, &refused) || refused.Refused == 1 {
		return err
	}
	for _, line := range first {
		fmt.Fprintln(r.w, line.Error())
	}
	if more := refused.Refused - len(first); more > 0 {
		fmt.Fprintf(r.w, "and %d more\n", more)
	}
	count := fmt.Sprint(refused.Refused)
	if refused.More {
		count += " or more"
	}
	return fmt.Errorf("%s lines cannot be read: nothing was imported (--skip-bad-lines leaves them out)", count)
}
