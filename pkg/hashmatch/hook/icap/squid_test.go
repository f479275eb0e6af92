package icap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// squidConfig is that of docs/integrations/squid.md: its addresses and folders are the test's. %[1]s is where it
// listens, %[2]s the port of the origin, %[3]s the ICAP server, %[4]s the folder, %[5]s the user.
const squidConfig = `
http_port %[1]s accel defaultsite=app.test no-vhost
cache_peer 127.0.0.1 parent %[2]s 0 no-query no-digest originserver name=app
acl up method POST PUT PATCH
acl private urlpath_regex ^/private/[A-Za-z0-9/_-]+$
http_access allow all
cache deny all

icap_enable on
icap_service hashmatch reqmod_precache icap://%[3]s/reqmod bypass=off
icap_service_failure_limit -1
adaptation_access hashmatch deny private
adaptation_access hashmatch allow up
adaptation_access hashmatch deny all

cache_mem 1 MB
max_filedescriptors 1024
pid_filename none
access_log none
cache_log %[4]s/cache.log
coredump_dir %[4]s
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname proxy.test
%[5]s
`

// startSquid runs squid in front of origin until the test ends, and returns its address.
func startSquid(t *testing.T, origin, icap string) string {
	t.Helper()
	squid := hooktest.Tool(t, "squid")
	// Squid gives up root for a user of its own, who cannot enter t.TempDir.
	dir, err := os.MkdirTemp("", "squid")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	effective := ""
	if os.Getuid() == 0 {
		who, err := user.Lookup("proxy")
		if err != nil {
			who, err = user.Lookup("squid")
		}
		if err != nil {
			t.Fatalf("no user for squid to run as: %v", err)
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		effective = "cache_effective_user " + who.Username
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, most likely still free when squid takes it
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, originPort, err := net.SplitHostPort(origin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "squid.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, squidConfig, addr, originPort, icap, dir, effective), 0o644); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	cmd := exec.Command(squid, "-N", "-f", path)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for until := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr
		}
		select {
		case <-ended:
			t.Fatalf("squid ended: %s", printed.String())
		default:
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(dir, "cache.log"))
			t.Fatalf("squid does not listen: %s\n%s", printed.String(), log)
		}
	}
}

// origin is the application behind squid. It keeps what reached it.
type origin struct {
	*httptest.Server
	mu   sync.Mutex
	came []string // bodies
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := new(origin)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // never the whole of it: squid broke it off
		}
		o.mu.Lock()
		o.came = append(o.came, string(body))
		o.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(o.Close)
	return o
}

// take returns what came since the last time.
func (o *origin) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	came := o.came
	o.came = nil
	return came
}

