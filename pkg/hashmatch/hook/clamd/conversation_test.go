package clamd_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
)

// TestConversations holds what is answered to what, byte for byte. Each ends with the server's close.
func TestConversations(t *testing.T) {
	changed := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	const version = "ClamAV hashmatch-1.2.3/42/Mon Jan  5 00:00:00 2026"
	l := listenTCP(t)
	serve(t, l, clamd.Config{
		Checker: stub{}, Version: "1.2.3", MaxConnections: 50,
		Lists: func() (int64, time.Time) { return 42, changed },
	})
	const hold = "Hashmatch.Hold.NotScanned FOUND"
	for name, c := range map[string]struct{ send, want string }{
		"ping":               {"zPING\x00", "PONG\x00"},
		"ping, n":            {"nPING\n", "PONG\n"},
		"ping, n and CR":     {"nPING\r\n", "PONG\n"},
		"ping, bare":         {"PING\n", "PONG\n"},
		"ping, bare, packet": {"PING", "PONG\n"},
		"one reply only":     {"zPING\x00zPING\x00", "PONG\x00"},
		"version":            {"zVERSION\x00", version + "\x00"},
		"version, bare":      {"VERSION\n", version + "\n"},
		"commands": {"nVERSIONCOMMANDS\n",
			version + "| COMMANDS: INSTREAM IDSESSION END PING VERSION VERSIONCOMMANDS STATS RELOAD SELFCHECK SHUTDOWN\n"},
		"reload":    {"zRELOAD\x00", "COMMAND UNAVAILABLE\x00"},
		"selfcheck": {"nSELFCHECK\n", "COMMAND UNAVAILABLE\n"},
		"shutdown":  {"SHUTDOWN\n", "COMMAND UNAVAILABLE\n"},

		"clean":                  {"zINSTREAM\x00" + stream("clean picture", 1000), "stream: OK\x00"},
		"clean, n":               {"nINSTREAM\n" + stream("clean picture", 1000), "stream: OK\n"},
		"clean, byte by byte":    {"nINSTREAM\n" + stream("clean picture", 1), "stream: OK\n"},
		"clean, second zero":     {"nINSTREAM\n" + stream("clean picture", 1000) + chunk(""), "stream: OK\n"},
		"clean, trailing bytes":  {"nINSTREAM\n" + stream("clean picture", 1000) + strings.Repeat("x", 100_000), "stream: OK\n"},
		"listed":                 {"zINSTREAM\x00" + stream("listed picture", 4), "stream: Hashmatch.Block.Match FOUND\x00"},
		"damaged":                {"zINSTREAM\x00" + stream("x", 4), "stream: " + hold + "\x00"},
		"no image":               {"zINSTREAM\x00" + stream("text", 4), "stream: Hashmatch.Hold.NotImage FOUND\x00"},
		"nothing":                {"zINSTREAM\x00" + chunk(""), "stream: " + hold + "\x00"},
		"a checker that panics":  {"zINSTREAM\x00" + stream("panic", 4), "stream: " + hold + "\x00"},
		"more than is looked at": {"zINSTREAM\x00" + stream("damaged"+strings.Repeat("x", 3<<20), 1<<20), "stream: " + hold + "\x00"},

		"unknown":               {"zEICAR\x00", "UNKNOWN COMMAND\x00"},
		"unknown, bare":         {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "UNKNOWN COMMAND\n"},
		"nothing said":          {"z\x00", "UNKNOWN COMMAND\x00"},
		"an empty line":         {"\n", "UNKNOWN COMMAND\n"},
		"lower case":            {"zping\x00", "UNKNOWN COMMAND\x00"},
		"an argument too many":  {"zPING x\x00", "UNKNOWN COMMAND\x00"},
		"an argument too few":   {"zSCAN\x00", "UNKNOWN COMMAND\x00"},
		"an empty argument":     {"zSCAN \x00", "UNKNOWN COMMAND\x00"},
		"end without session":   {"zEND\x00", "UNKNOWN COMMAND\x00"},
		"instream, bare":        {"INSTREAM\n" + stream("clean", 10), "UNKNOWN COMMAND\n"},
		"stats, bare":           {"STATS\n", "UNKNOWN COMMAND\n"},
		"session, bare":         {"IDSESSION\n", "UNKNOWN COMMAND\n"},
		"end, bare":             {"END\n", "UNKNOWN COMMAND\n"},
		"commands, bare":        {"VERSIONCOMMANDS\n", "UNKNOWN COMMAND\n"},
		"z ended by newline":    {"zPING\n" + strings.Repeat("x", 70_000), "UNKNOWN COMMAND\n"},
		"a command without end": {"n" + strings.Repeat("x", 70_000), "UNKNOWN COMMAND\n"},

		"a path over TCP":       {"nSCAN /etc/passwd\n", "/etc/passwd: Hashmatch.Hold.Refused FOUND\n"},
		"a path over TCP, bare": {"CONTSCAN /etc/passwd\n", "/etc/passwd: Hashmatch.Hold.Refused FOUND\n"},
		"a descriptor over TCP": {"zFILDES\x00\x00", "fd[-1]: Hashmatch.Hold.Refused FOUND\x00"},

		"session": {"zIDSESSION\x00zPING\x00zINSTREAM\x00" + stream("clean", 10) + "zINSTREAM\x00" + stream("listed", 10) + "nVERSION\nzEND\x00",
			"1: PONG\x002: stream: OK\x003: stream: Hashmatch.Block.Match FOUND\x004: " + version + "\n"},
		"session, END first":          {"zIDSESSION\x00zINSTREAM\x00" + stream("listed", 10) + "zEND\x00", "1: stream: Hashmatch.Block.Match FOUND\x00"},
		"session, n":                  {"nIDSESSION\nnINSTREAM\n" + stream("x", 10) + "nEND\n", "1: stream: " + hold + "\n"},
		"session, nothing":            {"nIDSESSION\nnEND\n", ""},
		"session, after END":          {"nIDSESSION\nnEND\nnPING\n", ""},
		"session, then bare":          {"nIDSESSION\nnPING\nPING\n", "1: PONG\n2: Only nCMDS\\n and zCMDS\\0 are accepted inside IDSESSION. ERROR\n"},
		"session, unknown":            {"nIDSESSION\nnEICAR\nnPING\n", "1: Command invalid inside IDSESSION. ERROR\n"},
		"session in session":          {"nIDSESSION\nnIDSESSION\nnPING\n", "1: Command invalid inside IDSESSION. ERROR\n"},
		"session, reload":             {"nIDSESSION\nnRELOAD\n", "1: Command invalid inside IDSESSION. ERROR\n"},
		"session, a folder":           {"nIDSESSION\nnCONTSCAN /\n", "1: Command invalid inside IDSESSION. ERROR\n"},
		"session, path":               {"nIDSESSION\nnSCAN /x\nnPING\nnEND\n", "1: /x: Hashmatch.Hold.Refused FOUND\n2: PONG\n"},
		"session, a command too long": {"nIDSESSION\nn" + strings.Repeat("x", 70_000), "1: UNKNOWN COMMAND\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := talk(t, dial(t, l), c.send); got != c.want {
				t.Errorf("%.200q:\n got %.300q\nwant %.300q", c.send, got, c.want)
			}
		})
	}
}

