package icap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// recorder is a Checker that reads each upload to its end and allows it unless a read fails or it holds "listed".
type recorder struct {
	mu      sync.Mutex
	uploads []received
}

type received struct {
	id      string
	content string
	err     error
}

func (r *recorder) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	if err := gate.CheckID(u.ID); err != nil {
		return gate.Outcome{}, err
	}
	if u.Dialect != "icap" || !u.Surface.Declared() {
		return gate.Outcome{}, hashmatch.ErrSurfaceRefused
	}
	content, err := io.ReadAll(u.Content)
	r.mu.Lock()
	r.uploads = append(r.uploads, received{u.ID, string(content), err})
	r.mu.Unlock()
	o := gate.Outcome{Action: hashmatch.Allow, Scanned: true}
	switch {
	case err != nil:
		o.Action = hashmatch.Hold
		o.Verdict.Failures = []hashmatch.Failure{hashmatch.AsFailure(err, hashmatch.Unreadable)}
	case bytes.Contains(content, []byte("listed")):
		o.Action = hashmatch.Block
		o.Verdict.Matches = []hashmatch.Match{{List: "secret-list", Entry: "secret-entry", Action: hashmatch.Block}}
	}
	return o, nil
}

func (r *recorder) contents() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, u := range r.uploads {
		all = append(all, u.content)
	}
	return all
}

// failed returns the failures that the uploads ended with.
func (r *recorder) failed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, u := range r.uploads {
		if u.err != nil {
			all = append(all, u.err.Error())
		}
	}
	return strings.Join(all, "; ")
}

const putHeader = "PUT /picture HTTP/1.1\r\nHost: app.test\r\n\r\n"

