package hook

import (
	"mime"
	"strings"
	"testing"
)

// FuzzDisposition: whatever the standard library, or a reader that splits at semicolons and knows no quotes, takes for a
// file name is one here too, or the part is refused.
func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{
		`form-data; name="a"`, `form-data; name=a; filename="x.png"`, `form-data; filename*=UTF-8''%C3%A4; filename=a`, `form-data; filename*=ISO-8859-1''notes.txt`,
		`form-data; filename*1=a`, `form-data; name="a\"; filename=\"b"`, `form-data; name="a; filename=b"`, `form-data; name="filename"`, `attachment;`,
		`form-data; FILENAME*0*=utf-8''a`, `form-data;name=a;;filename=b`, "form-data; name=\"\\", `form-data; filename*=UTF-8''%zz`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var p Part
		if p.setDisposition(value) != nil || p.named {
			return
		}
		_, parameters, err := mime.ParseMediaType(value)
		if _, named := parameters["filename"]; named || err != nil {
			t.Fatalf("%q is taken, without the file name that the standard library finds (%v)", value, err)
		}
		for piece := range strings.SplitSeq(strings.ToLower(value), ";") {
			name, _, found := strings.Cut(piece, "=")
			if name = strings.Trim(name, " \t"); found && (name == "filename" || strings.HasPrefix(name, "filename*")) {
				t.Fatalf("%q is taken, and %q is a file name to others", value, piece)
			}
		}
	})
}

func TestExtendedValue(t *testing.T) {
	for text, want := range map[string]string{
		"UTF-8''%C3%A4.png": "ä.png", "utf-8'en'a%20b": "a b", "iso-8859-1''%e4": "ä", "us-ascii''a": "a",
		"UTF-8''%ff": "-", "UTF-8''%z0": "-", "UTF-8''%4": "-", "koi8-r''a": "-", "UTF-8'a": "-", "a": "-", "UTF-8''a'b": "-", "''a": "-", "UTF-8''a b": "-",
	} {
		got, ok := extendedValue(text)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
