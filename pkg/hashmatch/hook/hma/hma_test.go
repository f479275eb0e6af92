package hma

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// The hashes of the listed picture of the demonstration list, and one of nothing.
const (
	harbour    = "e61cc0f411f70fc803bcf2629b867c0b7e02ef3610c903fcc7fc0beca2a5fc07"
	harbourMD5 = "f1b151ac05d713c7fa06b19a6fd0e705"
	nothing    = "aaaa5555aaaa5555aaaa5555aaaa55553333cccc3333cccc3333cccc3333cccc"
)

func testConfig(t testing.TB, engine *config.Engine, checker hook.Checker) Config {
	surface := hooktest.Surface(t)
	return Config{
		Checker: checker, Hasher: engine.Scanner, Lists: engine.Lists, Ready: func() error { return nil },
		Surface: func() (hashmatch.Surface, error) { return surface, nil },
		Policy:  func() hashmatch.Policy { return engine.Policy() },
	}
}

func newTest(t testing.TB, change func(*Config)) *Handler {
	t.Helper()
	c := testConfig(t, hooktest.Engine(t), hooktest.Gate(t, nil))
	if change != nil {
		change(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func do(h http.Handler, method, target, contentType string, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	return do(h, "GET", target, "", nil)
}

// form returns a body of files, by field names: "photo=x.jpg" is a file, "note" a value.
func form(t testing.TB, content []byte, fields ...string) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, field := range fields {
		name, file, isFile := strings.Cut(field, "=")
		var w io.Writer
		var err error
		if isFile {
			w, err = m.CreateFormFile(name, file)
		} else {
			w, err = m.CreateFormField(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), b.Bytes()
}

func upload(t testing.TB, h http.Handler, target, name string) *httptest.ResponseRecorder {
	t.Helper()
	content, err := os.ReadFile(hooktest.Data(t, "uploads", name))
	if err != nil {
		t.Fatal(err)
	}
	contentType, body := form(t, content, "photo=x")
	return do(h, "POST", target, contentType, body)
}

// banksOf reads the answer to a lookup as a known client does: without a look at the status, the members of whatever
// object it gets are banks. It returns an error where that client has one.
func banksOf(body []byte) ([]string, error) {
	banks := map[string]any{}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&banks); err != nil {
		return nil, err
	}
	var names []string
	for name := range banks {
		names = append(names, name)
	}
	return names, nil
}

func TestRequests(t *testing.T) {
	h := newTest(t, nil)
	near := strings.Replace(harbour, "e61c", "e61f", 1)
	id := ContentID("demo", hashmatch.EntryKey{ID: "synthetic-harbour"})
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + harbour, "", 200, fmt.Sprintf(`{"matches":[%d]}`, id)},
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + near + "&include_distance=true", "", 200, fmt.Sprintf(`{"matches":[{"bank_content_id":%d,"distance":"2"}]}`, id)},
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + nothing, "", 200, `{"matches":[]}`},
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + harbour + "&banks=demo&seed=1", "", 200, fmt.Sprintf(`{"matches":[%d]}`, id)},
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + harbour + "&banks=other", "", 400, ""},
		{"GET", "/m/raw_lookup?signal_type=pdq&signal=" + harbour + "&include_distance=perhaps", "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq&signal=" + near, "", 200, fmt.Sprintf(`{"demo":[{"bank_content_id":%d,"distance":"2"}]}`, id)},
		{"GET", "/m/lookup?signal_type=md5&signal=" + harbourMD5, "", 200, fmt.Sprintf(`{"demo":[{"bank_content_id":%d,"distance":"-"}]}`, id)},
		{"GET", "/m/lookup?signal_type=video_md5&signal=" + strings.ToUpper(harbourMD5), "", 200, fmt.Sprintf(`{"demo":[{"bank_content_id":%d,"distance":"-"}]}`, id)},
		{"GET", "/m/lookup?signal_type=pdq&signal=" + nothing, "", 200, `{}`},
		{"GET", "/m/lookup?signal_type=pdq&signal=" + strings.Repeat("0", 64), "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq&signal=", "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq&signal=abc", "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq&signal=" + nothing + "&signal=" + harbour, "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq&signal=" + nothing + "&banks=demo,", "", 400, ""},
		{"GET", "/m/lookup?signal_type=pdq;signal=" + nothing, "", 400, ""},
		{"GET", "/m/lookup?signal_type=tmk&signal=00", "", 400, ""},
		{"GET", "/m/lookup?signal_type=dhash256&signal=" + nothing, "", 400, ""}, // no list holds it
		{"GET", "/m/lookup", "", 400, ""},
		{"GET", "/m/lookup?url=http://127.0.0.1/x", "", 403, ""},
		{"GET", "/h/hash?url=file:///etc/passwd", "", 403, ""},
		{"GET", "/h/hash", "", 400, ""},
		{"POST", "/h/hash", "x", 400, ""},
		{"POST", "/m/lookup", "x", 400, ""},
		{"POST", "/m/compare", `{"pdq":["` + harbour + `","` + near + `"]}`, 200, `{"pdq":[true,{"distance":2}]}`},
		{"POST", "/m/compare", `{"pdq":["` + harbour + `","` + nothing + `"],"md5":["` + harbourMD5 + `","` + harbourMD5 + `"]}`, 200, ""},
		{"POST", "/m/compare", `{}`, 400, ""},
		{"POST", "/m/compare", `[]`, 400, ""},
		{"POST", "/m/compare", `{"pdq":["` + harbour + `"]}`, 400, ""},
		{"POST", "/m/compare", `{"pdq":["x","y"]}`, 400, ""},
		{"POST", "/m/compare", `{"pdq":["` + harbour + `","` + near + `"]} {}`, 400, ""},
		{"POST", "/m/compare", strings.Repeat(" ", maxCompare+1), 413, ""},
		{"GET", "/c/banks", "", 200, `[{"name":"demo","matching_enabled_ratio":1}]`},
		{"GET", "/c/bank/demo", "", 200, `{"name":"demo","matching_enabled_ratio":1}`},
		{"GET", "/c/bank/other", "", 404, ""},
		{"POST", "/c/banks", `{"name":"X"}`, 405, ""},
		{"PUT", "/c/bank/demo", `{}`, 405, ""},
		{"DELETE", "/c/bank/demo", "", 405, ""},
		{"POST", "/c/bank/demo/content", "", 405, ""},
		{"PUT", "/m/lookup", "", 405, ""},
		{"GET", "/m/compare", "", 405, ""},
		{"GET", "/", "", 404, ""},
		{"GET", "/m/index/status?signal_type=tmk", "", 400, ""},
		{"GET", "/status", "", 200, "I-AM-ALIVE"},
		{"GET", "/status/live", "", 200, "I-AM-ALIVE"},
	} {
		w := do(h, c.method, c.target, "", []byte(c.body))
		got := strings.TrimSpace(w.Body.String())
		if w.Code != c.status || c.want != "" && got != c.want {
			t.Errorf("%s %s %.80s: %d %s, want %d %s", c.method, c.target, c.body, w.Code, got, c.status, c.want)
		}
		if c.status >= 400 {
			checkError(t, w)
		}
	}
	if id <= 0 || id >= 1<<53 || id != ContentID("demo", hashmatch.EntryKey{ID: "synthetic-harbour"}) || id == ContentID("dem", hashmatch.EntryKey{ID: "osynthetic-harbour"}) {
		t.Errorf("content ID %d", id)
	}
	var s map[string]status
	w := get(h, "/m/index/status")
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || !s["pdq"].Present || s["pdq"].Size == 0 || s["video_md5"] != s["md5"] || s["dhash256"].Present || s["dhash256"].BuiltTo != -1 {
		t.Errorf("%v, %s", err, w.Body)
	}
}