// TestReplies holds the answers to the letter.
func TestReplies(t *testing.T) {
	addr, _ := serve(t, new(recorder), hooktest.Surface(t), nil)
	const block = "ICAP/1.0 200 OK\r\nISTag: \"T-1\"\r\nConnection: close\r\n" +
		"X-Infection-Found: Type=0; Resolution=2; Threat=Hashmatch.match;\r\nX-Virus-ID: Hashmatch.match\r\n" +
		"Encapsulated: res-hdr=0, res-body=112\r\n\r\n" +
		"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 29\r\nCache-Control: no-store\r\n\r\n" +
		"1d\r\nThe upload was not accepted.\n\r\n0\r\n\r\n"
	const unmodified = "ICAP/1.0 204 No modifications needed\r\nISTag: \"T-1\"\r\nConnection: close\r\nEncapsulated: null-body=0\r\n\r\n"
	for _, c := range []struct{ name, request, want string }{
		{"options", "OPTIONS icap://localhost/avscan ICAP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			"ICAP/1.0 200 OK\r\nMethods: RESPMOD, REQMOD\r\nService: hashmatch\r\nISTag: \"T-1\"\r\nAllow: 204\r\nTransfer-Complete: *\r\n" +
				"Max-Connections: 1024\r\nOptions-TTL: 3600\r\nConnection: close\r\nEncapsulated: null-body=0\r\n\r\n"},
		{"clean", reqmodOf(closing, putHeader, "harmless"), unmodified},
		{"match", reqmodOf(closing, putHeader, "listed"), block},
		{"no body", "REQMOD icap://localhost/reqmod ICAP/1.0\r\n" + closing + "Encapsulated: req-hdr=0, null-body=18\r\n\r\nGET / HTTP/1.1\r\n\r\n", unmodified},
		{"echo", reqmodOf("Connection: close\r\n", putHeader, "harmless"),
			"ICAP/1.0 200 OK\r\nISTag: \"T-1\"\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=41\r\n\r\n" + putHeader + "8\r\nharmless\r\n0\r\n\r\n"},
		{"echo of no body", "REQMOD /reqmod ICAP/1.0\r\nConnection: close\r\nEncapsulated: req-hdr=0, null-body=18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			"ICAP/1.0 200 OK\r\nISTag: \"T-1\"\r\nConnection: close\r\nEncapsulated: req-hdr=0, null-body=18\r\n\r\nGET / HTTP/1.1\r\n\r\n"},
		// Nextcloud: no OPTIONS, HTTP/1.0, a Transfer-Encoding of ICAP that means nothing, many small chunks.
		{"Nextcloud, request", "REQMOD icap://127.0.0.1/avscan ICAP/1.0\r\nAllow: 204\r\nTransfer-Encoding: chunked\r\nHost: 127.0.0.1\r\nUser-Agent: NC-ICAP-CLIENT/0.5.0\r\n" +
			"Connection: close\r\nEncapsulated: req-hdr=0, req-body=35\r\n\r\nPUT / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n4\r\nharm\r\n4\r\nless\r\n0\r\n\r\n", unmodified},
		{"Nextcloud, response of one byte", "RESPMOD icap://127.0.0.1/avscan ICAP/1.0\r\nAllow: 204\r\nHost: 127.0.0.1\r\nUser-Agent: NC-ICAP-CLIENT/0.5.0\r\n" +
			"Connection: close\r\nEncapsulated: req-hdr=0, res-hdr=35, res-body=73\r\n\r\nGET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n8\r\nharmless\r\n0\r\n\r\n", unmodified},
		{"Nextcloud, response, listed", "RESPMOD icap://127.0.0.1/avscan ICAP/1.0\r\nAllow: 204\r\nHost: 127.0.0.1\r\n" +
			"Connection: close\r\nEncapsulated: req-hdr=0, res-hdr=35, res-body=73\r\n\r\nGET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n6\r\nlisted\r\n0\r\n\r\n", block},
		// A client written in Go: nothing after the last "0\r\n".
		{"no CRLF at the end", strings.TrimSuffix(reqmodOf(closing, putHeader, "harmless"), "\r\n"), unmodified},
		// Another one: all in the preview, with the fields in the order of a map.
		{"preview of all", "REQMOD icap://127.0.0.1:1344/reqmod?x=1 ICAP/1.0\r\nPreview: 8\r\nConnection: close\r\nEncapsulated:  req-hdr=0, req-body=41\r\n\r\n" +
			putHeader + "8\r\nharmless\r\n0; ieof\r\n\r\n", unmodified},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := say(t, addr, c.request); got != c.want {
				t.Errorf("got\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// TestPreview asks for the rest only where it is needed.
func TestPreview(t *testing.T) {
	checker := new(recorder)
	addr, _ := serve(t, checker, hooktest.Surface(t), nil)
	header := fmt.Sprintf("REQMOD icap://localhost/reqmod ICAP/1.0\r\nPreview: 4\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s", len(putHeader), putHeader)
	for _, rest := range []string{"4\r\nless\r\n0\r\n\r\n", "4\r\nless\r\n0\r\n", "2\r\nle\r\n2\r\nss\r\n0\r\n\r\n"} {
		for _, end := range []string{"0\r\n\r\n", "0\r\n"} { // the empty line may come with the rest
			conn := dial(t, addr)
			fmt.Fprint(conn, header+"4\r\nharm\r\n"+end)
			proceed := make([]byte, len("ICAP/1.0 100 Continue\r\n\r\n"))
			if _, err := io.ReadFull(conn, proceed); err != nil || string(proceed) != "ICAP/1.0 100 Continue\r\n\r\n" {
				t.Fatalf("%q, %v", proceed, err)
			}
			if end == "0\r\n" {
				fmt.Fprint(conn, "\r\n")
			}
			fmt.Fprint(conn, rest)
			if reply, err := io.ReadAll(conn); err != nil || !clean(string(reply)) {
				t.Errorf("%q, %v", reply, err)
			}
		}
	}
	for _, content := range checker.contents() {
		if content != "harmless" {
			t.Errorf("an upload was %q", content)
		}
	}
	// A part of a file is held whatever it is: the rest is not asked for.
	partHeader := "PUT / HTTP/1.1\r\nContent-Range: bytes 0-7/100\r\n\r\n"
	reply := say(t, addr, fmt.Sprintf("REQMOD /reqmod ICAP/1.0\r\nPreview: 4\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s4\r\nharm\r\n0\r\n\r\n", len(partHeader), partHeader))
	if !blocked(reply) || strings.Contains(reply, "100 Continue") {
		t.Errorf("a part of a file: %q", reply)
	}
}

// TestKeepAlive sends several requests at once, with and without the empty line between them.
func TestKeepAlive(t *testing.T) {
	checker := new(recorder)
	addr, _ := serve(t, checker, hooktest.Surface(t), nil)
	one := func(body string) string {
		return reqmodOf("Allow: 204, trailers\r\nX-Hashmatch-Item: item-"+body+"\r\n", putHeader, body)
	}
	reply := say(t, addr, one("first")+
		strings.TrimSuffix(one("second"), "\r\n")+
		one("listed")+
		one("third")+
		"OPTIONS icap://localhost/reqmod ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\n2\r\nhi\r\n0\r\n\r\n"+
		strings.Replace(reqmodOf("Allow: 204\r\nTrailer: X-Sum\r\n", putHeader, "summed"), "0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n", 1)+
		reqmodOf(closing, putHeader, "last"))
	if n := strings.Count(reply, "ICAP/1.0 204"); n != 5 {
		t.Errorf("%d clean, want 5:\n%s", n, reply)
	}
	if n := strings.Count(reply, "ICAP/1.0 200"); n != 2 {
		t.Errorf("%d others, want a block and the options:\n%s", n, reply)
	}
	want := []string{"first", "second", "listed", "third", "summed", "last"}
	if got := checker.contents(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("uploads %q, want %q", got, want)
	}
	if checker.uploads[0].id != "item-first" || checker.uploads[5].id != "" {
		t.Errorf("item IDs %q and %q", checker.uploads[0].id, checker.uploads[5].id)
	}
}

// TestMalformed sends what is no ICAP: each is answered, as not clean, and the connection ends.
func TestMalformed(t *testing.T) {
	checker := new(recorder)
	addr, _ := serve(t, checker, hooktest.Surface(t), func(c *Config) {
		c.MaxBytes, c.HeaderTimeout, c.ReadTimeout = 1<<20, 300*time.Millisecond, 300*time.Millisecond
	})
	start := "REQMOD icap://localhost/reqmod ICAP/1.0\r\n" + closing
	withBody := start + fmt.Sprintf("Encapsulated: req-hdr=0, req-body=%d\r\n\r\n%s", len(putHeader), putHeader)
	for _, c := range []struct{ name, request, status string }{
		{"no ICAP", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"version", "REQMOD / ICAP/2.0\r\n\r\n", "505"},
		{"method", "FILEMOD /reqmod ICAP/1.0\r\n\r\n", "405"},
		{"service", "OPTIONS icap://localhost/other ICAP/1.0\r\n\r\n", "404"},
		{"header without end", start + strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 100), "400"},
		{"line without end", start + "X-Long: " + strings.Repeat("x", 100_000), "400"},
		{"only empty lines", strings.Repeat("\r\n", 100), "400"},
		{"header cut off", start, "408"},
		{"HTTP header cut off", start + "Encapsulated: req-hdr=0, req-body=100\r\n\r\nPUT", "408"},
		{"no Encapsulated", start + "\r\n", "400"},
		{"Encapsulated twice", start + "Encapsulated: null-body=0\r\nEncapsulated: null-body=0\r\n\r\n", "400"},
		{"offsets that fall", start + "Encapsulated: req-hdr=10, req-body=0\r\n\r\n", "400"},
		{"negative offset", start + "Encapsulated: req-hdr=0, req-body=-1\r\n\r\n", "400"},
		{"huge offset", start + "Encapsulated: req-hdr=0, req-body=99999999999999999999\r\n\r\n", "400"},
		{"long HTTP header", start + "Encapsulated: req-hdr=0, req-body=1000000\r\n\r\n", "413"},
		{"body of a response", start + "Encapsulated: req-hdr=0, res-body=10\r\n\r\n0123456789", "400"},
		{"two bodies", start + "Encapsulated: req-body=0, req-body=10\r\n\r\n0123456789", "400"},
		{"preview", start + "Preview: -1\r\nEncapsulated: null-body=0\r\n\r\n", "400"},
		{"field without colon", start + "nonsense\r\n\r\n", "400"},
		{"a name with a space", start + "X-Hashmatch-Item : 1\r\n\r\n", "400"},
		{"a name that is no token", start + "Preview\x0b: 1\r\n\r\n", "400"},
		{"continued line", start + " folded: 1\r\n\r\n", "400"},
		{"bare line feeds", "OPTIONS /scan ICAP/1.0\n\n", "400"},
		{"no chunk size", withBody + "\r\n", "400"},
		{"chunk size of letters", withBody + "xyz\r\n", "400"},
		{"negative chunk size", withBody + "-1\r\n", "400"},
		{"chunk size that overflows", withBody + "fffffffffffffffff\r\n", "400"},
		{"chunk without its end", withBody + "4\r\nharmless\r\n0\r\n\r\n", "400"},
		{"body cut off", withBody + "8\r\nharm", "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if reply := say(t, addr, c.request); !strings.HasPrefix(reply, "ICAP/1.0 "+c.status+" ") || !blocked(reply) {
				t.Errorf("want %s, got %q", c.status, reply)
			}
		})
	}
}

// TestTooLong sends bodies over the limit: the answer comes at once, and reaches a client that is still sending.
func TestTooLong(t *testing.T) {
	addr, _ := serve(t, new(recorder), hooktest.Surface(t), func(c *Config) { c.MaxBytes = 1 << 20 })
	withBody := "REQMOD /reqmod ICAP/1.0\r\nAllow: 204\r\n" + fmt.Sprintf("Encapsulated: req-hdr=0, req-body=%d\r\n\r\n%s", len(putHeader), putHeader)
	for _, c := range []struct{ name, body string }{
		{"a chunk of 4 GiB", "100000000\r\n"},
		{"the largest chunk", "7ffffffffffffff\r\n"},
		{"a chunk that is sent", "200000\r\n" + strings.Repeat("x", 2<<20) + "\r\n0\r\n\r\n"},
		{"many chunks", strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 1000) + "0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, addr)
			sent := make(chan struct{})
			go func() { defer close(sent); _, _ = io.WriteString(conn, withBody+c.body) }()
			reply := make([]byte, 4096)
			n, err := io.ReadAtLeast(conn, reply, 100)
			if err != nil || !blocked(string(reply[:n])) || !strings.Contains(string(reply[:n]), "403 Forbidden") {
				t.Errorf("%q, %v", reply[:n], err)
			}
			<-sent
		})
	}
}

