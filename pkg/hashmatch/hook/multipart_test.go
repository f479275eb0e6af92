package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// seen is one part as a parser saw it.
type seen struct {
	name, filename, contentType string
	content                     string
}

func readParts(body io.Reader, boundary string, max int) ([]seen, error) {
	p := NewParts(body, boundary, max)
	var list []seen
	for {
		one, err := p.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		value, upload, err := one.Open()
		if err != nil {
			return list, err
		}
		if upload != nil {
			if value, err = io.ReadAll(upload); err != nil {
				return list, p.err
			}
		}
		if err := p.finish(); err != nil {
			return list, err
		}
		if p.offset() < one.end || one.end-one.start != int64(len(value)) {
			return list, fmt.Errorf("part %d: from %d to %d, and %d bytes", one.number, one.start, one.end, len(value))
		}
		list = append(list, seen{one.name, one.filename, one.contentType, string(value)})
	}
}

// readByGo reads the same body with the standard library's parser.
func readByGo(body []byte, boundary string) ([]seen, error) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	var list []seen
	for {
		one, err := r.NextRawPart()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		content, err := io.ReadAll(one)
		if err != nil {
			return list, err
		}
		// FileName takes the last element of a path; what stands in the header is wanted here.
		list = append(list, seen{one.FormName(), one.FileName(), one.Header.Get("Content-Type"), string(content)})
	}
}

func written(t testing.TB, parts ...seen) (body []byte, boundary string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		line := fmt.Sprintf("form-data; name=%q", p.name)
		if p.filename != "" {
			line += fmt.Sprintf("; filename=%q", p.filename)
		}
		h.Set("Content-Disposition", line)
		if p.contentType != "" {
			h.Set("Content-Type", p.contentType)
		}
		to, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(to, p.content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w.Boundary()
}

func TestPartsAreRead(t *testing.T) {
	long := strings.Repeat("\r\n--x\r\r\n-", 50_000)
	want := []seen{
		{"title", "", "", "a title, wörds\r\nand lines"},
		{"file", "a.jpg", "image/jpeg", "\xff\xd8\xff" + long},
		{"empty", "", "text/plain", ""},
		{"more", `b "c"`, "", "\r\n\r\n"},
	}
	body, boundary := written(t, want...)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader, "one byte": iotest.OneByteReader, "data and error": iotest.DataErrReader,
	} {
		got, err := readParts(wrap(bytes.NewReader(body)), boundary, 4)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d parts, %v", name, len(got), err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: part %d: %.80q, want %.80q", name, i+1, got[i], want[i])
			}
		}
	}
	if _, err := readParts(bytes.NewReader(body), boundary, 3); !errors.Is(err, ErrTooManyParts) {
		t.Errorf("four parts of three: %v", err)
	}
	if _, err := readParts(bytes.NewReader(append([]byte("\r\n"), body...)), boundary, 4); err != nil {
		t.Errorf("with a line end before it: %v", err)
	}
	for _, at := range []int{0, 1, 20, len(body) / 2, len(body) - 5} {
		if _, err := readParts(bytes.NewReader(body[:at]), boundary, 4); err == nil {
			t.Errorf("the first %d bytes of %d are taken for all", at, len(body))
		}
		if _, err := readParts(io.MultiReader(bytes.NewReader(body[:at]), iotest.ErrReader(errors.New("cut"))), boundary, 4); err == nil {
			t.Errorf("an error after %d bytes is not told", at)
		}
	}
}

