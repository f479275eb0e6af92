package clamd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxCommand is the length of the longest command, in bytes: a path of the length that Linux allows, and the rest.
const maxCommand = 16 << 10

// errTooLong says that a command has no end within maxCommand bytes.
var errTooLong = errors.New("the command is too long")

// command is one line of the client's.
type command struct {
	verb     string
	argument string // what follows the first space
	stated   bool   // whether there was an argument
	prefixed bool   // zCOMMAND\0 or nCOMMAND\n, not a bare COMMAND
	term     byte   // what ends the reply
}

// readCommand reads one command: "z" to a zero byte, "n" to a newline, and a bare one to a newline or to the end of what
// came with it in one packet. in must have a buffer of maxCommand bytes. It blocks until the command is whole; io.EOF
// means that none was begun.
func readCommand(in *bufio.Reader) (command, error) {
	first, err := in.Peek(1)
	if err != nil {
		return command{}, err
	}
	c := command{prefixed: true, term: '\n'}
	var line []byte
	switch first[0] {
	case 'z':
		c.term = 0
		line, err = in.ReadSlice(c.term)
	case 'n':
		line, err = in.ReadSlice(c.term)
	default:
		c.prefixed = false
		line, _ = in.Peek(in.Buffered())
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		}
		_, _ = in.Discard(len(line)) // it is in the buffer
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return c, errTooLong
	case err == io.EOF:
		return c, io.ErrUnexpectedEOF
	case err != nil:
		return c, err
	}
	text := string(line)
	if c.prefixed {
		text = text[1:]
	}
	if c.term == 0 {
		text = strings.TrimSuffix(text, "\x00")
	} else {
		text = strings.TrimRight(text, "\r\n")
	}
	c.verb, c.argument, c.stated = strings.Cut(text, " ")
	return c, nil
}

// verb is what the server knows of a command.
type verb struct {
	name     string
	argument bool // it has one
	bare     bool // it needs no prefix
	session  bool // it can be given in a session
	local    bool // it is served on unix sockets only
	run      func(*conversation, command) (goOn bool)
}

// verbs are in the order in which VERSIONCOMMANDS tells them.
var verbs []verb

func init() { // its functions use it
	verbs = []verb{
		{name: "SCAN", argument: true, bare: true, session: true, local: true, run: (*conversation).scan},
		{name: "CONTSCAN", argument: true, bare: true, local: true, run: (*conversation).scan},
		{name: "MULTISCAN", argument: true, bare: true, local: true, run: (*conversation).scan},
		{name: "ALLMATCHSCAN", argument: true, local: true, run: (*conversation).scan},
		{name: "FILDES", bare: true, session: true, local: true, run: (*conversation).fildes},
		{name: "INSTREAM", session: true, run: (*conversation).instream},
		{name: "IDSESSION", run: (*conversation).begin},
		{name: "END", session: true, run: (*conversation).end},
		{name: "PING", bare: true, session: true, run: (*conversation).ping},
		{name: "VERSION", bare: true, session: true, run: (*conversation).version},
		{name: "VERSIONCOMMANDS", session: true, run: (*conversation).versionCommands},
		{name: "STATS", session: true, run: (*conversation).stats},
		{name: "RELOAD", bare: true, run: (*conversation).unavailable},
		{name: "SELFCHECK", bare: true, run: (*conversation).unavailable},
		{name: "SHUTDOWN", bare: true, run: (*conversation).unavailable},
	}
}

// lookUp returns the verb of a command, or nil if there is none that is written like this.
func lookUp(c command) *verb {
	for i := range verbs {
		v := &verbs[i]
		if v.name != c.verb {
			continue
		}
		if v.argument != c.stated || v.argument && c.argument == "" || !v.bare && !c.prefixed {
			return nil
		}
		return v
	}
	return nil
}
