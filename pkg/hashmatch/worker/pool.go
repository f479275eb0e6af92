package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// The defaults of Config.
const (
	DefaultMemory   = 1 << 30
	DefaultDeadline = 10 * time.Second
	// filesPerChild is after how many files a child is replaced, so that whatever a decoder leaks is given back.
	filesPerChild = 1000
	// warmLimit is how long a child may prepare a decoder. A WebAssembly decoder is compiled in about a second, and in
	// many on a machine that is busy: a child that was killed at a file's deadline would never come to decode.
	warmLimit = time.Minute
)

// Config says how children are started and bounded.
type Config struct {
	// Command is the command line of a child: a program that calls Main. Required.
	Command  []string
	Env      []string      // the child's environment, beside what this package tells it; it has no other
	Size     int           // children at a time; 0 means one for each core that Go may use
	Memory   int64         // bytes of data a child may take; 0 means DefaultMemory
	Deadline time.Duration // for one file, after which its child is killed; 0 means DefaultDeadline
}

// ErrClosed is the detail of the failure of a file that came after Close.
var ErrClosed = errors.New("the decoders were shut down")

// Pool keeps children and gives each file to one of them. It implements media.Isolated and is safe for concurrent
// use. It starts a child when a file needs one.
type Pool struct {
	config Config
	free   chan *child // a nil child has yet to be started
	closed chan struct{}
	close  sync.Once
}

// NewPool returns a Pool. It starts nothing.
func NewPool(config Config) *Pool {
	if config.Size <= 0 {
		config.Size = runtime.GOMAXPROCS(0)
	}
	if config.Memory <= 0 {
		config.Memory = DefaultMemory
	}
	if config.Deadline <= 0 {
		config.Deadline = DefaultDeadline
	}
	p := &Pool{config: config, free: make(chan *child, config.Size), closed: make(chan struct{})}
	for range config.Size {
		p.free <- nil
	}
	return p
}

// Close waits for the files that are being decoded and ends every child. Files that come later fail.
func (p *Pool) Close() error {
	p.close.Do(func() {
		close(p.closed)
		for range p.config.Size {
			if c := <-p.free; c != nil {
				c.end()
			}
		}
	})
	return nil
}

// Decode implements media.Isolated. Its failures beside the decoder's own are TimedOut, for a file at its deadline
// or with ctx done, and Panicked, for a child that died, could not be started or made no sense.
func (p *Pool) Decode(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
	ctx, cancel := context.WithTimeout(ctx, p.config.Deadline)
	defer cancel()
	var c *child
	select {
	case <-p.closed:
		return []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: ErrClosed.Error()}}
	case <-ctx.Done():
		return []hashmatch.Failure{{Code: hashmatch.TimedOut, Detail: format + ": waiting for a decoder"}}
	case c = <-p.free:
	}
	busy := false // the child goes on without us
	defer func() {
		if !busy {
			p.free <- c
		}
	}()

	q := request{format: format, limits: limits.WithDefaults(), content: content}
	for {
		fresh := c == nil
		if fresh {
			var err error
			if c, err = p.start(); err != nil {
				c = nil
				return []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: "no decoder could be started: " + withoutPath(err)}}
			}
		}
		failures, answered, err := c.decode(ctx, q, yield)
		if err == nil {
			if c.files++; c.files >= filesPerChild {
				c.end()
				c = nil
			}
			return failures
		}
		if errors.Is(err, errWarming) {
			busy = true
			go p.finishWarming(c, q)
			return []hashmatch.Failure{{Code: hashmatch.TimedOut, Detail: format + ": the decoder was not ready in time"}}
		}
		died := c.kill()
		c = nil
		var refused *refusedError
		switch {
		case errors.As(err, &refused): // by the receiver, who knows why
			return nil
		case ctx.Err() != nil:
			return []hashmatch.Failure{{Code: hashmatch.TimedOut, Detail: format + ": the decoder was stopped"}}
		case !fresh && !answered && !errors.Is(err, errProtocol):
			// Once more, with a fresh one: it had died before this file came, or what files before had left mapped was
			// too much for it. A 12 MP picture that a fresh child decodes in half its limit can fail in a used one.
			continue
		case errors.Is(err, errProtocol):
			return []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: format + ": " + err.Error()}}
		}
		return []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: format + ": " + died}}
	}
}

