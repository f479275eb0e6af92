package hook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// serve serves the API with a checker until the test ends, and returns its URL.
func serve(t testing.TB, checker hook.Checker, surface hashmatch.Surface, change func(*hook.APIConfig)) string {
	t.Helper()
	auth, err := hook.NewAuth(hook.AuthConfig{Anonymous: []hook.Scope{hook.ScopeScan, hook.ScopeLookup}})
	if err != nil {
		t.Fatal(err)
	}
	config := hook.APIConfig{Checker: checker, Auth: auth, Surfaces: func(name string) (hashmatch.Surface, error) {
		if name == surface.Name() {
			return surface, nil
		}
		return hashmatch.Surface{}, hashmatch.ErrSurfaceRefused
	}}
	if change != nil {
		change(&config)
	}
	h, err := hook.NewAPI(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := hook.NewServer(hook.ServerConfig{Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	l, err := hook.Listen("tcp", "127.0.0.1:0", hook.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-ended; !errors.Is(err, hook.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// allowed reads the answer to a scan as the plainest of clients does.
func allowed(t testing.TB, status int, body []byte) bool {
	t.Helper()
	var answer struct{ Action, Item string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Errorf("%d %.200s: %v", status, body, err)
	}
	return status == 200 && answer.Action == "allow"
}

func form(t testing.TB, path string) (body []byte, contentType string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	if err := w.WriteField("title", "a title"); err != nil {
		t.Fatal(err)
	}
	part, err := w.CreateFormFile("file", filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(read(t, path))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w.FormDataContentType()
}

func post(t testing.TB, url, contentType string, body []byte) (int, []byte) {
	t.Helper()
	response, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, []byte("{}")
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, text
}

func TestAPIRaw(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool {
		url := serve(t, checker, surface, nil)
		return func(t *testing.T, path string) bool {
			status, body := post(t, url+"/v1/scan?surface=uploads", "application/octet-stream", read(t, path))
			return allowed(t, status, body)
		}
	})
}

func TestAPIMultipart(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool {
		url := serve(t, checker, surface, nil)
		return func(t *testing.T, path string) bool {
			content, contentType := form(t, path)
			status, body := post(t, url+"/v1/scan?surface=uploads", contentType, content)
			return allowed(t, status, body)
		}
	})
}

func TestAPIClient(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool {
		client, err := hook.NewClient(hook.ClientConfig{URL: serve(t, checker, surface, nil), Tries: 1})
		if err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T, path string) bool {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			answer, err := client.Scan(t.Context(), hook.Upload{Surface: "uploads", Content: file})
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			return answer.Allowed()
		}
	})
}

// curl sends raw bodies in chunks, and forms; with --fail its exit code alone is the answer.
func TestAPIWithCurl(t *testing.T) {
	curl := hooktest.Tool(t, "curl")
	for name, arguments := range map[string]func(path string) []string{
		"chunked": func(path string) []string {
			return []string{"-H", "Transfer-Encoding: chunked", "--data-binary", "@" + path}
		},
		"form": func(path string) []string { return []string{"-F", "title=a title", "-F", "file=@" + path} },
	} {
		t.Run(name, func(t *testing.T) {
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool {
				url := serve(t, checker, surface, func(c *hook.APIConfig) { c.Surface = "uploads" }) + "/v1/scan?status=1"
				return func(t *testing.T, path string) bool {
					cmd := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--fail", "--max-time", "20", url}, arguments(path)...)...)
					out, err := cmd.Output()
					var exit *exec.ExitError
					if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 22) { // 22: a status of 400 or more
						t.Errorf("%s: curl: %v", path, err)
					}
					return err == nil && allowed(t, 200, out)
				}
			})
		})
	}
}

func TestMiddlewareConforms(t *testing.T) {
	for name, request := range map[string]func(t *testing.T, path string) (body []byte, contentType string){
		"raw":       func(t *testing.T, path string) ([]byte, string) { return read(t, path), "image/jpeg" },
		"multipart": func(t *testing.T, path string) ([]byte, string) { return form(t, path) },
	} {
		t.Run(name, func(t *testing.T) {
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool {
				published := 0
				server := httptest.NewServer(hook.Middleware(hook.MiddlewareConfig{
					Checker: checker, Surface: func(*http.Request) (hashmatch.Surface, bool) { return surface, true },
				})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := r.ParseMultipartForm(1 << 20); err == nil {
						file, header, err := r.FormFile("file")
						if err != nil || header.Size == 0 || r.FormValue("title") != "a title" {
							t.Errorf("the handler finds no file: %v", err)
							return
						}
						file.Close()
					}
					published++
				})))
				t.Cleanup(server.Close)
				return func(t *testing.T, path string) bool {
					body, contentType := request(t, path)
					before := published
					status, _ := post(t, server.URL, contentType, body)
					if (status == 200) != (published > before) {
						t.Errorf("%s: status %d, and published: %v", path, status, published > before)
					}
					return published > before
				}
			})
		})
	}
}

// What /v1/hash and /v1/match say of a listed picture goes together.
func TestHashThenMatch(t *testing.T) {
	engine := hooktest.Engine(t)
	g := hooktest.Gate(t, nil)
	url := serve(t, g, hooktest.Surface(t), func(c *hook.APIConfig) {
		c.Surface, c.Hasher, c.Lists, c.Policy = "uploads", engine.Scanner, engine.Lists, func() hashmatch.Policy { return engine.Policy() }
	})
	status, body := post(t, url+"/v1/hash?kinds=pdq,sha256", "image/jpeg", read(t, hooktest.Data(t, "uploads", "exact-copy.jpg")))
	var hashes struct {
		Digests map[string]string
		Hashes  []struct{ Kind, Hash string }
	}
	if err := json.Unmarshal(body, &hashes); err != nil || status != 200 || len(hashes.Hashes) != 1 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	query := fmt.Sprintf(`{"hashes":["pdq:%s","sha256:%s"]}`, hashes.Hashes[0].Hash, hashes.Digests["sha256"])
	status, body = post(t, url+"/v1/match", "application/json", []byte(query))
	var answer hook.MatchAnswer
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 || len(answer.Results) != 2 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	for _, r := range answer.Results {
		if r.Action == hashmatch.Allow || len(r.Matches) == 0 || r.Matches[0].List != "demo" {
			t.Errorf("%+v", r)
		}
	}
}

// A sender that goes away in the middle has no allow, and neither has anybody who sends the same afterwards.
func TestBrokenOffUpload(t *testing.T) {
	outcomes := make(chan gate.Outcome, 10)
	g := hooktest.Gate(t, func(c *gate.Config) { c.Observer = observer(outcomes) })
	url := serve(t, g, hooktest.Surface(t), nil)
	content := read(t, hooktest.Data(t, "uploads", "clean-landscape.jpg"))
	r, w := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, url+"/v1/scan?surface=uploads", r)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write(content[:len(content)/2])
		w.CloseWithError(errors.New("gone"))
	}()
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
		t.Errorf("an answer: %d", response.StatusCode)
	}
	if o := <-outcomes; o.Action == hashmatch.Allow || strings.Contains(fmt.Sprint(o.Verdict.Failures), "127.0.0.1") {
		t.Errorf("%+v", o)
	}
}

type observer chan gate.Outcome

func (o observer) Checked(_ gate.Upload, outcome gate.Outcome) { o <- outcome }