// formOf returns a form with a title and the files, and its Content-Type.
func formOf(t *testing.T, files ...string) (string, string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.WriteField("title", "a picture"); err != nil {
		t.Fatal(err)
	}
	for i, content := range files {
		part, err := w.CreateFormFile("files", fmt.Sprintf("picture%d.jpg", i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(part, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body.String(), w.FormDataContentType()
}

// Squid closes a connection after a block: one for each request, or the next request may meet the end of the last.
var squidClient = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func send(t *testing.T, method, url string, body io.Reader, fields ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	response, err := squidClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(page)
}

// TestSquid runs squid as a reverse proxy: nothing that is not clean may reach the application behind it.
func TestSquid(t *testing.T) {
	t.Parallel()
	hooktest.Tool(t, "squid")
	app := newOrigin(t)
	addr, server := serve(t, hooktest.Gate(t, nil), hooktest.Surface(t), nil)
	url := "http://" + startSquid(t, app.Listener.Addr().String(), addr) + "/upload"

	ok, listed := upload(t, "clean-landscape.jpg"), upload(t, "exact-copy.jpg")
	near, notes := upload(t, "near-resized.jpg"), upload(t, "notes.txt")
	cleanForm, cleanType := formOf(t, ok, upload(t, "clean-poster.png"))
	listedForm, listedType := formOf(t, ok, listed)
	noFile, noFileType := formOf(t)
	zipped := packed(t, ok, gzipped)
	for _, c := range []struct {
		name, method, body string
		fields             []string
		status             int
	}{
		{"clean, raw", "PUT", ok, nil, 201},
		{"clean, form", "POST", cleanForm, []string{"Content-Type", cleanType}, 201},
		{"clean, gzip", "PUT", zipped, []string{"Content-Encoding", "gzip"}, 201},
		{"form without a file", "POST", noFile, []string{"Content-Type", noFileType}, 201},
		{"no body", "POST", "", nil, 201},
		{"clean, PATCH", "PATCH", ok, nil, 201},
		{"listed, raw", "PUT", listed, nil, 403},
		{"listed, form", "POST", listedForm, []string{"Content-Type", listedType}, 403},
		{"listed, as something else", "POST", listed, []string{"Content-Type", "text/plain"}, 403},
		{"listed, as a form that it is not", "POST", listed, []string{"Content-Type", listedType}, 403},
		{"listed, gzip", "PUT", packed(t, listed, gzipped), []string{"Content-Encoding", "gzip"}, 403},
		{"near", "PUT", near, nil, 403},
		{"no image", "PUT", notes, nil, 403},
		{"JSON", "POST", `{"title":"x"}`, []string{"Content-Type", "application/json"}, 403},
		{"brotli", "PUT", ok, []string{"Content-Encoding", "br"}, 403},
		{"part of a file", "PUT", ok, []string{"Content-Range", fmt.Sprintf("bytes 0-%d/*", len(ok)-1)}, 403},
		{"form with two boundaries", "POST", cleanForm, []string{"Content-Type", cleanType + "; boundary=YY"}, 403},
	} {
		for _, way := range []string{"length", "chunked"} {
			body := io.Reader(strings.NewReader(c.body))
			if way == "chunked" && c.body != "" {
				body = io.MultiReader(body) // of no length that the client can see
			}
			status, page := send(t, c.method, url, body, c.fields...)
			came := app.take()
			if status != c.status {
				t.Errorf("%s, %s: status %d, want %d: %.300s", c.name, way, status, c.status, page)
			}
			switch {
			case c.status != 201 && len(came) != 0:
				t.Errorf("%s, %s: %d uploads reached the application", c.name, way, len(came))
			case c.status == 201 && (len(came) != 1 || came[0] != c.body):
				t.Errorf("%s, %s: the application did not get what was sent", c.name, way)
			case c.status == 403 && page != "The upload was not accepted.\n":
				t.Errorf("%s, %s: page %q", c.name, way, page)
			}
		}
	}
	for path, status := range map[string]int{"/private/album-1": 201, "/private/../upload": 403, "/private/%2e%2e/upload": 403, "/private": 403, "/Private/a": 403} {
		got, _ := send(t, "PUT", strings.TrimSuffix(url, "/upload")+path, strings.NewReader(listed))
		if came := app.take(); got != status || (len(came) == 1) != (status == 201) {
			t.Errorf("%s: status %d, want %d; %d uploads reached the application", path, got, status, len(came))
		}
	}
	abort(t, url, listed)
	if came := app.take(); len(came) != 0 {
		t.Error("an upload that was broken off reached the application")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for range 3 {
		if status, _ := send(t, "PUT", url, strings.NewReader(ok)); status != 500 {
			t.Errorf("without the ICAP server: status %d, want 500", status)
		}
	}
	if came := app.take(); len(came) != 0 {
		t.Error("without the ICAP server an upload reached the application")
	}
	if status, _ := send(t, "GET", url, nil); status != 201 {
		t.Errorf("without the ICAP server, a page: status %d, want 201", status)
	}
}

// abort breaks an upload off in its middle.
func abort(t *testing.T, url, content string) {
	t.Helper()
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn := dial(t, addr)
	fmt.Fprintf(conn, "PUT /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n%s", len(content), content[:len(content)/2])
	time.Sleep(100 * time.Millisecond)
	conn.Close()
	time.Sleep(200 * time.Millisecond)
}

// TestSquidSuite sends every upload of the suite through squid, as a form from curl.
func TestSquidSuite(t *testing.T) {
	t.Parallel()
	curl := hooktest.Tool(t, "curl")
	hooktest.Tool(t, "squid")
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
		app := newOrigin(t)
		addr, _ := serve(t, checker, surface, nil)
		url := "http://" + startSquid(t, app.Listener.Addr().String(), addr) + "/upload"
		return func(t *testing.T, path string) bool {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, curl, "-s", "-H", "Expect:", "-o", os.DevNull, "-w", "%{http_code}",
				"-F", "title=a picture", "-F", "file=@"+path, url).CombinedOutput()
			if err != nil {
				t.Fatalf("curl: %v\n%s", err, out)
			}
			passed := len(app.take())
			if (string(out) == "201") != (passed == 1) {
				t.Errorf("curl was told %s, and %d uploads reached the application", out, passed)
			}
			return passed > 0
		}
	})
}
