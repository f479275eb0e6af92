package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// growth is how much more memory than its length an upload can take while it is received: its buffer doubles, and for
// a moment the old one and the new one both exist.
const growth = 4

// firstStep is the buffer that an upload begins with, whatever size it claims: memory is taken for bytes that came.
const firstStep = 64 << 10

var errOverloaded = errors.New("no memory for it in time")

// content is what was received of one upload.
type content struct {
	held   []byte    // the whole content or, if rest is set, its beginning
	rest   io.Reader // what follows held and is too long for memory; nil if there is nothing
	err    error     // why the content ended early; nil if it was whole
	waited time.Duration

	gate      *Gate
	accounted int64
	buffer    *bytes.Buffer
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// pooled is the size of the largest buffer that is kept for another upload.
const pooled = 1 << 20

// receive reads the content into memory, up to MaxBytes. It returns errOverloaded if there was no memory for it in
// time. A read that fails is no error here: the scanner turns it into a failure, with what came before it.
func (g *Gate) receive(ctx context.Context, u Upload) (*content, error) {
	c := &content{gate: g, buffer: buffers.Get().(*bytes.Buffer)}
	c.buffer.Reset()
	if err := c.account(ctx, max(firstStep, int64(c.buffer.Cap()))); err != nil {
		c.release()
		return nil, err
	}
	reader := u.Content
	if reader == nil {
		reader = bytes.NewReader(nil)
	}
	limit := g.config.MaxBytes
	for {
		if err := c.makeRoom(ctx, limit); err != nil {
			c.release()
			return nil, err
		}
		free := c.buffer.AvailableBuffer()
		free = free[:min(int64(cap(free)), limit+1-int64(c.buffer.Len()))]
		n, err := reader.Read(free)
		c.buffer.Write(free[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			c.err = err
			break
		}
		if int64(c.buffer.Len()) > limit {
			c.rest = reader
			break
		}
	}
	c.held = c.buffer.Bytes()
	return c, nil
}

// makeRoom makes sure that the buffer can take a byte at least, and accounts for it.
func (c *content) makeRoom(ctx context.Context, limit int64) error {
	if c.buffer.Available() > 0 {
		return nil
	}
	room := min(max(firstStep, int64(c.buffer.Cap())), limit+1-int64(c.buffer.Len()))
	// bytes.Buffer allocates up to twice its capacity and what is asked for, and copies.
	old := int64(c.buffer.Cap())
	if err := c.account(ctx, 2*old+room); err != nil {
		return err
	}
	c.buffer.Grow(int(max(room, 1)))
	c.free(c.accounted - max(firstStep, int64(c.buffer.Cap())))
	return nil
}

// account takes n bytes of the gate's memory, waiting for them.
func (c *content) account(ctx context.Context, n int64) error {
	if !c.gate.memory.TryAcquire(n) {
		started := time.Now()
		ctx, cancel := context.WithTimeout(ctx, c.gate.config.QueueTimeout)
		err := c.gate.memory.Acquire(ctx, n)
		cancel()
		c.waited += time.Since(started)
		if err != nil {
			return errOverloaded
		}
	}
	c.accounted += n
	c.gate.received.Add(n)
	return nil
}

func (c *content) free(n int64) {
	if n <= 0 {
		return
	}
	c.accounted -= n
	c.gate.received.Add(-n)
	c.gate.memory.Release(n)
}

// release gives the memory back. The content must not be used any more.
func (c *content) release() {
	if c.buffer != nil && c.buffer.Cap() <= pooled {
		clear(c.buffer.Bytes()) // nothing of an upload outlives it
		buffers.Put(c.buffer)
	}
	c.buffer, c.held = nil, nil
	c.free(c.accounted)
}

// item returns what the scanner is given: what came, then the rest or the error.
func (c *content) item(u Upload) hashmatch.Item {
	item := hashmatch.Item{ID: u.ID, Surface: u.Surface}
	switch {
	case c.rest != nil:
		item.Content, item.Size = io.MultiReader(bytes.NewReader(c.held), c.rest), u.Size
	case c.err != nil:
		item.Content = io.MultiReader(bytes.NewReader(c.held), failing{c.err})
	case len(c.held) == 0:
		item.Content = bytes.NewReader(nil)
	default:
		item.Held, item.Size = c.held, int64(len(c.held))
	}
	return item
}

// whole says that the content is in memory from its first byte to its last.
func (c *content) whole() bool { return c.rest == nil && c.err == nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	var failure *hashmatch.Failure
	if errors.As(f.err, &failure) {
		return 0, f.err
	}
	// The reader's own words can hold addresses or names: the code is enough.
	return 0, &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the upload ended before its end"}
}

func newSecret(secret *[32]byte) { _, _ = rand.Read(secret[:]) } // it never fails

// key names equal uploads to one surface while they are here.
func (g *Gate) key(u Upload, c *content) string {
	h := sha256.New()
	h.Write(g.secret[:])
	h.Write([]byte(u.Surface.Tenant() + "\x00" + u.Surface.Name() + "\x00"))
	h.Write(c.held)
	return string(h.Sum(nil))
}
