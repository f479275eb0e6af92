package icap

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

func postHeader(fields ...string) string {
	return strings.Join(append([]string{"POST /upload HTTP/1.1", "Host: app.test"}, fields...), "\r\n") + "\r\n\r\n"
}

// TestForms says which parts of a form are uploads, and which forms cannot be told apart.
func TestForms(t *testing.T) {
	const kind = "Content-Type: multipart/form-data; boundary=XX"
	field := func(disposition, content string) string {
		return "--XX\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
	}
	for _, c := range []struct {
		name, kind, body string
		uploads          []string
		failure          string // in the failures of the uploads; "" if there must be none
	}{
		{name: "one file", kind: kind, body: field(`name="f"; filename="a.jpg"`, "harmless") + "--XX--\r\n", uploads: []string{"harmless"}},
		{name: "no CRLF at the end", kind: kind, body: field(`name="f"; filename="a.jpg"`, "harmless") + "--XX--", uploads: []string{"harmless"}},
		{name: "two files and a text", kind: kind, body: field(`name="title"`, "a title: größer") + field(`name=f; filename=a`, "one") + field(`name=f; filename=b`, "two\r\n--X") + "--XX--\r\n",
			uploads: []string{"one", "two\r\n--X"}},
		{name: "second is listed", kind: kind, body: field(`name=f; filename=a`, "one") + field(`name=f; filename=b`, "listed") + "--XX--\r\n", uploads: []string{"one", "listed"}},
		{name: "file input left empty", kind: kind, body: field(`name="f"; filename=""`, "") + "--XX--\r\n"},
		{name: "empty file with a name", kind: kind, body: field(`name="f"; filename="a"`, "") + "--XX--\r\n", uploads: []string{""}},
		{name: "file without a name", kind: kind, body: field(`name="f"; filename=""`, "harmless") + "--XX--\r\n", uploads: []string{"harmless"}},
		{name: "name in filename*", kind: kind, body: field(`name="f"; filename*=UTF-8''a.jpg`, "harmless") + "--XX--\r\n", uploads: []string{"harmless"}},
		{name: "field called filename", kind: kind, body: field(`name="filename"`, "a.jpg") + "--XX--\r\n"},
		{name: "field that is no text", kind: kind, body: field(`name="f"`, "\xff\xd8\xff\xe0") + "--XX--\r\n", uploads: []string{"\xff\xd8\xff\xe0"}},
		{name: "field with a control character", kind: kind, body: field(`name="f"`, "GIF89a\x00") + "--XX--\r\n", uploads: []string{"GIF89a\x00"}},
		{name: "longest text", kind: kind, body: field(`name="f"`, strings.Repeat("x", hook.MaxFormValue)) + "--XX--\r\n"},
		{name: "field that is too long", kind: kind, body: field(`name="f"`, strings.Repeat("x", hook.MaxFormValue+1)) + "--XX--\r\n", uploads: []string{strings.Repeat("x", hook.MaxFormValue+1)}},
		{name: "disposition that cannot be read", kind: kind, body: field(`name="a\"; filename="b"`, "text") + "--XX--\r\n", uploads: []string{""}, failure: "disposition"},
		{name: "no disposition", kind: kind, body: "--XX\r\n\r\ntext\r\n--XX--\r\n", uploads: []string{"text"}},
		{name: "attachment", kind: kind, body: "--XX\r\nContent-Disposition: attachment\r\n\r\ntext\r\n--XX--\r\n", uploads: []string{"text"}},
		{name: "no parts", kind: kind, body: "--XX--\r\n"},
		{name: "in capitals", kind: "CONTENT-TYPE: Multipart/Form-Data; Boundary=\"XX\"; charset=utf-8", body: field(`name=f; filename=a`, "harmless") + "--XX--\r\n", uploads: []string{"harmless"}},
		{name: "no form", kind: "Content-Type: image/jpeg", body: "--XX\r\n", uploads: []string{"--XX\r\n"}},
		{name: "fields in the URL's way", kind: "Content-Type: application/x-www-form-urlencoded", body: "a=b", uploads: []string{"a=b"}},
		{name: "empty Content-Type", kind: "Content-Type:", body: "harmless", uploads: []string{"harmless"}},

		{name: "CRLF before", kind: kind, body: "\r\n--XX--\r\n"},
		{name: "two CRLF before", kind: kind, body: "\r\n\r\n--XX--\r\n", uploads: []string{""}, failure: "does not begin"},
		{name: "text before", kind: kind, body: "before\r\n--XX--\r\n", uploads: []string{""}, failure: "does not begin"},
		{name: "text after", kind: kind, body: "--XX--\r\nlisted", uploads: []string{""}, failure: "follows its end"},
		{name: "empty body", kind: kind, body: "", uploads: []string{""}, failure: "does not begin"},
		{name: "no end", kind: kind, body: field(`name=f; filename=a`, "harmless"), uploads: []string{"", ""}, failure: "ends within a part"},
		{name: "cut in a header", kind: kind, body: "--XX\r\nContent-Disp", uploads: []string{""}, failure: "ends within its headers"},
		{name: "boundary after a line feed", kind: kind, body: "--XX\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nharmless\n--XX\nContent-Disposition: form-data; name=f; filename=b\n\nlisted\r\n--XX--\r\n",
			uploads: []string{"", ""}, failure: "within a line"},
		{name: "boundary in a line", kind: kind, body: field(`name=f; filename=a`, "x--XXx") + "--XX--\r\n", uploads: []string{"", ""}, failure: "within a line"},
		{name: "boundary that goes on", kind: kind, body: field(`name=f; filename=a`, "one") + "--XXX\r\nlisted\r\n--XX--\r\n", uploads: []string{"", ""}, failure: "follows a boundary"},
		{name: "spaces after the boundary", kind: kind, body: "--XX \r\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "follows a boundary"},
		{name: "header with bare line feeds", kind: kind, body: "--XX\nContent-Disposition: form-data\n\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "follows a boundary"},
		{name: "field with a bare line feed", kind: kind, body: "--XX\r\nContent-Disposition: form-data\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "a header that cannot be read"},
		{name: "continued field", kind: kind, body: "--XX\r\nContent-Disposition: form-data;\r\n filename=a\r\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "a header that cannot be read"},
		{name: "long header", kind: kind, body: "--XX\r\n" + "X: " + strings.Repeat("x", 5000) + "\r\nY: " + strings.Repeat("x", 5000) + "\r\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "headers of over"},
		{name: "endless line in a header", kind: kind, body: "--XX\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "headers of over"},
		{name: "disposition twice", kind: kind, body: "--XX\r\nContent-Disposition: form-data; name=f\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nlisted\r\n--XX--\r\n", uploads: []string{""}, failure: "comes twice"},
		{name: "base64", kind: kind, body: "--XX\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n--XX--\r\n", uploads: []string{""}, failure: "transfer encoding"},
		{name: "gzip in a part", kind: kind, body: "--XX\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\r\n--XX--\r\n", uploads: []string{""}, failure: "content encoding"},
		{name: "parts in a part", kind: kind, body: "--XX\r\nContent-Type: multipart/mixed; boundary=YY\r\n\r\n--YY\r\n\r\nlisted\r\n--YY--\r\n--XX--\r\n", uploads: []string{""}, failure: "parts within"},
		{name: "mixed", kind: "Content-Type: multipart/mixed; boundary=XX", body: "--XX--\r\n", uploads: []string{""}, failure: "no form"},
		{name: "no boundary", kind: "Content-Type: multipart/form-data", body: "--XX--\r\n", uploads: []string{""}, failure: "boundary"},
		{name: "two boundaries", kind: "Content-Type: multipart/form-data; boundary=XX; boundary=YY", body: "--XX--\r\n", uploads: []string{""}, failure: "content type cannot be read"},
		{name: "a second boundary in disguise", kind: "Content-Type: multipart/form-data; xboundary=YY; boundary=XX", body: "--XX--\r\n", uploads: []string{""}, failure: "ambiguous boundary"},
		{name: "boundary in pieces", kind: "Content-Type: multipart/form-data; boundary*0=X; boundary*1=X", body: "--XX--\r\n", uploads: []string{""}, failure: "ambiguous boundary"},
		{name: "boundary with a comma", kind: `Content-Type: multipart/form-data; boundary="XX,YY"`, body: "--XX,YY--\r\n", uploads: []string{""}, failure: "boundary is none"},
		{name: "boundary with an escape", kind: `Content-Type: multipart/form-data; boundary="X\X"`, body: "--XX--\r\n", uploads: []string{""}, failure: "boundary is none"},
		{name: "another parameter", kind: "Content-Type: multipart/form-data; x=y; boundary=XX", body: "--XX--\r\n", uploads: []string{""}, failure: "unknown parameter"},
		{name: "Content-Type twice", kind: "Content-Type: image/png\r\n" + kind, body: "--XX--\r\n", uploads: []string{""}, failure: "several content types"},
		{name: "a form after a comma", kind: "Content-Type: image/png, multipart/form-data; boundary=XX", body: "--XX--\r\n", uploads: []string{""}, failure: "content type cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := new(recorder)
			addr, _ := serve(t, checker, hooktest.Surface(t), nil)
			reply := say(t, addr, reqmodOf(closing, postHeader(c.kind), c.body))
			var want []string
			for _, u := range c.uploads {
				want = append(want, fmt.Sprintf("%.60q", u))
			}
			var got []string
			for _, u := range checker.uploads {
				if u.err != nil {
					u.content = "" // what came before the failure
				}
				got = append(got, fmt.Sprintf("%.60q", u.content))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("uploads %v, want %v", got, want)
			}
			failed := checker.failed()
			if c.failure == "" && failed != "" || !strings.Contains(failed, c.failure) {
				t.Errorf("failures %q, want %q", failed, c.failure)
			}
			pass := c.failure == "" && !strings.Contains(c.body, "listed")
			if clean(reply) != pass || blocked(reply) == pass {
				t.Errorf("want it to pass: %v; got %q", pass, reply)
			}
		})
	}
}

// TestManyParts bounds the parts.
func TestManyParts(t *testing.T) {
	checker := new(recorder)
	addr, _ := serve(t, checker, hooktest.Surface(t), nil)
	for parts, pass := range map[int]bool{DefaultMaxParts: true, DefaultMaxParts + 1: false, 10_000: false} {
		var body strings.Builder
		for range parts {
			body.WriteString("--XX\r\nContent-Disposition: form-data; name=n\r\n\r\nv\r\n")
		}
		reply := say(t, addr, reqmodOf(closing, postHeader("Content-Type: multipart/form-data; boundary=XX"), body.String()+"--XX--\r\n"))
		if clean(reply) != pass || blocked(reply) == pass {
			t.Errorf("%d parts: %q", parts, reply)
		}
	}
	if failed := checker.failed(); !strings.Contains(failed, "more parts than the limit") {
		t.Errorf("failures: %q", failed)
	}
}

// TestItems gives each upload of a form an ID of its own.
func TestItems(t *testing.T) {
	checker := new(recorder)
	addr, _ := serve(t, checker, hooktest.Surface(t), nil)
	part := "--XX\r\nContent-Disposition: form-data; name=n; filename=f\r\n\r\nv\r\n"
	say(t, addr, reqmodOf(closing+"X-Hashmatch-Item: it\r\n", postHeader("Content-Type: multipart/form-data; boundary=XX"), part+part+part+"--XX--\r\n"))
	if len(checker.uploads) != 3 || checker.uploads[0].id != "it" || checker.uploads[1].id != "it.2" || checker.uploads[2].id != "it.3" {
		t.Errorf("%+v", checker.uploads)
	}
}

func packed(t testing.TB, content string, open func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := open(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func zlibbed(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
func deflated(w io.Writer) io.WriteCloser {
	f, _ := flate.NewWriter(w, flate.HuffmanOnly) // a valid level, and a quick one
	return f
}

// TestContent says what of HTTP is undone, and what is held.
func TestContent(t *testing.T) {
	harmless := packed(t, "harmless", gzipped)
	var long strings.Builder
	for i := range 220_000 {
		fmt.Fprintf(&long, "%d,", i*i)
	}
	bomb := packed(t, strings.Repeat("\x00", 3<<20), gzipped)
	for _, c := range []struct {
		name    string
		fields  []string
		body    string
		want    string // the upload; "" if there is a failure
		failure string
	}{
		{"plain", nil, "harmless", "harmless", ""},
		{"identity", []string{"Content-Encoding: identity"}, "harmless", "harmless", ""},
		{"gzip", []string{"Content-Encoding: gzip"}, harmless, "harmless", ""},
		{"x-gzip in capitals", []string{"content-encoding: X-GZIP"}, harmless, "harmless", ""},
		{"gzip in two members", []string{"Content-Encoding: gzip"}, packed(t, "harm", gzipped) + packed(t, "less", gzipped), "harmless", ""},
		{"deflate", []string{"Content-Encoding: deflate"}, packed(t, "harmless", zlibbed), "harmless", ""},
		{"deflate without zlib", []string{"Content-Encoding: deflate"}, packed(t, "harmless", deflated), "harmless", ""},
		{"length", []string{"Content-Length: 8"}, "harmless", "harmless", ""},
		{"length twice", []string{"Content-Length: 8", "Content-Length: 8"}, "harmless", "harmless", ""},
		{"shorter length", []string{"Content-Length: 1"}, "harmless", "harmless", ""},
		{"chunked", []string{"Transfer-Encoding: chunked"}, "harmless", "harmless", ""},

		{"brotli", []string{"Content-Encoding: br"}, "harmless", "", "unknown content encoding"},
		{"zstd", []string{"Content-Encoding: zstd"}, "harmless", "", "unknown content encoding"},
		{"twice", []string{"Content-Encoding: gzip, gzip"}, harmless, "", "more than one"},
		{"in two fields", []string{"Content-Encoding: gzip", "Content-Encoding: br"}, harmless, "", "unknown content encoding"},
		{"not gzip", []string{"Content-Encoding: gzip"}, "harmless", "", "damaged"},
		{"empty gzip", []string{"Content-Encoding: gzip"}, "", "", "damaged"},
		{"gzip cut off", []string{"Content-Encoding: gzip"}, harmless[:len(harmless)-4], "", "damaged"},
		{"something after gzip", []string{"Content-Encoding: gzip"}, harmless + "listed", "", "damaged"},
		{"something after zlib", []string{"Content-Encoding: deflate"}, packed(t, "harmless", zlibbed) + "listed", "", "follows"},
		{"something after deflate", []string{"Content-Encoding: deflate"}, packed(t, "harmless", deflated) + "listed", "", "follows"},
		{"bomb", []string{"Content-Encoding: gzip"}, bomb, "", "too many times"},
		{"long", []string{"Content-Encoding: deflate"}, packed(t, long.String(), deflated), "", "over the limit"},
		{"longer length", []string{"Content-Length: 9"}, "harmless", "", "shorter than its Content-Length"},
		{"two lengths", []string{"Content-Length: 8", "Content-Length: 9"}, "harmless", "", "malformed Content-Length"},
		{"no number", []string{"Content-Length: +8"}, "harmless", "", "malformed Content-Length"},
		{"huge length", []string{"Content-Length: 99999999999999999999"}, "harmless", "", "malformed Content-Length"},
		{"gzip as transfer encoding", []string{"Transfer-Encoding: gzip, chunked"}, harmless, "", "transfer encoding"},
		{"range", []string{"Content-Range: bytes 0-7/8"}, "harmless", "", "a part of a file"},
		{"resumed", []string{"Upload-Offset: 0"}, "harmless", "", "a part of a file"},
		{"chunk of ownCloud", []string{"OC-Chunked: 1"}, "harmless", "", "a part of a file"},
		{"no field", []string{"nonsense"}, "harmless", "", "malformed HTTP header"},
		{"two headers in one", []string{"A: b\r\n\r\nC: d"}, "harmless", "", "malformed HTTP header"},
		{"a space before the colon of a range", []string{"Content-Range : bytes 0-7/20"}, "harmless", "", "malformed HTTP header"},
		{"of an offset", []string{"Upload-Offset : 5"}, "harmless", "", "malformed HTTP header"},
		{"of a length", []string{"Content-Length : 20"}, "harmless", "", "malformed HTTP header"},
		{"of a type", []string{"Content-Type : multipart/form-data; boundary=XX"}, "harmless", "", "malformed HTTP header"},
		{"of an encoding", []string{"Content-Encoding : gzip"}, harmless, "", "malformed HTTP header"},
		{"a tab before the colon", []string{"Content-Encoding\t: gzip"}, harmless, "", "malformed HTTP header"},
		{"a name of other bytes", []string{"Content-Encoding\x0b: gzip"}, harmless, "", "malformed HTTP header"},
		{"no name", []string{": gzip"}, harmless, "", "malformed HTTP header"},
		{"a continued line", []string{"X: y", " Content-Encoding: gzip"}, harmless, "", "malformed HTTP header"},
		{"two headers in one, with line feeds", []string{"A: b\n\nlisted"}, "harmless", "", "malformed HTTP header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := new(recorder)
			addr, _ := serve(t, checker, hooktest.Surface(t), func(config *Config) { config.MaxBytes = 2 << 20 })
			reply := say(t, addr, reqmodOf(closing, postHeader(c.fields...), c.body))
			if len(checker.uploads) != 1 {
				t.Fatalf("%d uploads", len(checker.uploads))
			}
			failed := checker.failed()
			if c.failure == "" && (failed != "" || checker.uploads[0].content != c.want || !clean(reply)) {
				t.Errorf("upload %q, %s; got %q", checker.uploads[0].content, failed, reply)
			}
			if c.failure != "" && (!strings.Contains(failed, c.failure) || !blocked(reply)) {
				t.Errorf("failure %q, want %q; got %q", failed, c.failure, reply)
			}
		})
	}
}

// TestBodyMissing holds messages whose body was announced and is not there.
func TestBodyMissing(t *testing.T) {
	addr, _ := serve(t, new(recorder), hooktest.Surface(t), nil)
	for _, c := range []struct {
		request, response string
		pass              bool
	}{
		{"GET / HTTP/1.1\r\n\r\n", "", true},
		{"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "", true},
		{"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\n", "", false},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "", false},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", false},
		{"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", true},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n", true},
		{"", "HTTP/1.1 200 OK\r\n\r\n", true},
	} {
		method, encapsulated := "REQMOD", fmt.Sprintf("req-hdr=0, null-body=%d", len(c.request))
		switch {
		case c.response != "" && c.request != "":
			method, encapsulated = "RESPMOD", fmt.Sprintf("req-hdr=0, res-hdr=%d, null-body=%d", len(c.request), len(c.request+c.response))
		case c.response != "":
			method, encapsulated = "RESPMOD", fmt.Sprintf("res-hdr=0, null-body=%d", len(c.response))
		}
		reply := say(t, addr, method+" /scan ICAP/1.0\r\n"+closing+"Encapsulated: "+encapsulated+"\r\n\r\n"+c.request+c.response)
		if clean(reply) != c.pass || blocked(reply) == c.pass {
			t.Errorf("%q %q: %q", c.request, c.response, reply)
		}
	}
	for _, status := range []string{"206 Partial Content", "200 OK\r\nContent-Range: bytes 0-7/20", "200 OK\r\nContent-Range : bytes 0-7/20"} {
		header := "HTTP/1.1 " + status + "\r\n\r\n"
		reply := say(t, addr, fmt.Sprintf("RESPMOD /scan ICAP/1.0\r\n"+closing+"Encapsulated: res-hdr=0, res-body=%d\r\n\r\n%s%s", len(header), header, chunked("harmless")))
		if !blocked(reply) {
			t.Errorf("%s: %q", status, reply)
		}
	}
}