// checkError checks that no client takes an error for an answer.
func checkError(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if banks, err := banksOf(w.Body.Bytes()); err == nil {
		t.Errorf("a client reads banks %q from the error %q", banks, w.Body)
	}
	if w.Body.Len() == 0 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("the error %q of type %q", w.Body, w.Header().Get("Content-Type"))
	}
}

func TestFiles(t *testing.T) {
	h := newTest(t, nil)
	for name, want := range map[string]string{
		"exact-copy.jpg": "pdq md5", "near-resized.jpg": "pdq", "mirrored.jpg": "pdq", "near-frame3of4.gif": "pdq",
		"clean-landscape.jpg": "", "clean-poster.png": "",
	} {
		w := upload(t, h, "/m/lookup", name)
		var byType map[string]bankMatches
		if err := json.Unmarshal(w.Body.Bytes(), &byType); err != nil || w.Code != 200 || len(byType) == 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		for _, kind := range strings.Fields(want) {
			if len(byType[kind]["demo"]) == 0 {
				t.Errorf("%s: no match of %s in %s", name, kind, w.Body)
			}
		}
		if want == "" && strings.Contains(w.Body.String(), "demo") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	for _, target := range []string{"/m/lookup", "/h/hash"} {
		for _, name := range []string{"unreadable-truncated.jpg", "unreadable-garbled.png", "notes.txt"} {
			w := upload(t, h, target, name)
			if w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s %s: %d %s", target, name, w.Code, w.Body)
			}
			checkError(t, w)
		}
		for name, fields := range map[string][]string{
			"two files":     {"photo=x", "photo=y"},
			"two fields":    {"photo=x", "video=y"},
			"no file":       {"photo"},
			"another field": {"file=x"},
			"nothing":       {},
			"many values":   slices.Repeat([]string{"a"}, maxParts+1),
		} {
			clean, err := os.ReadFile(hooktest.Data(t, "uploads", "clean-landscape.jpg"))
			if err != nil {
				t.Fatal(err)
			}
			contentType, body := form(t, clean, fields...)
			w := do(h, "POST", target, contentType, body)
			if w.Code != 400 {
				t.Errorf("%s, %s: %d %s", target, name, w.Code, w.Body)
			}
			checkError(t, w)
		}
		clean, _ := os.ReadFile(hooktest.Data(t, "uploads", "clean-landscape.jpg"))
		contentType, body := form(t, clean, "photo=x")
		w := do(h, "POST", target, contentType, body[:len(body)-20]) // cut off
		if w.Code < 400 {
			t.Errorf("%s, cut off: %d %s", target, w.Code, w.Body)
		}
		checkError(t, w)
		contentType, body = form(t, clean, "note", "photo=x")
		if w := do(h, "POST", target, contentType, body); w.Code != 200 {
			t.Errorf("%s with a value before: %d %s", target, w.Code, w.Body)
		}
	}
	if w := upload(t, h, "/m/lookup?banks=other", "clean-landscape.jpg"); w.Code != 400 {
		t.Errorf("an unknown bank: %d", w.Code)
	}
	var hashes map[string]string
	w := upload(t, h, "/h/hash", "exact-copy.jpg")
	if err := json.Unmarshal(w.Body.Bytes(), &hashes); err != nil || hashes["pdq"] != harbour || hashes["md5"] != harbourMD5 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := upload(t, h, "/h/hash?types=pdq", "exact-copy.jpg"); strings.TrimSpace(w.Body.String()) != `{"pdq":"`+harbour+`"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, types := range []string{"tmk", ",", "dhash256"} {
		if w := upload(t, h, "/h/hash?types="+types, "exact-copy.jpg"); w.Code != 400 {
			t.Errorf("types %q: %d %s", types, w.Code, w.Body)
		}
	}
	// One hash of an animation would hide its other pictures.
	if w := upload(t, h, "/h/hash", "near-frame3of4.gif"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an animation: %d %s", w.Code, w.Body)
	}
	contentType, body := form(t, []byte("\x00\x00\x00\x18ftypmp42 a film"), "video=x")
	w = do(h, "POST", "/h/hash", contentType, body)
	hashes = nil
	if err := json.Unmarshal(w.Body.Bytes(), &hashes); err != nil || len(hashes["video_md5"]) != 32 || len(hashes) != 2 {
		t.Errorf("a video: %d %s", w.Code, w.Body)
	}
}

// While nothing can be trusted there is no empty answer.
func TestNotReady(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"not ready": func(c *Config) { c.Ready = func() error { return errors.New("no canary") } },
		"no lists":  func(c *Config) { c.Lists = func() *lookup.Set { return nil } },
	} {
		h := newTest(t, change)
		for _, target := range []string{
			"/m/lookup?signal_type=pdq&signal=" + nothing, "/m/raw_lookup?signal_type=pdq&signal=" + nothing, "/m/index/status", "/c/banks",
			"/c/bank/demo", "/status", "/h/hash?url=http://x/",
		} {
			w := get(h, target)
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: %d %s", name, target, w.Code, w.Body)
			}
			checkError(t, w)
		}
		for _, target := range []string{"/m/lookup", "/h/hash", "/m/compare"} {
			if w := upload(t, h, target, "clean-landscape.jpg"); w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: %d %s", name, target, w.Code, w.Body)
			}
		}
		if w := get(h, "/status/live"); w.Code != 200 {
			t.Error(w.Code)
		}
	}
	refused := newTest(t, func(c *Config) {
		c.Surface = func() (hashmatch.Surface, error) { return hashmatch.Surface{}, nil }
	})
	if w := get(refused, "/m/lookup?signal_type=pdq&signal="+nothing); w.Code != http.StatusForbidden {
		t.Errorf("an undeclared surface: %d", w.Code)
	}
	panics := newTest(t, func(c *Config) { c.Policy = func() hashmatch.Policy { panic("for the test") } })
	w := get(panics, "/m/lookup?signal_type=pdq&signal="+nothing)
	if w.Code != 500 {
		t.Errorf("a panic: %d", w.Code)
	}
	checkError(t, w)
	busy := newTest(t, func(c *Config) { c.Concurrency, c.QueueTimeout = 1, 10*time.Millisecond })
	busy.turns <- struct{}{}
	if w := get(busy, "/m/lookup?signal_type=pdq&signal="+nothing); w.Code != 503 {
		t.Errorf("no turn: %d", w.Code)
	}
}

func TestAuthorize(t *testing.T) {
	answer := error(nil)
	h := newTest(t, func(c *Config) {
		c.Authorize = func(*http.Request) (hook.Caller, error) { return hook.Caller{Name: "x"}, answer }
	})
	target := "/m/lookup?signal_type=pdq&signal=" + nothing
	if w := get(h, target); w.Code != 200 {
		t.Error(w.Code)
	}
	for want, err := range map[int]error{401: hook.ErrUnauthenticated, 403: hook.ErrForbidden, 429: &hook.RateError{RetryAfter: time.Minute}} {
		answer = err
		w := get(h, target)
		if w.Code != want {
			t.Errorf("%d, want %d", w.Code, want)
		}
		checkError(t, w)
		if w := get(h, "/status"); w.Code != 200 {
			t.Errorf("/status: %d", w.Code)
		}
	}
}

func TestFetch(t *testing.T) {
	clean, err := os.ReadFile(hooktest.Data(t, "uploads", "near-resized.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	media := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/pub/near.jpg":
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = w.Write(clean)
		case "/pub/away":
			http.Redirect(w, r, "/secret", http.StatusFound)
		case "/pub/text":
			w.Header().Set("Content-Type", "text/plain")
		case "/pub/short":
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Length", fmt.Sprint(len(clean)))
			_, _ = w.Write(clean[:len(clean)/2])
		default:
			w.WriteHeader(404)
		}
	}))
	defer media.Close()
	h := newTest(t, func(c *Config) { c.FetchFrom = []string{media.URL + "/pub/"} })
	look := func(target string) *httptest.ResponseRecorder {
		return get(h, "/m/lookup?url="+url.QueryEscape(target))
	}
	if w := look(media.URL + "/pub/near.jpg"); w.Code != 200 || !strings.Contains(w.Body.String(), `"pdq":{"demo"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(h, "/m/lookup?signal_type=pdq&url="+url.QueryEscape(media.URL+"/pub/near.jpg")); w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"demo"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(h, "/h/hash?types=pdq&url="+url.QueryEscape(media.URL+"/pub/near.jpg")); w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"pdq"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for path, want := range map[string]int{"/pub/away": 502, "/pub/absent": 502, "/pub/text": 400, "/pub/short": 422} {
		w := look(media.URL + path)
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		checkError(t, w)
	}
	before := asked
	for _, target := range []string{
		media.URL + "/secret", media.URL + "/pub/../secret", media.URL + "/pub/%2e%2e/secret", media.URL + "/pub%2fx",
		strings.Replace(media.URL, "http://", "http://u:p@", 1) + "/pub/near.jpg", strings.Replace(media.URL, "127.0.0.1", "localhost", 1) + "/pub/near.jpg",
		"file:///etc/passwd", "//" + media.Listener.Addr().String() + "/pub/near.jpg", "http:127.0.0.1/pub/", "http://169.254.169.254/", "\x00",
		media.URL + "/pub\\..\\x",
	} {
		w := look(target)
		if w.Code != http.StatusForbidden {
			t.Errorf("%q: %d %s", target, w.Code, w.Body)
		}
		checkError(t, w)
	}
	if asked != before {
		t.Errorf("%d files were fetched that were not allowed", asked-before)
	}
	for _, from := range []string{"", "x", "http://h", "http://h/a", "ftp://h/", "http://u@h/", "http://h/a/../b/", "http://h/?x"} {
		if _, err := newFetcher([]string{from}, time.Second); err == nil {
			t.Errorf("%q: taken", from)
		}
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"no checker": func(c *Config) { c.Checker = nil }, "no surface": func(c *Config) { c.Surface = nil },
		"no hasher": func(c *Config) { c.Hasher = nil }, "no lists": func(c *Config) { c.Lists = nil },
		"no policy": func(c *Config) { c.Policy = nil }, "readiness": func(c *Config) { c.Ready = nil },
	} {
		c := testConfig(t, hooktest.Engine(t), hooktest.Gate(t, nil))
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestConformance sends files as a client does that takes nothing but a 200 without a match for clean.
func TestConformance(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
		c := testConfig(t, hooktest.Engine(t), checker)
		c.Surface = func() (hashmatch.Surface, error) { return surface, nil }
		h, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return func(t *testing.T, path string) bool {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			contentType, body := form(t, content, "photo=secret.jpg")
			response, err := http.Post(server.URL+"/m/lookup", contentType, bytes.NewReader(body))
			if err != nil {
				return false
			}
			defer response.Body.Close()
			var byType map[string]map[string][]match
			if response.StatusCode != 200 || json.NewDecoder(response.Body).Decode(&byType) != nil || len(byType) == 0 {
				return false
			}
			for _, banks := range byType {
				if len(banks) > 0 {
					return false
				}
			}
			return true
		}
	})
}

// Whatever a query or body is, the answer is one that clients read rightly.
func FuzzQuery(f *testing.F) {
	h := newTest(f, nil)
	for _, q := range []string{
		"signal_type=pdq&signal=" + harbour, "signal_type=md5&signal=" + harbourMD5 + "&banks=demo", "signal_type=pdq&signal=" + nothing + "&include_distance=1",
		"url=http://127.0.0.1/", "a=%zz", "signal_type=;", "signal=&signal=", "banks=,&signal_type=pdq&signal=" + harbour,
	} {
		f.Add(q, `{"pdq":["`+harbour+`","`+nothing+`"]}`)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, path := range []string{"/m/lookup", "/m/raw_lookup", "/h/hash", "/m/index/status", "/m/compare"} {
			method := "GET"
			if path == "/m/compare" {
				method = "POST"
			}
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			switch {
			case w.Code >= 500:
				t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
			case w.Code >= 400:
				checkError(t, w)
			case !json.Valid(w.Body.Bytes()) || bytes.HasPrefix(w.Body.Bytes(), []byte("null")):
				t.Fatalf("%s?%s: %q", path, query, w.Body)
			}
		}
	})
}