// TestHoldsUnread shows that uploads which the gate does not read are read all the same, so that the client gets its
// answer and a session goes on.
func TestHoldsUnread(t *testing.T) {
	t.Parallel()
	l := listenTCP(t)
	serve(t, l, clamd.Config{Checker: unread{}})
	long := stream(strings.Repeat("x", 5<<20), 1<<20)
	const want = "1: stream: Hashmatch.Hold.NotReady FOUND\x002: stream: Hashmatch.Hold.NotReady FOUND\x003: PONG\x00"
	if got := talk(t, dial(t, l), "zIDSESSION\x00zINSTREAM\x00"+long+"zINSTREAM\x00"+long+"zPING\x00zEND\x00"); got != want {
		t.Errorf("got %q", got)
	}
}

func TestSurfaceRefused(t *testing.T) {
	t.Parallel()
	l := listenTCP(t)
	serve(t, l, clamd.Config{Checker: careless{}, Surface: func() (hashmatch.Surface, error) {
		return hashmatch.Surface{}, errors.New("refused, for the test")
	}})
	if got := talk(t, dial(t, l), "nINSTREAM\n"+stream("clean", 100)); got != "stream: Hashmatch.Hold.Refused FOUND\n" {
		t.Errorf("got %q", got)
	}
	bare := listenTCP(t)
	s := clamd.New(clamd.Config{})
	go s.Serve(bare)
	defer s.Shutdown(t.Context())
	if got := talk(t, dial(t, bare), "nINSTREAM\n"+stream("clean", 100)); got != "stream: Hashmatch.Hold.NotScanned FOUND\n" {
		t.Errorf("a server that nobody configured: %q", got)
	}
}

