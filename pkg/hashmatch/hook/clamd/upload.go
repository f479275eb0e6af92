package clamd

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// The names of holds that are not the gate's.
const (
	holdRefused    = "Hashmatch.Hold.Refused"    // the surface, the path or the descriptor
	holdUnreadable = "Hashmatch.Hold.Unreadable" // the file
	holdNotReady   = "Hashmatch.Hold.NotReady"   // the server shuts down
	holdNotScanned = "Hashmatch.Hold.NotScanned"
)

// reasonNames are the last parts of the names, of letters only: some clients call a reply clean that has anything else.
var reasonNames = map[gate.Reason]string{
	gate.ReasonMatch:      "Match",
	gate.ReasonNotScanned: "NotScanned",
	gate.ReasonNotImage:   "NotImage",
	gate.ReasonLowQuality: "LowQuality",
	gate.ReasonOverloaded: "Overloaded",
	gate.ReasonNotReady:   "NotReady",
	gate.ReasonRecord:     "NotRecorded",
}

const ok = "OK"

// found is the reply for what is not to be published.
func found(name string) string { return name + " FOUND" }

// answer returns the reply for an outcome.
func answer(o gate.Outcome) string {
	if o.Action == hashmatch.Allow {
		return ok
	}
	action, reason := "Hold", "NotScanned"
	if o.Action == hashmatch.Block {
		action = "Block"
	}
	if reasons := o.Reasons(); len(reasons) > 0 {
		if name, known := reasonNames[reasons[0]]; known {
			reason = name
		}
	}
	return found("Hashmatch." + action + "." + reason)
}

// check asks the gate about one upload and returns the reply: ok for an allow, and else a FOUND. It goes on when the
// server shuts down.
func (c *conversation) check(content io.Reader, size int64) (text string) {
	defer func() {
		if recover() != nil {
			c.server.config.Logger.Error("clamd: an upload was held: its check ended in a panic")
			text = found(holdNotScanned)
		}
	}()
	surface, err := c.server.config.Surface()
	if err != nil {
		c.server.config.Logger.Warn("clamd: an upload was held: the surface was refused", "error", err)
		return found(holdRefused)
	}
	o, err := c.server.config.Checker.Check(context.WithoutCancel(c.ctx), gate.Upload{
		Surface: surface, Dialect: "clamd", Content: content, Size: size,
	})
	if err != nil {
		c.server.config.Logger.Warn("clamd: an upload was held: it was refused", "error", err)
		return found(holdRefused)
	}
	return answer(o)
}

// instream takes an upload from the connection. In a session another command can follow, if the stream was read to its
// end.
func (c *conversation) instream(command) bool {
	c.owe("stream")
	config := c.server.config
	s := &chunks{in: c.in, limit: config.MaxStreamBytes, wait: deadlines(c.conn, config.ReadTimeout, config.RequestTimeout)}
	text := c.check(s, 0)
	if s.err == errSizeLimit && !strings.HasPrefix(text, "Hashmatch.Block") {
		drained := s.drain(deadlines(c.conn, quiet, config.RequestTimeout))
		c.reply("INSTREAM size limit exceeded. ERROR")
		if !drained && c.closeWrite() {
			s.drain(deadlines(c.conn, config.ReadTimeout, config.RequestTimeout))
		}
		return false
	}
	// A stream that stood still for ReadTimeout stands still; one that was too long in coming comes to its end here.
	s.drain(deadlines(c.conn, config.ReadTimeout, config.RequestTimeout))
	c.source.dropDescriptor(c.in.Buffered())
	if !s.ended && text == ok {
		text = found(holdNotScanned)
	}
	return c.reply("stream: "+text) && s.ended
}

// scan takes an upload from the file system.
func (c *conversation) scan(cmd command) bool {
	c.owe(echo(cmd.argument))
	text := found(holdRefused)
	if c.local {
		text = c.checkPath(cmd.argument)
	} else {
		c.server.config.Logger.Warn("clamd: a file was refused: its path came over TCP; the client must send the content, as clamdscan --stream does")
	}
	return c.reply(echo(cmd.argument) + ": " + text)
}

func (c *conversation) checkPath(path string) string {
	file, err := open(c.server.config.Folders, path)
	switch {
	case err == errOutside:
		c.server.config.Logger.Warn("clamd: a file outside of the listener's folders was refused; clamdscan sends the file itself with --fdpass or --stream")
		return found(holdRefused)
	case err != nil:
		return found(holdUnreadable)
	}
	defer file.Close()
	return c.check(file, file.size())
}

// echo returns a path as the reply repeats it: without what could end the reply early.
func echo(path string) string {
	text := []byte(path) // not runes: a path need not be UTF-8
	for i, b := range text {
		if b < ' ' || b == 0x7f {
			text[i] = '?'
		}
	}
	return string(text)
}

// fildes takes an upload as a descriptor, which comes with the byte after the command.
func (c *conversation) fildes(command) bool {
	if !c.local {
		return c.reply("fd[-1]: " + found(holdRefused))
	}
	c.owe("fd[-1]")
	err := c.conn.SetReadDeadline(time.Now().Add(c.server.config.CommandTimeout))
	if err == nil {
		_, err = c.in.ReadByte()
	}
	descriptor, number := c.source.takeDescriptor(c.in.Buffered())
	if descriptor == nil {
		return c.reply("fd[-1]: "+found(holdRefused)) && err == nil
	}
	file, err := reading(descriptor)
	if err != nil {
		return c.reply(fmt.Sprintf("fd[%d]: %s", number, found(holdUnreadable)))
	}
	defer file.Close()
	return c.reply(fmt.Sprintf("fd[%d]: %s", number, c.check(file, file.size())))
}
