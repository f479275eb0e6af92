package pictrs_test

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzRequest: whatever the request, the answer is one of those that are documented, and 204 is said of nothing but a
// whole, plain body that the gate allowed.
func FuzzRequest(f *testing.F) {
	for _, s := range []struct{ method, kind, name, value, body string }{
		{"POST", "image/jpeg", "", "", "clean"},
		{"PUT", "", "", "", "listed"},
		{"GET", "image/png", "Content-Length", "5", "clean"},
		{"POST", "multipart/form-data; boundary=x", "", "", "clean"},
		{"POST", "MULTIPART/form-data;;boundary", "", "", "clean"},
		{"POST", "image/jpeg", "Content-Encoding", "gzip", "clean"},
		{"POST", "image/jpeg", "Content-Encoding", " Identity ", "clean"},
		{"PATCH", "image/jpeg", "Upload-Offset", "5", "clean"},
		{"DELETE", "image/jpeg", "", "", "clean"},
		{"POST", "image/jpeg", "Content-Range", "bytes 0-4/5", "panic"},
		{"POST", "application/x-www-form-urlencoded", "", "", "not ready"},
	} {
		f.Add(s.method, s.kind, s.name, s.value, s.body)
	}
	h := handler(f)
	documented := []int{http.StatusNoContent, http.StatusForbidden, http.StatusServiceUnavailable,
		http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed}
	f.Fuzz(func(t *testing.T, method, kind, name, value, body string) {
		r, err := http.NewRequest(method, "http://localhost/", strings.NewReader(body))
		if err != nil {
			t.Skip("no method")
		}
		r.Header["Content-Type"] = []string{"", kind}
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !slices.Contains(documented, w.Code) {
			t.Fatalf("status %d", w.Code)
		}
		if w.Code != http.StatusNoContent {
			return
		}
		if body != "clean" {
			t.Errorf("%q was passed", body)
		}
		for _, v := range r.Header["Content-Type"] {
			if parsed, _, err := mime.ParseMediaType(v); err == nil && strings.HasPrefix(parsed, "multipart/") {
				t.Errorf("a body of type %q was passed as one upload", v)
			}
		}
		for _, part := range []string{"Content-Encoding", "Content-Range", "Upload-Offset"} {
			if v := strings.TrimSpace(r.Header.Get(part)); v != "" && !strings.EqualFold(v, "identity") {
				t.Errorf("a body with %s: %s was passed as the whole upload", part, v)
			}
		}
	})
}