// TestEchoBound blocks a clean body that is too long to be sent back.
func TestEchoBound(t *testing.T) {
	addr, s := serve(t, new(recorder), hooktest.Surface(t), func(c *Config) { c.MaxEcho, c.EchoMemory = 128<<10, 192<<10 })
	for _, c := range []struct {
		size int
		want bool
	}{{1, true}, {64 << 10, true}, {128 << 10, true}, {128<<10 + 1, false}, {1 << 20, false}} {
		body := strings.Repeat("x", c.size)
		reply := say(t, addr, reqmodOf("Connection: close\r\n", putHeader, body))
		if c.want && (blocked(reply) || len(reply) < c.size) || !c.want && !blocked(reply) {
			t.Errorf("%d bytes: %.200q", c.size, reply)
		}
		if reply := say(t, addr, reqmodOf(closing, putHeader, body)); !clean(reply) {
			t.Errorf("%d bytes with 204: %.200q", c.size, reply)
		}
	}
	s.echoed.Add(192 << 10) // others' messages
	if reply := say(t, addr, reqmodOf("Connection: close\r\n", putHeader, "x")); !blocked(reply) || !strings.Contains(reply, "HTTP/1.1 503 ") {
		t.Errorf("no room: %q", reply)
	}
	s.echoed.Add(-192 << 10)
	if n := s.echoed.Load(); n != 0 {
		t.Errorf("%d bytes are still accounted for", n)
	}
}

