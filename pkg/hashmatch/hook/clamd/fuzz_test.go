package clamd_test

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// scripted is a connection on which everything has been said already. It has no deadlines, since it never waits.
type scripted struct {
	net.Conn // nil: for the methods that nobody calls
	said     *bytes.Reader
	replies  bytes.Buffer
	closed   chan struct{}
}

func (s *scripted) Read(p []byte) (int, error)       { return s.said.Read(p) }
func (s *scripted) Write(p []byte) (int, error)      { return s.replies.Write(p) }
func (s *scripted) Close() error                     { close(s.closed); return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// once is a listener of one connection.
type once struct {
	conn chan net.Conn
	done chan struct{}
}

func (o once) Accept() (net.Conn, error) {
	select {
	case conn := <-o.conn:
		return conn, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}

func (o once) Close() error {
	select {
	case <-o.done:
	default:
		close(o.done)
	}
	return nil
}

func (o once) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// counting is a stub that counts the clean uploads that came whole.
type counting struct{ clean int }

func (c *counting) Check(ctx context.Context, u gate.Upload) (gate.Outcome, error) {
	o, err := stub{}.Check(ctx, u)
	if o.Action == hashmatch.Allow {
		c.clean++
	}
	return o, err
}

var reply = regexp.MustCompile(`\A(\d+: )?(stream: OK|.*FOUND|.*ERROR|PONG|UNKNOWN COMMAND|COMMAND UNAVAILABLE|COMMAND READ TIMED OUT|ClamAV hashmatch-.*|(?s:POOLS.*END))\z`)

// FuzzConversation has anything said to the server. Every reply must be one of those that there are, and "OK" must be
// said as often as an upload came whole and was clean.
func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		"zPING\x00", "nVERSION\n", "STATS", "nSTATS\n", "nVERSIONCOMMANDS\n", "zFILDES\x00\x00", "nSCAN /etc/passwd\n", "nSCAN x: OK\nz",
		"zINSTREAM\x00" + stream("clean", 3), "nINSTREAM\n" + stream("listed", 100), "nINSTREAM\n\xff\xff\xff\xffclean", "nINSTREAM\n" + chunk("clean"),
		"zIDSESSION\x00zINSTREAM\x00" + stream("clean", 2) + "zINSTREAM\x00" + stream("text", 9) + "zPING\x00zEND\x00",
		"zIDSESSION\x00", "nIDSESSION\nnEND\n", "nIDSESSION\nPING\n", "nIDSESSION\nnRELOAD\n", strings.Repeat("z", 20000), "", "\x00", "n\n", "z: OK\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			t.Skip("long texts say no more than short ones")
		}
		surface := hooktest.Surface(t)
		checker := &counting{}
		s := clamd.New(clamd.Config{
			Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil }, MaxStreamBytes: 1000,
		})
		conn := &scripted{said: bytes.NewReader(text), closed: make(chan struct{})}
		l := once{make(chan net.Conn, 1), make(chan struct{})}
		l.conn <- conn
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		select {
		case <-conn.closed:
		case <-time.After(10 * time.Second):
			t.Fatal("no end")
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-served
		replies := conn.replies.Bytes()
		said := 0
		for _, line := range bytes.FieldsFunc(replies, func(r rune) bool { return r == 0 }) {
			text := strings.TrimSuffix(string(line), "\n")
			if !strings.Contains(text, "POOLS") {
				for _, one := range strings.Split(text, "\n") {
					if !reply.MatchString(one) {
						t.Errorf("a reply like no other: %q", one)
					}
					if strings.HasSuffix(one, "OK") {
						said++
					}
				}
			}
		}
		if said != checker.clean {
			t.Errorf("OK was said %d times, %d uploads were clean: %q", said, checker.clean, replies)
		}
	})
}
