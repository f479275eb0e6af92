package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
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
	// What a decoder prints must not get between the answers, nor before the runtime's last words on stderr, by which
	// the parent knows that memory ran out. The WebAssembly runtime takes these variables when it compiles a decoder.
	stderr := os.Stderr
	defer runtime.KeepAlive([]*os.File{os.Stdout, stderr}) // a file that nothing refers to is closed
	os.Stdout = stderr
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout, os.Stderr = null, null
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2)) // WebAssembly is not preempted: exitWithParent needs another
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
			fmt.Fprintln(stderr, "worker:", err)
			return 1
		}
		// A decoder's memory, which no collection could interrupt, is given back here: what stays mapped counts
		// against the limit for as long as the process lives.
		runtime.GC()
	}
}

// decode is replaced in tests by decoders that misbehave.
var decode = isolated.Decode

func answer(out *bufio.Writer, q request) error {
	isolated.Warm(q.format)
	if _, err := out.Write([]byte{tagWarm}); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	var sending error
	failures := decode(context.Background(), q.format, q.content, q.limits, func(p media.Picture) error {
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