// finishWarming lets a child that a file did not wait for get ready, drops what it makes of that file, and gives it
// free.
func (p *Pool) finishWarming(c *child, q request) {
	ctx, cancel := context.WithTimeout(context.Background(), warmLimit)
	defer cancel()
	go func() {
		select {
		case <-p.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	ready := false
	select {
	case err := <-c.warming:
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, p.config.Deadline)
			defer cancel()
			_, _, err = c.receive(ctx, q, func(media.Picture) error { return nil })
		}
		ready = err == nil
	case <-ctx.Done():
	}
	if !ready {
		c.kill()
		c = nil
	}
	p.free <- c
}

// child is one process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr head
	buffer []byte // the pixels of the picture that was read last
	files  int

	warming chan error // gives nil once the decoder for the present file is ready
}

func (p *Pool) start() (*child, error) {
	if len(p.config.Command) == 0 {
		return nil, errors.New("no command")
	}
	c := &child{cmd: exec.Command(p.config.Command[0], p.config.Command[1:]...)}
	c.cmd.Env = append([]string{fmt.Sprintf("%s=%d", memoryVariable, p.config.Memory)}, p.config.Env...)
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	detach(c.cmd)
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdout = bufio.NewReaderSize(stdout, 64<<10)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

// refusedError is an error of the receiver of a picture.
type refusedError struct{ error }

// errWarming says that ctx was done before the decoder was ready.
var errWarming = errors.New("the decoder is not ready yet")

// maxKept is the largest buffer that a child's side keeps from one file to the next: 16 MiB is a picture of 4 MP.
const maxKept = 16 << 20

// decode has the child decode one file. answered says that a picture came. After an error other than errWarming
// the child is of no use.
func (c *child) decode(ctx context.Context, q request, yield func(media.Picture) error) (failures []hashmatch.Failure, answered bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	err = writeRequest(c.stdin, q) // here, not beside: the content is the caller's once this call is over
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		return nil, false, err
	}
	c.warming = make(chan error, 1)
	go func() {
		tag, err := c.stdout.ReadByte()
		if err == nil && tag != tagWarm {
			err = errProtocol
		}
		c.warming <- err
	}()
	select {
	case err := <-c.warming:
		if err != nil {
			return nil, false, err
		}
	case <-ctx.Done():
		return nil, false, errWarming
	}
	return c.receive(ctx, q, yield)
}

// receive takes the child's answer, and kills it if ctx is done before that is complete.
func (c *child) receive(ctx context.Context, q request, yield func(media.Picture) error) (failures []hashmatch.Failure, answered bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	defer func() {
		if cap(c.buffer) > maxKept {
			c.buffer = nil
		}
	}()
	for pictures := 0; ; pictures++ {
		tag, err := c.stdout.ReadByte()
		if err != nil {
			return nil, pictures > 0, err
		}
		switch tag {
		case tagFailures:
			failures, err := readFailures(c.stdout)
			if err == nil && !stop() { // killed meanwhile
				err = ctx.Err()
			}
			return failures, true, err
		case tagPicture:
			if pictures >= q.limits.MaxFrames {
				return nil, true, fmt.Errorf("%w: more than %d pictures", errProtocol, q.limits.MaxFrames)
			}
			picture, err := readPicture(c.stdout, q.limits, &c.buffer)
			if err != nil {
				return nil, pictures > 0, err
			}
			if err := yield(picture); err != nil {
				return nil, true, &refusedError{err}
			}
		default:
			return nil, true, errProtocol
		}
	}
}

// kill ends the process at once and says of what it died.
func (c *child) kill() string {
	_ = c.cmd.Process.Kill()
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
	if text := c.stderr.String(); strings.Contains(text, "out of memory") || strings.Contains(text, "cannot allocate memory") {
		return "the decoder ran out of memory"
	}
	return "the decoder died"
}

// end has the process end by itself, which it does when there is nothing more to read, and waits for it.
func (c *child) end() {
	_ = c.stdin.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	_ = c.cmd.Wait()
}

// withoutPath returns the text of an error without the path of the program.
func withoutPath(err error) string {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// head keeps the first bytes of what a child prints: the Go runtime names the cause first.
type head struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (t *head) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4<<10 - t.buffer.Len(); room > 0 {
		t.buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (t *head) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.String()
}
