package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// blocks returns the indented blocks of a page that begin with a text, without the indentation.
func blocks(t *testing.T, page, begin string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(string(text), -1) {
		if block = regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, ""); strings.HasPrefix(block, begin) {
			found = append(found, block)
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s: no block that begins with %q", page, begin)
	}
	return found
}

// TestServePageStarts does what docs/serve.md says, command by command, and asks the service that it leads to. Only
// the TCP addresses are replaced, since other programs may have them.
func TestServePageStarts(t *testing.T) {
	data, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	conf := blocks(t, "serve.md", "surfaces:")[0]
	for _, change := range [][2]string{{"127.0.0.1:8480", "unix:run/api.sock"}, {"127.0.0.1:9480", "unix:run/watch.sock"}} {
		if strings.Count(conf, change[0]) != 1 {
			t.Fatalf("no %s in\n%s", change[0], conf)
		}
		conf = strings.ReplaceAll(conf, change[0], change[1])
	}
	var script strings.Builder
	for line := range strings.Lines(blocks(t, "serve.md", "mkdir")[0]) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "hashmatch serve") {
			fmt.Fprintf(&script, "exec %s &serve&\n", line)
			break
		}
		fmt.Fprintf(&script, "exec %s\n", strings.ReplaceAll(line, " FILE", " $DATA/lists/demo.csv"))
	}
	if !strings.Contains(script.String(), "&serve&") {
		t.Fatalf("the page does not start the service:\n%s", script.String())
	}
	script.WriteString(`cp $DATA/uploads/exact-copy.jpg listed.jpg
post run/watch.sock /readyz -
stdout '^200 '
post run/api.sock /v1/scan?status=1 listed.jpg Hashmatch-Item:one
stdout '^403 .*"action":"block"'
exists run/clamd.sock
kill -INT serve
wait serve
grep signature heads/heads.jsonl
exec hashmatch audit verify audit --head heads/heads.jsonl --public-key audit.key.pub
exec hashmatch review list --database review.db
stdout one
-- hashmatch.yaml --
` + conf)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "serve.txtar"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", data)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"post": postUpload},
	})
}

// TestMiddlewarePage is the program of docs/middleware.md, between a request and a handler.
func TestMiddlewarePage(t *testing.T) {
	ctx := t.Context()
	folder := t.TempDir()
	list, err := os.ReadFile("../../testdata/lists/demo.csv")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"demo.csv": list, "hashmatch.yaml": []byte(`
surfaces: [{name: avatars, visibility: public, encrypted: false, not_image: hold}]
lists: [{name: demo, file: demo.csv}]
`)} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(folder, "hashmatch.yaml"))
	must(err)
	engine, err := c.Open(ctx, config.OpenOptions{})
	must(err)
	defer engine.Close()
	avatars, err := engine.Surface("avatars")
	must(err)
	g, err := gate.New(gate.Config{Scanner: engine.Scanner})
	must(err)
	scan := hook.Middleware(hook.MiddlewareConfig{
		Checker: g,
		Surface: func(r *http.Request) (hashmatch.Surface, bool) {
			return avatars, r.URL.Path == "/avatar"
		},
	})
	published := 0
	handler := scan(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { published++ }))
	send := func(file string) (status int) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join("../../testdata/uploads", file))
		must(err)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/avatar", bytes.NewReader(content)))
		return w.Code
	}
	if status := send("clean-landscape.jpg"); status == http.StatusOK || published > 0 {
		t.Fatalf("%d, %d published before a list was loaded", status, published)
	}
	must(engine.LoadLists(ctx))
	if status := send("clean-landscape.jpg"); status != http.StatusOK || published != 1 {
		t.Errorf("a clean picture: %d, %d published", status, published)
	}
	if status := send("exact-copy.jpg"); status != http.StatusForbidden || published != 1 {
		t.Errorf("a listed file: %d, %d published", status, published)
	}
	// The calls of the page are those above.
	source, err := os.ReadFile("docs_test.go")
	must(err)
	for _, call := range []string{"config.Load(", "c.Open(ctx, config.OpenOptions{})", "defer engine.Close()", "engine.LoadLists(ctx)",
		`engine.Surface("avatars")`, "gate.New(gate.Config{Scanner: engine.Scanner})"} {
		if !bytes.Contains(source, []byte(call)) || !strings.Contains(blocks(t, "middleware.md", "c, err")[0], call) {
			t.Errorf("the page does not call %s", call)
		}
	}
}

// TestExitCodesOfThePages compares the two places that state what scan ends with.
func TestExitCodesOfThePages(t *testing.T) {
	page, err := os.ReadFile("../../docs/scan.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^  (\d+) +(.+)$`).FindAllStringSubmatch(scanHelp, -1)
	if len(codes) != 7 {
		t.Fatalf("%d codes in the help", len(codes))
	}
	for _, code := range codes {
		if row := "| " + code[1] + " | " + code[2] + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/scan.md has no row %s", row)
		}
	}
}