// Every body here is read in different ways by different programs.
func TestTricksAreRefused(t *testing.T) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
	for name, body := range map[string]string{
		"preamble":                    "text\r\n" + head + "\r\nx\r\n--b--\r\n",
		"preamble of a part":          "--c\r\n\r\nx\r\n" + head + "\r\nx\r\n--b--\r\n",
		"epilogue":                    head + "\r\nx\r\n--b--\r\nmore",
		"a part after the end":        head + "\r\nx\r\n--b--\r\n" + head + "\r\nevil\r\n--b--\r\n",
		"line ends of LF":             strings.ReplaceAll(head+"\r\nx\r\n--b--\r\n", "\r\n", "\n"),
		"a boundary after LF":         head + "\r\nx\n--b\r\n\r\nevil\r\n--b--\r\n",
		"a boundary after CR":         head + "\r\nx\r--b\r\n\r\nevil\r\n--b--\r\n",
		"a boundary in a line":        head + "\r\nx--b\r\n\r\nevil\r\n--b--\r\n",
		"a longer boundary":           head + "\r\nx\r\n--bc\r\n\r\nevil\r\n--b--\r\n",
		"a padded boundary":           head + "\r\nx\r\n--b \r\n\r\nevil\r\n--b--\r\n",
		"an empty body without CRLF":  head + "\r\n--b--\r\n",
		"no end":                      head + "\r\nx",
		"ended by one dash":           head + "\r\nx\r\n--b-\r\n",
		"folded header":               head + " ; filename=\"y\"\r\n\r\nx\r\n--b--\r\n",
		"header twice":                head + "Content-Disposition: form-data; name=\"g\"\r\n\r\nx\r\n--b--\r\n",
		"file name twice":             "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"; filename=\"y\"\r\n\r\nx\r\n--b--\r\n",
		"space before the colon":      "--b\r\nContent-Disposition : form-data; name=\"f\"\r\n\r\nx\r\n--b--\r\n",
		"header without a colon":      head + "junk\r\n\r\nx\r\n--b--\r\n",
		"NUL in a header":             head + "X: \x00\r\n\r\nx\r\n--b--\r\n",
		"CR in a header":              head + "X: a\rb\r\n\r\nx\r\n--b--\r\n",
		"header that ends in LF":      head + "X: a\n\r\nx\r\n--b--\r\n",
		"parts within":                head + "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n\r\n--b--\r\n",
		"a message within":            head + "Content-Type: Message/RFC822\r\n\r\nx\r\n--b--\r\n",
		"base64":                      head + "Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b--\r\n",
		"quoted-printable":            head + "Content-Transfer-Encoding: Quoted-Printable\r\n\r\nx\r\n--b--\r\n",
		"gzip":                        head + "Content-Encoding: gzip\r\n\r\nx\r\n--b--\r\n",
		"a long header":               head + "X: " + strings.Repeat("x", maxPartHeader) + "\r\n\r\nx\r\n--b--\r\n",
		"an endless header":           head + "X: " + strings.Repeat("x", multipartBuffer*2),
		"many headers":                head + strings.Repeat("Y: y\r\n", 1) + manyHeaders() + "\r\nx\r\n--b--\r\n",
		"unreadable disposition":      "--b\r\nContent-Disposition: form-data; name=\"f\r\n\r\nx\r\n--b--\r\n",
		"control character in a name": "--b\r\nContent-Disposition: form-data; name=\"f\"; filename*=utf-8''a%0d%0ab\r\n\r\nx\r\n--b--\r\n",
		"nothing":                     "",
	} {
		list, err := readParts(strings.NewReader(body), "b", 64)
		var refused MultipartError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %q, %v", name, list, err)
		} else if strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: the error shows content: %v", name, err)
		}
	}
}

func manyHeaders() string {
	var text strings.Builder
	for i := range maxPartHeaders {
		fmt.Fprintf(&text, "X-%d: x\r\n", i)
	}
	return text.String()
}

func TestBoundary(t *testing.T) {
	for stated, want := range map[string]string{
		"multipart/form-data; boundary=abc":         "abc",
		`Multipart/Form-Data; boundary="a:b"`:       "a:b",
		"multipart/mixed; boundary=a; charset=utf8": "a",
		"image/jpeg": "-", "": "-", "application/json": "-", "garbage": "-",
		"multipart/form-data": "", "multipart/form-data; boundary=": "", "multipart/form-data; boundary=a; boundary=b": "",
		"multipart/related; boundary=a": "", "multipart/form-data; boundary=\"a b\"": "", "multipart/form-data; boundary=a;;;=": "",
		"x multipart/form-data; boundary=a": "", "multipart/form-data; boundary=" + strings.Repeat("a", 71): "", "multipart/form-data; boundary=\"\xe4\"": "",
	} {
		boundary, ok, err := Boundary(http.Header{"Content-Type": {stated}})
		got := boundary
		if err == nil && !ok {
			got = "-"
		}
		if got != want && (err == nil || want != "") || want == "" && err == nil {
			t.Errorf("%q: %q, %v, %v; want %q", stated, boundary, ok, err, want)
		}
	}
	if _, _, err := Boundary(http.Header{"Content-Type": {"image/jpeg", "multipart/form-data; boundary=b"}}); err == nil {
		t.Error("two content types are taken")
	}
}

