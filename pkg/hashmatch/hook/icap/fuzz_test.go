package icap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// FuzzRequest reads any bytes as a request's headers: it is refused with a status that has words, or what was read is
// within the limits and belongs together.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(reqmodOf(closing, putHeader, "harmless")))
	f.Add([]byte("OPTIONS icap://localhost/avscan?x ICAP/1.0\r\nEncapsulated: opt-body=0\r\n\r\n"))
	f.Add([]byte("RESPMOD /scan ICAP/1.0\r\nPreview: 0\r\nEncapsulated: req-hdr=0, res-hdr=18, res-body=37\r\n\r\nGET / HTTP/1.1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
	f.Add([]byte("RESPMOD /scan ICAP/1.0\r\nTrailer: x\r\nX-Hashmatch-Item: 1\r\nEncapsulated: null-body=0\r\n\r\n"))
	f.Add([]byte("REQMOD a://b ICAP/1.0\r\nConnection: Close, x\r\nEncapsulated: req-body=0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(data), bufferSize)
		r, err := readRequest(in)
		if err != nil {
			var fault *requestError
			if !errors.As(err, &fault) || statuses[fault.status] == "" || strings.ContainsAny(fault.code, "\r\n") {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if len(r.httpRequest)+len(r.httpResponse) > maxHTTPHeaders || len(data) < len(r.httpRequest)+len(r.httpResponse) {
			t.Fatalf("%d and %d bytes of HTTP header", len(r.httpRequest), len(r.httpResponse))
		}
		if r.method == options && (r.httpRequest != nil || r.httpResponse != nil) || r.method == reqmod && r.httpResponse != nil {
			t.Fatalf("a %s request with a header that it cannot have", r.method)
		}
		s, failure := shapeOf(r)
		if failure == nil && (s.length < -1 || len(s.encodings) > 1) {
			t.Fatalf("%+v", s)
		}
	})
}

// FuzzChunks reads any bytes as a body: what is given is never longer than the limit, the end of the input is never
// taken for that of the body, and the rest is asked for once at most.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("4\r\nharm\r\n4;x=y\r\nless\r\n0\r\n\r\n"), false, false)
	f.Add([]byte("4\r\nharm\r\n0\r\n\r\n4\r\nless\r\n0\r\n"), true, false)
	f.Add([]byte("4\r\nharm\r\n0; ieof\r\n\r\n"), true, false)
	f.Add([]byte("4\r\nharm\r\n0\r\nX-Sum: 1\r\n\r\n"), false, true)
	f.Add([]byte("fffffffffffffff\r\n"), false, false)
	f.Fuzz(func(t *testing.T, data []byte, preview, trailer bool) {
		const limit = 1 << 10
		asked := 0
		c := newChunks(bufio.NewReaderSize(bytes.NewReader(data), bufferSize), &request{preview: preview, trailer: trailer}, limit,
			func() error { asked++; return nil })
		body, err := io.ReadAll(c)
		if len(body) > limit || len(body) > len(data) || asked > 1 || asked == 1 && !preview {
			t.Fatalf("%d bytes of %d, asked %d times", len(body), len(data), asked)
		}
		if err == nil && !bytes.Contains(data, []byte("0\r\n")) && !bytes.Contains(data, []byte("0;")) && !bytes.Contains(data, []byte("0 ")) && !bytes.Contains(data, []byte("0\t")) {
			t.Fatalf("a body without its end was taken for whole: %q", data)
		}
		if again := c.finish(); (again == nil) != (err == nil) {
			t.Fatalf("read: %v, finished: %v", err, again)
		}
	})
}

// scripted is a connection on which a client has sent all that it will, and reads everything.
type scripted struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *scripted) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *scripted) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *scripted) SetReadDeadline(time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(time.Time) error { return nil }

// FuzzConversation sends any bytes to a server: it neither hangs nor panics, it answers whatever is more than silence,
// every error is a block too, and a first upload that is listed is not called clean.
func FuzzConversation(f *testing.F) {
	f.Add([]byte(reqmodOf("Allow: 204\r\n", putHeader, "harmless") + reqmodOf(closing, putHeader, "listed")))
	f.Add([]byte(reqmodOf("", putHeader, "harmless")))
	f.Add([]byte(reqmodOf(closing, postHeader("Content-Type: multipart/form-data; boundary=XX"), "--XX\r\nContent-Disposition: form-data; filename=f\r\n\r\nlisted\r\n--XX--\r\n")))
	f.Add([]byte(reqmodOf(closing, postHeader("Content-Encoding: gzip"), packed(f, "listed", gzipped))))
	f.Add([]byte(reqmodOf("Preview: 8\r\n", putHeader, "harmless") + chunked("listed")))
	f.Add([]byte("OPTIONS icap://localhost/avscan ICAP/1.0\r\n\r\n\r\n"))
	surface := hooktest.Surface(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		checker := new(recorder)
		var log bytes.Buffer
		s := New(Config{
			Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
			MaxBytes: 1 << 16, MaxEcho: 1 << 16, MaxParts: 10, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err := s.Serve(nopListener{}); err == nil {
			t.Fatal("the listener failed, and Serve did not say so")
		}
		conn := &scripted{in: bytes.NewReader(data)}
		s.converse(t.Context(), conn) // in this goroutine: the fuzzer follows it
		if strings.Contains(log.String(), "panic") {
			t.Fatalf("a panic: %s", log.String())
		}
		reply := conn.out.Bytes()
		if len(bytes.Trim(data, "\r\n")) > 1 && len(reply) == 0 {
			t.Fatal("closed without a reply")
		}
		// The last answer may be an error, and then nothing was sent that could be taken for something else.
		if at := bytes.LastIndex(reply, []byte("\r\nX-Error-Code: ")); at >= 0 && !bytes.Contains(reply[at:], []byte("\r\nX-Infection-Found: ")) && !bytes.Contains(data, []byte("X-Error-Code: ")) {
			t.Fatalf("an error that is not a block: %q", reply)
		}
		if s.echoed.Load() != 0 {
			t.Fatalf("%d bytes are still accounted for", s.echoed.Load())
		}
		if uploads := checker.contents(); len(uploads) > 0 && strings.Contains(uploads[0], "listed") && bytes.HasPrefix(reply, []byte("ICAP/1.0 204")) {
			// The first message can have had no upload; then this is of the second.
			if bytes.Count(reply, []byte("ICAP/1.0 ")) == 1 {
				t.Fatalf("something listed is clean: %q", reply)
			}
		}
	})
}
