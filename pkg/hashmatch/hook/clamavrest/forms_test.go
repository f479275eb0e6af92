package clamavrest_test

import (
	"net/http/httptest"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hook/clamavrest"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

func TestForms(t *testing.T) {
	s := httptest.NewServer(handler(t, func(c *clamavrest.Config) { c.Checker = hooktest.Words{} }))
	defer s.Close()
	for _, path := range []string{"/v2/scan", "/scan"} {
		t.Run(path, func(t *testing.T) {
			hooktest.RunForms(t, func(t *testing.T, f hooktest.Form) bool {
				status, _ := hooktest.Post(t, s.Listener.Addr().String(), path, f)
				return status == 200
			})
		})
	}
}

// TestFormIsNoBody: what /scanHandlerBody takes is an upload, not a form with one.
func TestFormIsNoBody(t *testing.T) {
	s := httptest.NewServer(handler(t, func(c *clamavrest.Config) { c.Checker = hooktest.Words{} }))
	defer s.Close()
	for _, f := range hooktest.Forms() {
		if status, _ := hooktest.Post(t, s.Listener.Addr().String(), "/scanHandlerBody", f); status == 200 {
			t.Errorf("%s: 200", f.Name)
		}
	}
	for _, kind := range []string{"image/png", "application/octet-stream", "application/x-www-form-urlencoded"} {
		f := hooktest.Form{Fields: []string{"Content-Type: " + kind}, Body: "clean"}
		if status, body := hooktest.Post(t, s.Listener.Addr().String(), "/scanHandlerBody", f); status != 200 {
			t.Errorf("%s: %d %s", kind, status, body)
		}
	}
}