type checkerFunc func(context.Context, gate.Upload) (gate.Outcome, error)

func (f checkerFunc) Check(ctx context.Context, u gate.Upload) (gate.Outcome, error) {
	return f(ctx, u)
}

// TestCheckerFails has everything go wrong that is not the client's fault.
func TestCheckerFails(t *testing.T) {
	surface := hooktest.Surface(t)
	panics := checkerFunc(func(context.Context, gate.Upload) (gate.Outcome, error) { panic("for the test") })
	refuses := checkerFunc(func(context.Context, gate.Upload) (gate.Outcome, error) {
		return gate.Outcome{Action: hashmatch.Allow}, errors.New("for the test")
	})
	for _, c := range []struct {
		name   string
		change func(*Config)
	}{
		{"panic", func(c *Config) { c.Checker = panics }},
		{"error", func(c *Config) { c.Checker = refuses }},
		{"no checker", func(c *Config) { c.Checker = nil }},
		{"no surface", func(c *Config) { c.Surface = nil }},
		{"surface refused", func(c *Config) {
			c.Surface = func() (hashmatch.Surface, error) { return hashmatch.Surface{}, hashmatch.ErrSurfaceRefused }
		}},
		{"surface undeclared", func(c *Config) {
			c.Surface = func() (hashmatch.Surface, error) { return hashmatch.Surface{}, nil }
		}},
		{"surface panics", func(c *Config) { c.Surface = func() (hashmatch.Surface, error) { panic("for the test") } }},
		{"ISTag panics", func(c *Config) {
			called := false
			c.ISTag = func() string {
				if !called {
					called = true
					panic("for the test")
				}
				return ""
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := serve(t, new(recorder), surface, c.change)
			if reply := say(t, addr, reqmodOf(closing, putHeader, "harmless")); !blocked(reply) {
				t.Errorf("%q", reply)
			}
		})
	}
	// An item ID that cannot be one.
	addr, _ := serve(t, new(recorder), surface, nil)
	if reply := say(t, addr, reqmodOf(closing+"X-Hashmatch-Item: "+strings.Repeat("x", 300)+"\r\n", putHeader, "harmless")); !blocked(reply) {
		t.Errorf("long item ID: %q", reply)
	}
	// A Checker that allows without reading: the body is read all the same, and a broken one is no allow.
	allows := checkerFunc(func(context.Context, gate.Upload) (gate.Outcome, error) {
		return gate.Outcome{Action: hashmatch.Allow, Shadow: true}, nil
	})
	addr, _ = serve(t, allows, surface, func(c *Config) { c.MaxBytes = 100 })
	if reply := say(t, addr, reqmodOf("", putHeader, "harmless")+reqmodOf(closing, putHeader, "harmless")); !strings.Contains(reply, "\r\nharmless\r\n0\r\n\r\nICAP/1.0 204") {
		t.Errorf("shadow: %q", reply)
	}
	for _, body := range []string{"zzz\r\n", "8\r\nharm", strings.Repeat("x", 101)} {
		request := strings.TrimSuffix(reqmodOf(closing, putHeader, ""), "0\r\n\r\n") + body
		if len(body) > 100 {
			request = reqmodOf(closing, putHeader, body)
		}
		conn := dial(t, addr)
		fmt.Fprint(conn, request)
		_ = conn.(*net.TCPConn).CloseWrite()
		if reply, err := io.ReadAll(conn); err != nil || !blocked(string(reply)) {
			t.Errorf("%.20q: %q, %v", body, reply, err)
		}
	}
}

// TestSlowClients holds connections that send nothing, a little, or do not read: each costs its time and no more.
func TestSlowClients(t *testing.T) {
	addr, s := serve(t, new(recorder), hooktest.Surface(t), func(c *Config) {
		c.IdleTimeout, c.HeaderTimeout, c.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	})
	silent := dial(t, addr)
	half := dial(t, addr)
	fmt.Fprint(half, "REQMOD icap://lo")
	drip := dial(t, addr)
	fmt.Fprint(drip, strings.TrimSuffix(reqmodOf(closing, putHeader, ""), "0\r\n\r\n"))
	stop := make(chan struct{})
	dripped := make(chan struct{})
	go func() { // a byte now and then, always in time: it must not go on for ever
		defer close(dripped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if _, err := io.WriteString(drip, "1\r\nx\r\n"); err != nil {
					return
				}
			}
		}
	}()
	if reply, err := io.ReadAll(silent); err != nil || len(reply) != 0 {
		t.Errorf("silent: %q, %v", reply, err)
	}
	if reply, err := io.ReadAll(half); err != nil || !blocked(string(reply)) {
		t.Errorf("half a header: %q, %v", reply, err)
	}
	reply := make([]byte, 1000)
	if n, err := io.ReadAtLeast(drip, reply, 50); err != nil || !blocked(string(reply[:n])) {
		t.Errorf("dripping: %q, %v", reply[:n], err)
	}
	close(stop)
	<-dripped
	drip.Close()
	until := time.Now().Add(5 * time.Second)
	for s.Connections() > 0 {
		if time.Now().After(until) {
			t.Fatalf("%d connections are left", s.Connections())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestShutdown finishes the request that was begun, closes the connections that wait, and begins none.
func TestShutdown(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	slow := checkerFunc(func(ctx context.Context, u gate.Upload) (gate.Outcome, error) {
		close(started)
		<-goOn
		if ctx.Err() != nil {
			return gate.Outcome{}, ctx.Err()
		}
		_, err := io.Copy(io.Discard, u.Content)
		return gate.Outcome{Action: hashmatch.Allow, Scanned: true}, err
	})
	addr, s := serve(t, slow, hooktest.Surface(t), nil)
	waiting, busy := dial(t, addr), dial(t, addr)
	one := reqmodOf("Allow: 204\r\n", putHeader, "harmless")
	fmt.Fprint(busy, one+one)
	<-started
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	if reply, err := io.ReadAll(waiting); err != nil || len(reply) != 0 {
		t.Errorf("waiting: %q, %v", reply, err)
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("a connection was accepted")
	}
	close(goOn)
	reply := make([]byte, 1000)
	n, _ := io.ReadAtLeast(busy, reply, 50)
	if !clean(string(reply[:n])) || strings.Count(string(reply[:n]), "ICAP/1.0") != 1 {
		t.Errorf("busy: %q", reply[:n])
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Serve(nopListener{}); !errors.Is(err, hook.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

type nopListener struct{}

func (nopListener) Accept() (net.Conn, error) { return nil, errors.New("not to be called") }
func (nopListener) Close() error              { return nil }
func (nopListener) Addr() net.Addr            { return nil }

// TestTag keeps the ISTag within what RFC 3507 allows, and different where the text is.
func TestTag(t *testing.T) {
	for text, want := range map[string]string{
		"T-1":                   "T-1",
		"":                      "e3b0c44298fc1c149afbf4c8996fb924",
		"quo\"te":               "",
		"line\r\nfeed":          "",
		strings.Repeat("x", 33): "",
	} {
		s := New(Config{ISTag: func() string { return text }})
		got := s.tag()
		if want != "" && got != want || len(got) > 32 || strings.ContainsAny(got, "\"\r\n") || want == "" && got == New(Config{ISTag: func() string { return text + "2" }}).tag() {
			t.Errorf("%q: %q", text, got)
		}
	}
}
