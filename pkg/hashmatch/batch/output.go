package batch

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// Output is what JSON, CSV and Table write to. It is not safe for concurrent use.
type Output struct {
	w      *bufio.Writer
	offset int64    // bytes written, those still in w included
	file   *os.File // nil if it cannot be made durable nor cut off
	close  io.Closer
}

// NewOutput returns the output to something that cannot be taken back: standard output, a pipe, a connection. It
// starts at offset 0 and stays there.
func NewOutput(w io.Writer) *Output { return &Output{w: bufio.NewWriterSize(w, outputBuffer)} }

// outputBuffer holds some two hundred results.
const outputBuffer = 64 << 10

// OpenOutput opens a file for results, made with mode 0600 (results name what matched) if it is not there. Only the
// first keep bytes of it stay: 0 for a new run, Checkpoint.Offset for one that goes on. A file with fewer bytes than
// that is an error: it is not the one that the checkpoint speaks of. Something other than a regular file (/dev/stdout)
// is written to as it is.
func OpenOutput(path string, keep int64) (*Output, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	o, err := newOutputFile(file, keep)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("results %q: %w", path, err)
	}
	return o, nil
}

func newOutputFile(file *os.File, keep int64) (*Output, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		o := NewOutput(file)
		o.close = file
		return o, nil
	}
	if info.Size() < keep {
		return nil, fmt.Errorf("%d bytes, but the checkpoint was made at %d", info.Size(), keep)
	}
	if err := file.Truncate(keep); err != nil {
		return nil, err
	}
	if _, err := file.Seek(keep, io.SeekStart); err != nil {
		return nil, err
	}
	return &Output{w: bufio.NewWriterSize(file, outputBuffer), offset: keep, file: file, close: file}, nil
}

// Write buffers p.
func (o *Output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.file != nil {
		o.offset += int64(n)
	}
	return n, err
}

// Commit writes what is buffered and, to a file, has the disk keep it.
func (o *Output) Commit() error {
	if err := o.w.Flush(); err != nil || o.file == nil {
		return err
	}
	return o.file.Sync()
}

// Offset returns the bytes written so far, or 0 if they cannot be cut off.
func (o *Output) Offset() int64 { return o.offset }

// Close commits and closes the file that OpenOutput opened.
func (o *Output) Close() error {
	err := o.Commit()
	if o.close != nil {
		if closing := o.close.Close(); err == nil {
			err = closing
		}
	}
	return err
}

// ResultsFunc takes results as a function, for those who keep them themselves.
type ResultsFunc func(Result) error

// Write calls the function.
func (f ResultsFunc) Write(r Result) error { return f(r) }

// Commit does nothing.
func (f ResultsFunc) Commit() error { return nil }

// Offset returns 0.
func (f ResultsFunc) Offset() int64 { return 0 }
