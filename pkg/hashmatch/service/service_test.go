package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// dir is a folder with a configuration that serves every dialect, and everything that it names.
type dir struct {
	path  string
	token string
}

const configuration = `surfaces:
  - {name: uploads, visibility: public, encrypted: false, not_image: hold}
lists:
  - {name: demo, file: demo.csv}
listeners:
  - {name: api, dialect: http, address: "127.0.0.1:0"}
  - {name: clamd, dialect: clamd, address: "127.0.0.1:0", surface: uploads}
  - {name: rest, dialect: clamav-rest, address: "127.0.0.1:0", surface: uploads, anonymous: [scan]}
  - {name: icap, dialect: icap, address: "127.0.0.1:0", surface: uploads}
  - {name: pictrs, dialect: pictrs, address: "unix:pictrs.sock", surface: uploads, anonymous: [scan]}
  - {name: tusd, dialect: tusd, address: "127.0.0.1:0", surface: uploads, anonymous: [scan], store: store, held: held}
  - {name: hma, dialect: hma, address: "127.0.0.1:0", surface: uploads, anonymous: [lookup]}
  - {name: watch, dialect: metrics, address: "127.0.0.1:0"}
serve: {tokens: tokens.json, watch_interval: 50ms, check_interval: 200ms, drain_timeout: 5s}
audit: {directory: audit}
review: {file: review.db}
quarantine: {directory: kept, recipients: [age1pqtfccnd2j6uu8c7eajx24rk7hczrv2u4lnaj3r3vvccfqylsvtq4cn92u]}
breaker: {max_share: 90, file: breaker.json}
`