// Which parts are uploads, whatever a client calls them.
func TestFormValues(t *testing.T) {
	for name, c := range map[string]struct {
		disposition, contentType, content string
		value                             bool
	}{
		"text":                    {`form-data; name="a"`, "", "some text\r\n\twith lines", true},
		"text with its type":      {`form-data; name="a"`, "text/plain; charset=utf-8", "text", true},
		"longest":                 {`form-data; name="a"`, "", strings.Repeat("x", MaxFormValue), true},
		"too long":                {`form-data; name="a"`, "", strings.Repeat("x", MaxFormValue+1), false},
		"binary without a name":   {`form-data; name="a"`, "", "\xff\xd8\xff\xe0", false},
		"NUL":                     {`form-data; name="a"`, "", "GIF89a\x00", false},
		"picture as text/plain":   {`form-data; name="a"`, "text/plain", "\x89PNG", false},
		"picture type":            {`form-data; name="a"`, "image/svg+xml", "<svg/>", false},
		"unreadable type":         {`form-data; name="a"`, ";", "text", false},
		"file name":               {`form-data; name="a"; filename="x"`, "", "text", false},
		"encoded file name":       {`form-data; name="a"; filename*=utf-8''x`, "", "text", false},
		"no disposition":          {``, "", "text", false},
		"no file chosen":          {`form-data; name="a"; filename=""`, "application/octet-stream", "", true},
		"content, empty name":     {`form-data; name="a"; filename=""`, "application/octet-stream", "text", false},
		"empty file with a name":  {`form-data; name="a"; filename="x"`, "", "", false},
		"attachment with no name": {`attachment`, "", "\x00", false},
	} {
		text := "--b\r\n"
		if c.disposition != "" {
			text += "Content-Disposition: " + c.disposition + "\r\n"
		}
		if c.contentType != "" {
			text += "Content-Type: " + c.contentType + "\r\n"
		}
		p := NewParts(strings.NewReader(text+"\r\n"+c.content+"\r\n--b--\r\n"), "b", 4)
		one, err := p.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		value, upload, err := one.Open()
		if err != nil || (upload == nil) != c.value {
			t.Errorf("%s: value %v, %v; want %v", name, upload == nil, err, c.value)
			continue
		}
		if upload != nil {
			if value, err = io.ReadAll(upload); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if string(value) != c.content {
			t.Errorf("%s: %.40q", name, value)
		}
	}
}

// TestPartsAgree has the standard library write forms of any content, and reads the same back, however it arrives.
func TestPartsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		if err := w.SetBoundary("XX"); err != nil {
			t.Fatal(err)
		}
		// Pieces of delimiters, without the boundary itself.
		contents := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"\r", "\n", "-", "--", "\r\n", "\r\n--", "X-", "a", strings.Repeat("b", 40_000)}), 0, 20).Draw(t, "pieces")
			return strings.Join(pieces, "")
		}), 0, 5).Draw(t, "contents")
		for _, content := range contents {
			part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {"form-data; name=f; filename=g"}})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(part, content)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p := NewParts(&dribble{body.Bytes(), rapid.IntRange(1, 50_000).Draw(t, "step")}, "XX", len(contents)+1)
		for i := 0; ; i++ {
			one, err := p.Next()
			if err == io.EOF && i == len(contents) {
				return
			}
			if err != nil || one.FileName() != "g" {
				t.Fatalf("part %d of %d: %+v, %v", i, len(contents), one, err)
			}
			if rapid.IntRange(0, 3).Draw(t, "skip") == 0 {
				continue // Next goes past it
			}
			_, upload, err := one.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(upload)
			if err != nil || string(got) != contents[i] {
				t.Fatalf("part %d: %d bytes, want %d: %v", i, len(got), len(contents[i]), err)
			}
		}
	})
}

// dribble gives a few bytes at a time.
type dribble struct {
	left []byte
	step int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.left[:min(d.step, len(d.left))])
	d.left = d.left[n:]
	return n, nil
}

// FuzzMultipart: what is taken at all, the standard library's parser reads in the same way.
func FuzzMultipart(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
	f.Add([]byte(head + "\r\nx\r\n--b--\r\n"))
	f.Add([]byte("\r\n" + head + "Content-Type: image/png\r\n\r\n\x89PNG\r\n--b\r\n\r\ny\r\n--b--"))
	f.Add([]byte(head + "\r\nx\n--b\r\n\r\nevil\r\n--b--\r\n"))
	f.Add([]byte(head + "\r\nx\r\n--bc\r\n--b \r\n--b--\r\n"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; filename*=utf-8''%41\r\n\r\n\r\n--b--\r\n"))
	f.Add([]byte("--b--"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readParts(bytes.NewReader(body), "b", 8)
		if slow, again := readParts(iotest.OneByteReader(bytes.NewReader(body)), "b", 8); (err == nil) != (again == nil) || len(slow) != len(got) {
			t.Fatalf("in one piece %d parts, %v; byte by byte %d, %v", len(got), err, len(slow), again)
		}
		if err != nil {
			return
		}
		want, err := readByGo(body, "b")
		if err != nil || len(want) != len(got) {
			t.Fatalf("%d parts; the standard library reads %d, %v", len(got), len(want), err)
		}
		if n := bytes.Count(body, []byte("--b")); n != len(got)+1 {
			t.Fatalf("%d boundaries in the body, %d parts", n, len(got))
		}
		for i := range got {
			if got[i].content != want[i].content {
				t.Fatalf("part %d: %q; the standard library reads %q", i+1, got[i], want[i])
			}
		}
	})
}
