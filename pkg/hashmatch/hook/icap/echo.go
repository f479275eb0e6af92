package icap

import (
	"bufio"
	"fmt"
	"io"
)

// echoBlock is how the bytes that are kept are allocated, and sent back, in bytes.
const echoBlock = 64 << 10

// echo keeps a body that is to be sent back: as it came, since a client that takes no 204 replaces its message with
// the answer. It is not safe for concurrent use; release gives the memory back.
type echo struct {
	server  *Server
	blocks  [][]byte
	over    bool // it is longer than what may be kept: nothing is
	crowded bool // only because of others that are kept at the same time
}

// Write keeps p, or nothing any more if there is no room. It never fails.
func (e *echo) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !e.over {
		last := len(e.blocks) - 1
		if last < 0 || len(e.blocks[last]) == echoBlock {
			if !e.grow() {
				break
			}
			last++
		}
		took := min(len(p), echoBlock-len(e.blocks[last]))
		e.blocks[last] = append(e.blocks[last], p[:took]...)
		p = p[took:]
	}
	return n, nil
}

func (e *echo) grow() bool {
	config := e.server.config
	if int64(len(e.blocks)+1)*echoBlock > max(config.MaxEcho, echoBlock) {
		e.release()
		e.over = true
		return false
	}
	e.blocks = append(e.blocks, nil)
	if e.server.echoed.Add(echoBlock) > config.EchoMemory {
		e.release()
		e.over, e.crowded = true, true
		return false
	}
	e.blocks[len(e.blocks)-1] = make([]byte, 0, echoBlock)
	return true
}

func (e *echo) release() {
	for _, block := range e.blocks {
		clear(block) // nothing of an upload outlives it
	}
	e.server.echoed.Add(-int64(len(e.blocks)) * echoBlock)
	e.blocks = nil
}

// writeTo sends the message back: its headers and what was kept of its body.
func (e *echo) writeTo(w io.Writer, s *Server, r *request) error {
	out := bufio.NewWriter(w)
	body := "null-body"
	if r.body {
		body = "req-body"
		if r.method == respmod {
			body = "res-body"
		}
	}
	header, name := r.httpRequest, "req-hdr"
	if r.method == respmod {
		header, name = r.httpResponse, "res-hdr"
	}
	encapsulated := fmt.Sprintf("%s=%d", body, len(header))
	if len(header) > 0 {
		encapsulated = name + "=0, " + encapsulated
	}
	out.WriteString(s.head("200 OK", r.close, "Encapsulated: "+encapsulated))
	out.Write(header)
	if r.body {
		for _, block := range e.blocks {
			fmt.Fprintf(out, "%x\r\n", len(block))
			out.Write(block)
			out.WriteString("\r\n")
		}
		out.WriteString("0\r\n\r\n")
	}
	return out.Flush() // it returns the first error of all
}