func testdata(t testing.TB, elements ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "testdata"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func newDir(t testing.TB) dir {
	t.Helper()
	// A unix socket's path is short: not that of t.TempDir.
	path, err := os.MkdirTemp("", "hm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	d := dir{path: path}
	token, hash := hook.NewToken()
	d.token = token
	text, err := json.Marshal([]hook.Token{{Name: "app", SHA256: hash, Scopes: hook.Scopes()}})
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "tokens.json", string(text))
	d.write(t, "demo.csv", string(testdata(t, "lists", "demo.csv")))
	d.write(t, "hashmatch.yaml", configuration)
	if err := os.Mkdir(d.file("store"), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d dir) file(name string) string { return filepath.Join(d.path, name) }

func (d dir) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(d.file(name+".new"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.file(name+".new"), d.file(name)); err != nil {
		t.Fatal(err)
	}
}

// running is a service that runs until the test ends.
type running struct {
	*Service
	dir  dir
	stop func() error
	look atomic.Int64
}

func start(t testing.TB, d dir) *running {
	t.Helper()
	s, err := Open(t.Context(), Options{ConfigFile: d.file("hashmatch.yaml"), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Service: s, dir: d}
	s.attempts = func() { r.look.Add(1) }
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("it does not stop")
			return nil
		}
	}
	t.Cleanup(func() {
		if !stopped {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

func (r *running) request(t testing.TB, listener, method, path string, body []byte, header ...string) (int, string) {
	t.Helper()
	address := r.Addresses()[listener]
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network(), address.String())
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://service"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// scan sends an upload to the API and returns the action.
func (r *running) scan(t testing.TB, name string) string {
	t.Helper()
	status, text := r.request(t, "api", "POST", "/v1/scan", testdata(t, "uploads", name),
		"Authorization", "Bearer "+r.dir.token, "Hashmatch-Surface", "uploads")
	var answer struct{ Action string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%d %s", status, text)
	}
	return answer.Action
}

func (r *running) awaitLook(t testing.TB) {
	t.Helper()
	before := r.look.Load()
	for deadline := time.Now().Add(10 * time.Second); r.look.Load() < before+2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody looks at the files")
		}
	}
}

// Every dialect answers for a clean and for a listed upload, from one configuration.
func TestEveryDialect(t *testing.T) {
	r := start(t, newDir(t))
	clean, listed := testdata(t, "uploads", "clean-landscape.jpg"), testdata(t, "uploads", "exact-copy.jpg")
	if got := r.scan(t, "clean-landscape.jpg"); got != "allow" {
		t.Errorf("api, clean: %s", got)
	}
	if got := r.scan(t, "exact-copy.jpg"); got != "block" {
		t.Errorf("api, listed: %s", got)
	}
	for _, tc := range []struct {
		content []byte
		want    int
	}{{clean, 204}, {listed, 403}} {
		if status, text := r.request(t, "pictrs", "POST", "/", tc.content, "Content-Type", "image/jpeg"); status != tc.want {
			t.Errorf("pictrs: %d %s, want %d", status, text, tc.want)
		}
	}
	for _, tc := range []struct {
		content []byte
		want    int
	}{{clean, 200}, {listed, 406}} {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + string(tc.content) + "\r\n--b--\r\n"
		if status, text := r.request(t, "rest", "POST", "/v2/scan", []byte(body), "Content-Type", "multipart/form-data; boundary=b"); status != tc.want {
			t.Errorf("clamav-rest: %d %s, want %d", status, text, tc.want)
		}
	}
	for _, tc := range []struct {
		content []byte
		want    string
	}{{clean, "stream: OK\x00"}, {listed, "stream: Hashmatch.Block.Match FOUND\x00"}} {
		command := fmt.Appendf([]byte("zINSTREAM\x00"), "%s", []byte{byte(len(tc.content) >> 24), byte(len(tc.content) >> 16), byte(len(tc.content) >> 8), byte(len(tc.content))})
		command = append(append(command, tc.content...), 0, 0, 0, 0)
		if got := r.talk(t, "clamd", command); got != tc.want {
			t.Errorf("clamd: %q, want %q", got, tc.want)
		}
	}
	for _, tc := range []struct {
		content []byte
		want    string
	}{{clean, "ICAP/1.0 204"}, {listed, "ICAP/1.0 200 OK"}} {
		head := fmt.Sprintf("POST /u HTTP/1.1\r\nHost: app\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(tc.content))
		message := fmt.Sprintf("REQMOD icap://x/reqmod ICAP/1.0\r\nHost: x\r\nAllow: 204\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s%x\r\n%s\r\n0\r\n\r\n",
			len(head), head, len(tc.content), tc.content)
		if got := r.talk(t, "icap", []byte(message)); !strings.HasPrefix(got, tc.want) || tc.want == "ICAP/1.0 200 OK" && !strings.Contains(got, "403 Forbidden") {
			t.Errorf("icap: %q, want %q", got, tc.want)
		}
	}
	if status, text := r.request(t, "hma", "GET", "/status", nil); status != 200 || !strings.Contains(text, "I-AM-ALIVE") {
		t.Errorf("hma: %d %s", status, text)
	}
	if status, text := r.request(t, "tusd", "POST", "/", []byte(`{"Type":"pre-create","Event":{"Upload":{"Size":5},"HTTPRequest":{"Method":"POST","URI":"/"}}}`), "Content-Type", "application/json"); status != 200 || strings.Contains(text, `"RejectUpload":true`) {
		t.Errorf("tusd: %d %s", status, text)
	}
	if status, text := r.request(t, "watch", "GET", "/metrics", nil); status != 200 || !strings.Contains(text, `hashmatch_uploads_total{action="block",dialect="http",shadow="false",surface="uploads",verdict="block"} 1`) {
		t.Errorf("metrics: %d %s", status, text)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	uploads := 0
	for entry, err := range audit.Records(r.dir.file("audit")) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Type == audit.TypeUpload {
			uploads++
		}
	}
	if uploads != 10 {
		t.Errorf("%d uploads in the audit, want 10", uploads)
	}
	if kept, err := os.ReadDir(r.dir.file("kept")); err != nil || len(kept) != 5 { // a listed one for each dialect that takes uploads
		t.Errorf("%d files in the quarantine, %v", len(kept), err)
	}
	if report, err := audit.Verify(r.dir.file("audit"), audit.Options{}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

// talk sends bytes and returns everything that comes back.
func (r *running) talk(t testing.TB, listener string, message []byte) string {
	t.Helper()
	address := r.Addresses()[listener]
	conn, err := net.Dial(address.Network(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// What is not there at the start is held for, and served once it is there.
func TestListThatIsMissingAtTheStart(t *testing.T) {
	d := newDir(t)
	list, err := os.ReadFile(d.file("demo.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.file("demo.csv")); err != nil {
		t.Fatal(err)
	}
	r := start(t, d)
	if got := r.scan(t, "clean-landscape.jpg"); got != "hold" {
		t.Errorf("without a list: %s", got)
	}
	if status, _ := r.request(t, "watch", "GET", "/readyz", nil); status != 503 {
		t.Errorf("without a list: readyz %d", status)
	}
	d.write(t, "demo.csv", string(list))
	r.awaitLook(t)
	if got := r.scan(t, "clean-landscape.jpg"); got != "allow" {
		t.Errorf("with the list: %s", got)
	}
	if status, _ := r.request(t, "watch", "GET", "/readyz", nil); status != 200 {
		t.Errorf("with the list: readyz %d", status)
	}
}

// A change of files is put in force whole or not at all, and no upload is refused meanwhile.
func TestReload(t *testing.T) {
	d := newDir(t)
	r := start(t, d)
	goodList, goodTokens := string(testdata(t, "lists", "demo.csv")), mustRead(t, d.file("tokens.json"))
	old := r.engine.Lists().Revisions()["demo"]
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // uploads all the while
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got := r.scan(t, "exact-copy.jpg"); got != "block" {
				t.Errorf("during a reload: %s", got)
			}
		}
	}()
	for name, files := range map[string]map[string]string{
		"list cut off":      {"demo.csv": goodList[:len(goodList)-20]},
		"list empty":        {"demo.csv": ""},
		"list of no hashes": {"demo.csv": "entry,kind,hash,list,label,status\n"},
		"unknown action":    {"hashmatch.yaml": strings.Replace(configuration, "not_image: hold", "not_image: maybe", 1)},
		"private surface":   {"hashmatch.yaml": strings.Replace(configuration, "visibility: public", "visibility: private", 1)},
		"another listener":  {"hashmatch.yaml": strings.Replace(configuration, "name: icap, dialect", "name: icap2, dialect", 1)},
		"limits":            {"hashmatch.yaml": configuration + "limits: {timeout: 3s}\n"},
		"tokens":            {"tokens.json": goodTokens[:len(goodTokens)-3]},
	} {
		for file, text := range files {
			d.write(t, file, text)
		}
		if err := r.Reload(t.Context()); err == nil {
			t.Errorf("%s: it was put in force", name)
		}
		if got := r.scan(t, "exact-copy.jpg"); got != "block" {
			t.Errorf("%s: then %s", name, got)
		}
		if now := r.engine.Lists().Revisions()["demo"]; now != old {
			t.Errorf("%s: revision %s, want %s", name, now, old)
		}
		d.write(t, "demo.csv", goodList)
		d.write(t, "hashmatch.yaml", configuration)
		d.write(t, "tokens.json", goodTokens)
	}
	close(stop)
	<-done
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A list without the entry: what was blocked is not, as soon as the change is seen.
	var kept []string
	for line := range strings.Lines(goodList) {
		if !strings.Contains(line, "synthetic-harbour") {
			kept = append(kept, line)
		}
	}
	d.write(t, "demo.csv", strings.Join(kept, ""))
	r.awaitLook(t)
	if got := r.scan(t, "exact-copy.jpg"); got != "allow" {
		t.Errorf("after the entry was withdrawn: %s", got)
	}
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a person decides is on record, and wrong callers get nowhere.
func TestReviewOverHTTP(t *testing.T) {
	r := start(t, newDir(t))
	if got := r.scan(t, "near-resized.jpg"); got != "hold" {
		t.Fatal(got)
	}
	bearer := "Bearer " + r.dir.token
	if status, _ := r.request(t, "api", "GET", "/v1/review", nil); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	_, text := r.request(t, "api", "GET", "/v1/review?state=pending", nil, "Authorization", bearer)
	var queue struct{ Items []hook.ReviewItem }
	if err := json.Unmarshal([]byte(text), &queue); err != nil || len(queue.Items) != 1 || queue.Items[0].Caller != "app" {
		t.Fatalf("%s: %v", text, err)
	}
	path := "/v1/review/" + queue.Items[0].Item + "/release"
	for body, want := range map[string]int{`{"reason":""}`: 400, `{"reason":"another picture"}`: 200} {
		if status, text := r.request(t, "api", "POST", path, []byte(body), "Authorization", bearer, "Content-Type", "application/json"); status/100 != want/100 {
			t.Errorf("%s: %d %s, want %d", body, status, text, want)
		}
	}
	released := 0
	for entry, err := range audit.Records(r.dir.file("audit")) {
		if err == nil && entry.Type == "review.released" && entry.Actor == "app" && entry.Reason == "another picture" {
			released++
		}
	}
	if released != 1 {
		t.Errorf("%d releases in the audit", released)
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"no listener":        {configuration[strings.Index(configuration, "listeners:"):strings.Index(configuration, "serve:")], "", "no listener"},
		"undeclared surface": {"address: \"127.0.0.1:0\", surface: uploads}\n  - {name: rest", "address: \"127.0.0.1:0\", surface: other}\n  - {name: rest", "not declared"},
		"tokens missing":     {"tokens: tokens.json", "tokens: nowhere.json", "serve.tokens"},
		"store missing":      {"store: store", "store: nowhere", `listener "tusd"`},
		"breaker of nothing": {"max_share: 90, ", "", "nothing to watch for"},
		"private surface":    {"visibility: public", "visibility: private", "refused"},
		"anonymous admin":    {"anonymous: [lookup]", "anonymous: [admin]", "administration always takes a token"},
		"exposed":            {"name: clamd, dialect: clamd, address: \"127.0.0.1:0\"", "name: clamd, dialect: clamd, address: \"0.0.0.0:0\"", "other machines"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			changed := strings.Replace(configuration, tc.from, tc.to, 1)
			if changed == configuration {
				t.Fatal("nothing was changed")
			}
			d.write(t, "hashmatch.yaml", changed)
			s, err := Open(t.Context(), Options{ConfigFile: d.file("hashmatch.yaml")})
			if err == nil {
				s.close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// Two listeners on one port: the service says so, and leaves nothing open.
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d := newDir(t)
	d.write(t, "hashmatch.yaml", strings.Replace(configuration, `name: hma, dialect: hma, address: "127.0.0.1:0"`, fmt.Sprintf("name: hma, dialect: hma, address: %q", taken.Addr()), 1))
	s, err := Open(t.Context(), Options{ConfigFile: d.file("hashmatch.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `listener "hma"`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(d.file("pictrs.sock")); err == nil {
		t.Error("a socket was left behind")
	}
}
