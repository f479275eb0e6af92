package icap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// How long a connection that is given up is still read from: a client that is sending gets a reset otherwise, and may
// never see the answer. lingerClean is for one that has sent all; lingerBytes bounds what is read.
const (
	lingerUnread = 10 * time.Second
	lingerClean  = 2 * time.Second
	lingerBytes  = 64 << 20
)

// maxBlankLines is how many empty lines may come between two requests. One belongs to the body before.
const maxBlankLines = 4

// conversation is one connection. Its reads go through its own Read, under the deadline of what is being read.
type conversation struct {
	*Server
	conn     net.Conn
	in       *bufio.Reader
	deadline time.Time // of a request's header, or of the wait for one

	body     bool          // a body is being read: it has a deadline that moves
	received int64         // bytes of it
	waited   time.Duration // for them; the time that the Checker takes is not the client's

	answered bool // an answer to this request was begun
	unread   bool // there can be more of the request than was read
}

// converse answers requests until the client or the server has had enough.
func (s *Server) converse(ctx context.Context, conn net.Conn) {
	c := &conversation{Server: s, conn: conn}
	c.in = bufio.NewReaderSize(c, bufferSize)
	for c.exchange(ctx) {
	}
	c.linger()
}

// Read reads from the connection before the deadline of what is being read.
func (c *conversation) Read(p []byte) (int, error) {
	started, deadline := time.Now(), c.deadline
	if c.body {
		earned := time.Duration(c.received/MinRate) * time.Second
		deadline = started.Add(c.config.ReadTimeout + min(0, earned-c.waited))
	}
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := c.conn.Read(p)
	c.received += int64(n)
	c.waited += time.Since(started)
	return n, err
}

// exchange waits for one request and answers it. It returns false if there is to be no other.
func (c *conversation) exchange(ctx context.Context) (more bool) {
	c.answered, c.unread, c.body = false, false, false
	defer func() {
		if p := recover(); p != nil {
			c.log("panic in a conversation", "panic", fmt.Sprint(p))
			c.refuse(&requestError{500, "internal"})
			more = false
		}
	}()
	if err := c.await(ctx); err != nil {
		var fault *requestError
		if errors.As(err, &fault) {
			c.refuse(fault)
		}
		return false
	}
	c.streams.Owe(c.conn, c.blockReply(answer{later: true, reason: gate.ReasonNotReady}, true))
	r, err := readRequest(c.in)
	if err != nil {
		c.refuse(err)
		return false
	}
	c.unread = r.body
	if !c.serves(r.service) {
		c.refuse(&requestError{404, "service_not_found"})
		return false
	}
	c.body, c.received, c.waited = true, 0, 0
	body := newChunks(c.in, r, c.config.MaxBytes, func() error { return c.write(proceed) })
	if r.method == options {
		return c.answerOptions(r, body)
	}
	return c.answer(ctx, r, body)
}

// errOver is why no request is waited for any more, if nobody is to be told.
var errOver = errors.New("the conversation is over")

// await waits for the first byte of a request, past what is left of the one before.
func (c *conversation) await(ctx context.Context) error {
	for range maxBlankLines + 1 {
		c.deadline = time.Now().Add(c.config.IdleTimeout)
		if c.in.Buffered() == 0 {
			if !c.streams.Idle(c.conn, true) {
				return errOver
			}
			_, err := c.in.Peek(1)
			c.streams.Idle(c.conn, false)
			if err != nil {
				return errOver // the client went away, has nothing to say, or the server shuts down
			}
		}
		if ctx.Err() != nil {
			return errOver
		}
		c.deadline = time.Now().Add(c.config.HeaderTimeout)
		start, err := c.in.Peek(2)
		if err != nil {
			return headerError(err)
		}
		if string(start) != "\r\n" {
			return nil
		}
		_, _ = c.in.Discard(2)
	}
	return malformed("empty_lines")
}

func (c *conversation) answerOptions(r *request, body *chunks) bool {
	if r.body {
		if err := body.finish(); err != nil {
			c.refuse(err)
			return false
		}
	}
	c.unread = false
	return c.write(c.optionsReply(r.close)) == nil && !r.close
}

// answer judges the message and writes the answer.
func (c *conversation) answer(ctx context.Context, r *request, body *chunks) bool {
	surface, err := c.surface()
	if err != nil {
		c.log("surface refused", "error", err)
		c.block(notScanned, true)
		return false
	}
	kept := &echo{server: c.Server}
	defer kept.release()
	echoed := !r.allow204 && !r.preview // the one answer is the message itself
	var content io.Reader = body
	if echoed {
		content = io.TeeReader(body, kept)
	}
	a := c.judge(ctx, surface, r, content)
	if r.body {
		if a.clean && echoed { // a Checker that allows what it did not read
			_, _ = io.Copy(io.Discard, content)
		}
		if err := body.finish(); err != nil {
			c.unfinished(err, a)
			return false
		}
	}
	c.unread = false
	switch {
	case !a.clean:
		return c.block(a, r.close) && !r.close
	case !echoed:
		return c.write(c.cleanReply(r.close)) == nil && !r.close
	case kept.over:
		c.log("a clean body is too long to be sent back: the client must send Allow: 204")
		return c.block(answer{reason: gate.ReasonNotScanned, later: kept.crowded}, r.close) && !r.close
	}
	c.answered = true
	return c.say(true, func() error { return kept.writeTo(c.conn, c.Server, r) }) == nil && !r.close
}

// unfinished answers a message whose body did not end as it should: no verdict on what came of it can be an allow.
func (c *conversation) unfinished(err error, a answer) {
	var failure *hashmatch.Failure
	if !errors.As(err, &failure) {
		c.refuse(err)
		return
	}
	if a.clean {
		a = notScanned
	}
	c.block(a, true)
}

func (c *conversation) surface() (hashmatch.Surface, error) {
	if c.config.Surface == nil || c.config.Checker == nil {
		return hashmatch.Surface{}, errors.New("the server has no checker or no surface")
	}
	return c.config.Surface()
}

func (c *conversation) block(a answer, close bool) bool {
	return c.write(c.blockReply(a, close)) == nil
}

// refuse answers with an ICAP error, if nothing was answered yet.
func (c *conversation) refuse(err error) {
	c.unread = true
	fault := &requestError{500, "internal"}
	errors.As(err, &fault)
	c.log("request refused", "status", fault.status, "code", fault.code)
	if !c.answered {
		_ = c.write(c.errorReply(fault)) // the connection is closed, whether it was read or not
	}
}

// write writes one answer in one piece: there are clients that read once.
func (c *conversation) write(text string) error {
	c.answered = text != proceed
	return c.say(c.answered, func() error {
		_, err := io.WriteString(c.conn, text)
		return err
	})
}

// say has write write the answer, or something before it, unless the server shuts down and has answered itself.
func (c *conversation) say(answered bool, write func() error) error {
	return c.streams.Say(c.conn, answered, func() error {
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.config.ReadTimeout)); err != nil {
			return err
		}
		return write()
	})
}

// linger ends the connection so that the client sees the last answer.
func (c *conversation) linger() {
	if !c.answered {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	patience := lingerUnread
	if !c.unread {
		patience = lingerClean
		if !c.streams.Idle(c.conn, true) {
			return
		}
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(min(patience, c.config.ReadTimeout))); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.conn, lingerBytes)
}