// TestSizeLimit has streams that are longer than MaxStreamBytes, or say that they will be.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	l := listenTCP(t)
	serve(t, l, clamd.Config{Checker: stub{}, MaxStreamBytes: 1000})
	const tooLong = "INSTREAM size limit exceeded. ERROR\n"
	for name, c := range map[string]struct{ send, want string }{
		"at the limit":        {stream("clean"+strings.Repeat("x", 995), 100), "stream: OK\n"},
		"one over":            {stream("clean"+strings.Repeat("x", 996), 100), tooLong},
		"one chunk":           {stream("clean"+strings.Repeat("x", 8<<20), 8<<20), tooLong},
		"many chunks":         {stream("clean"+strings.Repeat("x", 1<<20), 1<<10), tooLong},
		"4 GiB":               {"\xff\xff\xff\xffclean", tooLong},
		"2 GiB":               {"\x80\x00\x00\x00clean", tooLong},
		"4 GiB after a chunk": {chunk("clean") + "\xff\xff\xff\xffclean", tooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			if got := talk(t, dial(t, l), "nINSTREAM\n"+c.send); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("the answer took %s", took)
			}
		})
	}
	t.Run("in a session", func(t *testing.T) {
		got := talk(t, dial(t, l), "nIDSESSION\nnINSTREAM\n"+stream(strings.Repeat("x", 1001), 10)+"nPING\n")
		if got != "1: "+tooLong {
			t.Errorf("got %q", got)
		}
	})
}

// TestHugeChunk has a chunk that claims 4 GiB where there is no limit, and a client that stops in its midst: its memory
// is not taken, and the answer is a hold, also from a checker that allows what it has not read.
func TestHugeChunk(t *testing.T) {
	t.Parallel()
	for name, checker := range map[string]hook.Checker{"stub": stub{}, "unread": unread{}, "careless": careless{}} {
		l := listenTCP(t)
		serve(t, l, clamd.Config{Checker: checker, ReadTimeout: 100 * time.Millisecond})
		got := talk(t, dial(t, l), "nINSTREAM\n\xff\xff\xff\xffclean")
		if !strings.HasPrefix(got, "stream: Hashmatch.Hold.") || !strings.HasSuffix(got, " FOUND\n") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestCutOff has clients that end their half of the connection in every part of a conversation.
func TestCutOff(t *testing.T) {
	const hold = "stream: Hashmatch.Hold.NotScanned FOUND"
	whole := "zIDSESSION\x00zINSTREAM\x00" + stream("clean", 3)
	for _, checker := range []hook.Checker{stub{}, careless{}} {
		l := listenTCP(t)
		serve(t, l, clamd.Config{Checker: checker})
		for n := range len(whole) {
			conn := dial(t, l)
			if _, err := io.WriteString(conn, whole[:n]); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			begun := strings.Index(whole, "zINSTREAM")
			want := ""
			switch {
			case n == 0 || n == begun:
			case n < begun:
				want = "UNKNOWN COMMAND\n"
			case n < begun+len("zINSTREAM\x00"):
				want = "1: UNKNOWN COMMAND\x00"
			default:
				want = "1: " + hold + "\x00"
			}
			if string(got) != want {
				t.Errorf("%T, after %d bytes: got %q, want %q", checker, n, got, want)
			}
		}
	}
}

func TestStats(t *testing.T) {
	l := listenTCP(t)
	serve(t, l, clamd.Config{
		Checker: stub{}, MaxConnections: 50,
		Stats: func() gate.Stats { return gate.Stats{Waiting: 2, Scanning: 1, Bytes: 3 << 20} },
	})
	const want = "POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 1  idle 0 max 50 idle-timeout 120\nQUEUE: 2 items\n\n" +
		"MEMSTATS: heap N/A mmap N/A used 3.000M free N/A releasable N/A pools 1 pools_used N/A pools_total N/A\nEND\n"
	if got := talk(t, dial(t, l), "nSTATS\n"); got != want {
		t.Errorf("got %q", got)
	}
}

// TestVersionFields has a version with what would end a field.
func TestVersionFields(t *testing.T) {
	l := listenTCP(t)
	serve(t, l, clamd.Config{Checker: stub{}, Version: "1.0/2 |x:\ny"})
	got := talk(t, dial(t, l), "nVERSION\n")
	if !strings.HasPrefix(got, "ClamAV hashmatch-1.0-2--x--y/1/") || strings.Count(got, "/") != 2 || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}
