package clamd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// quiet is how long a client whose stream is over the limit may send nothing before it is told so. lingering is how long
// the server waits for the client to close, after its last reply: closing with bytes unread would reset the connection,
// and the client could lose the reply.
const (
	quiet     = time.Second
	lingering = time.Second
)

// errShutdown says that the server shuts down while a connection waits for a command.
var errShutdown = errors.New("the server shuts down")

// conversation is one connection. One goroutine runs it.
type conversation struct {
	server *Server
	ctx    context.Context // of the server: done when it shuts down
	conn   net.Conn
	source *source
	in     *bufio.Reader // over source
	local  bool          // a unix socket

	session bool
	id      uint32 // number of the command at hand, in a session
	term    byte   // ends the replies

	mu      sync.Mutex
	waiting bool // for a command: a shutdown ends the wait
}

// handle speaks with one client until the conversation ends.
func (s *Server) handle(ctx context.Context, conn net.Conn) {
	_, local := conn.(*net.UnixConn)
	c := &conversation{server: s, ctx: ctx, conn: conn, source: newSource(conn), local: local, term: '\n'}
	c.in = bufio.NewReaderSize(c.source, maxCommand)
	defer c.source.dropDescriptor(0)
	defer c.linger()
	defer func() {
		if r := recover(); r != nil {
			c.reply("stream: " + found(holdNotScanned))
			panic(r) // for hook.StreamServer, which logs it
		}
	}()
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	for {
		cmd, err := c.next()
		if err != nil {
			c.refuse(err)
			return
		}
		if !c.execute(cmd) {
			return
		}
	}
}

// next waits for a command.
func (c *conversation) next() (command, error) {
	timeout := c.server.config.CommandTimeout
	if c.session {
		timeout = c.server.config.IdleTimeout
	}
	c.mu.Lock()
	c.waiting = true
	err := c.conn.SetReadDeadline(time.Now().Add(timeout))
	c.mu.Unlock()
	if err != nil {
		return command{}, err
	}
	if c.ctx.Err() != nil {
		return command{}, errShutdown
	}
	cmd, err := readCommand(c.in)
	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	if err != nil && c.ctx.Err() != nil {
		return command{}, errShutdown
	}
	return cmd, err
}

// interrupt ends the wait for a command.
func (c *conversation) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// refuse says why no command was had. A client that left without beginning one is told nothing.
func (c *conversation) refuse(err error) {
	c.id++
	var netError net.Error
	switch {
	case errors.Is(err, errShutdown):
		c.reply("stream: " + found(holdNotReady))
	case errors.As(err, &netError) && netError.Timeout():
		_ = c.write("COMMAND READ TIMED OUT\n")
	case err == io.EOF:
	default:
		c.reply("UNKNOWN COMMAND")
	}
}

// execute does what a command asks for and replies. It returns whether the conversation goes on.
func (c *conversation) execute(cmd command) bool {
	v := lookUp(cmd)
	c.term = cmd.term
	if c.session {
		c.id++
		switch {
		case !cmd.prefixed:
			c.reply("Only nCMDS\\n and zCMDS\\0 are accepted inside IDSESSION. ERROR")
			return false
		case v == nil || !v.session:
			c.reply("Command invalid inside IDSESSION. ERROR")
			return false
		}
	}
	if v == nil || v.name == "END" && !c.session {
		c.reply("UNKNOWN COMMAND")
		return false
	}
	if v.name != "FILDES" && c.source.dropDescriptor(c.in.Buffered()) {
		c.reply("PROTOCOL ERROR: ancillary data sent without FILDES. ERROR")
		return false
	}
	return v.run(c, cmd) && c.session
}

// reply sends one reply, with its number in a session. It returns whether it was taken.
func (c *conversation) reply(text string) bool {
	return c.write(c.numbered(text)+string(rune(c.term))) == nil
}

func (c *conversation) numbered(text string) string {
	if c.session {
		text = fmt.Sprintf("%d: %s", c.id, text)
	}
	return text
}

func (c *conversation) write(text string) error {
	return c.server.stream.Say(c.conn, true, func() error {
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.config.CommandTimeout)); err != nil {
			return err
		}
		_, err := io.WriteString(c.conn, text)
		return err
	})
}

// owe says that the client waits for an answer about an upload, which begins with what, and what it is told if the server
// cannot wait for it.
func (c *conversation) owe(what string) {
	c.server.stream.Owe(c.conn, c.numbered(what+": "+found(holdNotReady))+string(rune(c.term)))
}

// closeWrite says that no more replies come. It returns whether the client can know.
func (c *conversation) closeWrite() bool {
	half, ok := c.conn.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// linger waits for the client to close.
func (c *conversation) linger() {
	if !c.closeWrite() || c.conn.SetReadDeadline(time.Now().Add(lingering)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{c.source}) // what comes is of no use, nor is an error
}

func (c *conversation) begin(command) bool {
	c.session = true
	return true
}

func (c *conversation) end(command) bool { return false }

func (c *conversation) ping(command) bool { return c.reply("PONG") }

func (c *conversation) unavailable(command) bool { return c.reply("COMMAND UNAVAILABLE") }

func (c *conversation) version(command) bool { return c.reply(c.server.versionText()) }

func (c *conversation) versionCommands(command) bool {
	text := c.server.versionText() + "| COMMANDS:"
	for _, v := range verbs {
		if !v.local || c.local {
			text += " " + v.name
		}
	}
	return c.reply(text)
}

// versionText has three fields, as clients expect it that look for the age of ClamAV's database.
func (s *Server) versionText() string {
	number, changed := s.config.Lists()
	return fmt.Sprintf("ClamAV hashmatch-%s/%d/%s", s.config.Version, number, changed.UTC().Format(time.ANSIC))
}

func (c *conversation) stats(command) bool {
	s, most := c.server.config.Stats(), c.server.stream.MaxConnections
	live := c.server.Connections()
	var text strings.Builder
	fmt.Fprintf(&text, "POOLS: 1\n\nSTATE: VALID PRIMARY\n")
	fmt.Fprintf(&text, "THREADS: live %d  idle %d max %d idle-timeout %d\n",
		live, max(0, int64(live)-s.Scanning-s.Waiting), most, int(c.server.config.IdleTimeout.Seconds()))
	fmt.Fprintf(&text, "QUEUE: %d items\n\n", s.Waiting)
	fmt.Fprintf(&text, "MEMSTATS: heap N/A mmap N/A used %.3fM free N/A releasable N/A pools 1 pools_used N/A pools_total N/A\nEND",
		float64(s.Bytes)/(1<<20))
	return c.reply(text.String())
}
