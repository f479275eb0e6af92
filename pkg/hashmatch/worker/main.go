package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/media/isolated"
)

// memoryVariable tells a child its limit of memory in bytes.
const memoryVariable = "HASHMATCH_WORKER_MEMORY"

// Main is the child's side: it reads requests from stdin and answers on stdout until stdin ends or the parent is
// gone, and returns the process's exit code. Call it first thing in a process that was started for it: it limits
// what the process may take.
func Main(stdin io.Reader, stdout io.Writer) int {
	memory, err := strconv.ParseInt(os.Getenv(memoryVariable), 10, 64)
	if err != nil || memory <= 0 {
		memory = DefaultMemory
	}
	os.Clearenv()
	debug.SetMemoryLimit(memory / 4 * 3) // the rest is what WebAssembly maps beside the heap
	if err := limit(memory); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	go exitWithParent(os.Getppid())
	in, out := bufio.NewReaderSize(stdin, 64<<10), bufio.NewWriterSize(stdout, 64<<10)
	for {
		q, err := readRequest(in)
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err == nil {
			err = answer(out, q)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return 1
		}
	}
}

func answer(out *bufio.Writer, q request) error {
	isolated.Warm(q.format)
	if _, err := out.Write([]byte{tagWarm}); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	var sending error
	failures := isolated.Decode(context.Background(), q.format, q.content, q.limits, func(p media.Picture) error {
		sending = writePicture(out, p)
		return sending
	})
	if sending != nil {
		return sending
	}
	return writeFailures(out, failures)
}

// exitWithParent ends the process when its parent is gone, so that a decoder that never returns does not outlive it.
func exitWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}
