package hooktest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Words is a Checker that allows every upload that comes to its end and has not the word "listed" in it: the surface that
// lets pass what is no image, on which nothing stops a picture that is not found in a body.
type Words struct{}

// Check implements hook.Checker.
func (Words) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	content, err := io.ReadAll(u.Content)
	o := gate.Outcome{Scanned: true}
	switch {
	case err != nil:
		o.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.Unreadable}}
	case bytes.Contains(content, []byte("listed")):
		o.Action, o.Verdict.Matches = hashmatch.Block, []hashmatch.Match{{Action: hashmatch.Block}}
	default:
		o.Action = hashmatch.Allow
	}
	return o, nil
}

// Form is a request with a form, or what can be taken for one. Those that are not to pass have the word "listed" in them,
// as it stands or in an encoding, where some program reads it as an upload.
type Form struct {
	Name   string
	Fields []string // of the header: "Content-Type: image/png"
	Body   string
	Pass   bool
}

// Forms returns the forms that every dialect which takes them must read alike. The boundary is BB.
func Forms() []Form {
	const (
		kind = "Content-Type: multipart/form-data; boundary=BB"
		file = "--BB\r\nContent-Disposition: form-data; name=f; filename=a.png\r\n"
		good = file + "\r\nclean\r\n"
		evil = file + "\r\nlisted\r\n"
		end  = "--BB--\r\n"
	)
	headed := func(headers string) string { return "--BB\r\n" + headers + "\r\n\r\nlisted\r\n" + end }
	named := func(parameters string) string {
		return headed("Content-Disposition: form-data; name=f" + parameters)
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = io.WriteString(zip, "listed") // into memory
	_ = zip.Close()
	forms := []Form{
		{"one file", []string{kind}, good + end, true},
		{"two files", []string{kind}, good + good + end, true},
		{"no line end after the last boundary", []string{kind}, good + "--BB--", true},
		{"a line end before the first boundary", []string{kind}, "\r\n" + good + end, true},
		{"a name in UTF-8", []string{kind}, strings.Replace(good, "filename=a.png", "filename*=UTF-8''%C3%A4.png", 1) + end, true},
		{"both names", []string{kind}, strings.Replace(good, "filename=a.png", `filename="a.png"; filename*=utf-8''%C3%A4.png`, 1) + end, true},
		{"a path", []string{kind}, strings.Replace(good, "filename=a.png", `filename="C:\dir\a.png"`, 1) + end, true},
		{"a quote", []string{kind}, strings.Replace(good, "filename=a.png", `filename="a\"b.png"`, 1) + end, true},
		{"the headers of a browser", []string{`Content-Type: multipart/form-data; boundary="BB"`},
			strings.ReplaceAll(good, "filename=a.png", "filename=\"a.png\"\r\nContent-Type: image/png") + end, true},

		{"listed", []string{kind}, evil + end, false},
		{"listed, second", []string{kind}, good + evil + end, false},
		{"a part before the first boundary", []string{kind}, "--CC\r\n\r\nlisted\r\n" + good + end, false},
		{"the upload before the first boundary", []string{kind}, "listed\r\n" + good + end, false},
		{"a part after the end", []string{kind}, good + end + evil + end, false},
		{"the upload after the end", []string{kind}, good + end + "listed", false},
		{"two content types", []string{"Content-Type: multipart/form-data; boundary=BB", "Content-Type: multipart/form-data; boundary=CC"},
			good + "--BB--\r\n--CC\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nlisted\r\n--CC--\r\n", false},
		{"two content types, other way round", []string{"Content-Type: multipart/form-data; boundary=CC", "Content-Type: multipart/form-data; boundary=BB"},
			"--CC\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nlisted\r\n--CC--\r\n" + good + end, false},
		{"two boundaries", []string{kind + "; boundary=CC"}, good + end + "--CC\r\n\r\nlisted\r\n--CC--\r\n", false},
		{"cut in the last header, the end as content", []string{kind}, file + "\r\nx\r\n--BB-- \r\n" + file + "listed", false},
		{"cut in the last header, the end in a header", []string{kind}, good + "--BB\r\nX: --BB--\r\nContent-Disposition: form-data; filename=listed", false},
		{"cut in the last part", []string{kind}, good + file + "\r\nlisted", false},
		{"boundary after a line feed", []string{kind}, file + "\r\nclean\n" + strings.ReplaceAll(evil, "\r\n", "\n") + end, false},

		{"encoding twice", []string{kind}, file + "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"encoding with a space", []string{kind}, file + "Content-Transfer-Encoding : base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"base64", []string{kind}, file + "Content-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"gzip in a part", []string{kind}, file + "Content-Encoding: gzip\r\n\r\n" + packed.String() + "\r\n" + end, false},
		{"a piece in a part", []string{kind}, file + "Content-Range: bytes 0-5/9\r\n\r\nbGlzd\r\n" + end, false},
		{"parts in a part", []string{kind}, file + "Content-Type: multipart/mixed; boundary=CC\r\n\r\n--CC\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n--CC--\r\n" + end, false},
		{"parts in a part, with a tab", []string{kind}, file + "Content-Type: multipart\t/mixed; boundary=CC\r\n\r\n--CC\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n--CC--\r\n" + end, false},
		{"a message in a part", []string{kind}, file + "Content-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"a message in a part, in capitals", []string{kind}, file + "Content-Type: Message/RFC822\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},

		{"a name in Latin-1", []string{kind}, named("; filename*=ISO-8859-1''notes.txt"), false},
		{"a name that cannot be decoded", []string{kind}, named("; filename*=UTF-8''%zz"), false},
		{"a name that is no UTF-8", []string{kind}, named("; filename*=UTF-8''%ff"), false},
		{"a name of another charset", []string{kind}, named("; filename*=koi8-r''%ff"), false},
		{"a name without its charset", []string{kind}, named("; filename*=notes.txt"), false},
		{"the second piece of a name", []string{kind}, named("; filename*1=notes.txt"), false},
		{"the pieces of a name", []string{kind}, named("; filename*0=no; filename*1=tes"), false},
		{"an encoded piece of a name", []string{kind}, named("; FileName*0*=UTF-8''notes"), false},
		{"a name with a space", []string{kind}, named("; filename =notes.txt"), false},
		{"a name without a value", []string{kind}, named("; filename"), false},
		{"a name in capitals", []string{kind}, named("; FILENAME=notes.txt"), false},
		{"a name behind an escaped quote", []string{kind}, headed(`Content-Disposition: form-data; name="a\"; filename=\"b"`), false},
		{"a name within a name", []string{kind}, headed(`Content-Disposition: form-data; name="a; filename=b"`), false},
		{"a name in the content type", []string{kind}, headed("Content-Disposition: form-data; name=f\r\nContent-Type: text/plain; name=a.svg"), false},
		{"a drawing without a name", []string{kind}, headed("Content-Disposition: form-data; name=f\r\nContent-Type: image/svg+xml"), false},
		{"an attachment", []string{kind}, headed("Content-Disposition: attachment"), false},
		{"no disposition", []string{kind}, headed("X: y"), false},
		{"a folded disposition", []string{kind}, headed("Content-Disposition: form-data; name=f;\r\n filename=a"), false},
		{"two dispositions", []string{kind}, headed("Content-Disposition: form-data; name=f\r\nContent-Disposition: form-data; filename=a"), false},

		{"compressed", []string{kind, "Content-Encoding: br"}, good + end + "listed", false},
		{"a piece", []string{kind, "Content-Range: bytes 0-5/9"}, evil + end, false},
		{"a message", []string{"Content-Type: message/rfc822"}, "Content-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n", false},
		{"a message of parts", []string{"Content-Type: multipart/related; boundary=BB"}, file + "Content-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"a form after a tab", []string{"Content-Type: multipart\t/form-data; boundary=BB"}, file + "Content-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"a form after a comma", []string{"Content-Type: text/plain, multipart/form-data; boundary=BB"}, file + "Content-Transfer-Encoding: base64\r\n\r\nbGlzdGVk\r\n" + end, false},
		{"a piece of tus", []string{"Content-Type: image/png", "Upload-Offset: 5"}, "clean", false},
		{"a piece of a picture", []string{"Content-Type: image/png", "Content-Range: bytes 0-5/9"}, "clean", false},
	}
	return forms
}

// RunForms sends every form through a dialect: send returns whether its client was told that all is clean.
func RunForms(t *testing.T, send func(t *testing.T, f Form) bool) {
	t.Helper()
	passed := 0
	for _, f := range Forms() {
		t.Run(f.Name, func(t *testing.T) {
			if got := send(t, f); got != f.Pass {
				t.Errorf("passed %v, want %v", got, f.Pass)
			}
			if f.Pass {
				passed++
			}
		})
	}
	if passed < 5 {
		t.Errorf("only %d forms were to pass: the suite shows nothing", passed)
	}
}

// Post sends a request to a server of HTTP, to the letter, and returns its status and body.
func Post(t *testing.T, address, path string, f Form) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n\r\n%s",
		path, len(f.Body), strings.Join(f.Fields, "\r\n"), f.Body)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
