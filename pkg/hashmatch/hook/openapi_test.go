package hook

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// document is the OpenAPI document, as far as responses are checked against it.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]*schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema *schema }
		Headers map[string]any
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Nullable             bool
	Enum                 []any
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties json.RawMessage
	Items                *schema
	Minimum              *float64
}

func readDocument(t testing.TB) *document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Paths) < 10 || len(d.Components.Schemas) < 10 {
		t.Fatal("the document is empty")
	}
	return &d
}

// check returns why value is none that the schema allows.
func (d *document) check(s *schema, value any, at string) error {
	if s == nil {
		return fmt.Errorf("%s: no schema", at)
	}
	if s.Ref != "" {
		return d.check(d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")], value, at)
	}
	if value == nil {
		if s.Nullable || s.Type == "" {
			return nil
		}
		return fmt.Errorf("%s: null", at)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		return fmt.Errorf("%s: %v is none of %v", at, value, s.Enum)
	}
	wrong := fmt.Errorf("%s: %T, want %s", at, value, s.Type)
	switch s.Type {
	case "":
		return nil
	case "string":
		text, ok := value.(string)
		if !ok {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339Nano, text); s.Format == "date-time" && err != nil {
			return wrong
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return wrong
		}
	case "integer", "number":
		n, ok := value.(float64)
		if !ok || s.Type == "integer" && n != math.Trunc(n) || s.Minimum != nil && n < *s.Minimum {
			return wrong
		}
	case "array":
		list, ok := value.([]any)
		if !ok {
			return wrong
		}
		for i, item := range list {
			if err := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "object":
		return d.object(s, value, at)
	default:
		return fmt.Errorf("%s: the document has a type %q", at, s.Type)
	}
	return nil
}

func (d *document) object(s *schema, value any, at string) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %T, want an object", at, value)
	}
	for _, name := range s.Required {
		if _, there := object[name]; !there {
			return fmt.Errorf("%s: no %s", at, name)
		}
	}
	var rest *schema
	open := len(s.AdditionalProperties) == 0 || string(s.AdditionalProperties) == "true"
	if !open && string(s.AdditionalProperties) != "false" {
		if err := json.Unmarshal(s.AdditionalProperties, &rest); err != nil {
			return err
		}
	}
	for name, item := range object {
		of := s.Properties[name]
		if of == nil {
			of = rest
		}
		if of == nil {
			if open {
				continue
			}
			return fmt.Errorf("%s: %s is not in the document", at, name)
		}
		if err := d.check(of, item, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// operation returns the documented operation of a request.
func (d *document) operation(method, path string) (operation, string) {
	for pattern, operations := range d.Paths {
		expression := "^" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(regexp.QuoteMeta(pattern), "[^/]+") + "$"
		expression = regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(expression, "[^/]+")
		if regexp.MustCompile(expression).MatchString(path) {
			for m, o := range operations { // one method a path: another one is 405, and documented there
				return o, m + " " + pattern
			}
		}
	}
	return operation{}, ""
}

// checked serves through h, and checks every answer against the document. seen counts them by operation and status.
func checked(t testing.TB, h http.Handler, seen map[string]int) http.Handler {
	d := readDocument(t)
	var mu sync.Mutex // over seen
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, r)
		mu.Lock()
		err := d.answer(r, recorder, seen)
		mu.Unlock()
		if err != nil {
			t.Errorf("%s %s: %v\n%.500s", r.Method, r.URL, err, recorder.Body)
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

func (d *document) answer(r *http.Request, w *httptest.ResponseRecorder, seen map[string]int) error {
	o, name := d.operation(r.Method, r.URL.EscapedPath())
	if name == "" {
		if w.Code != http.StatusNotFound {
			return fmt.Errorf("status %d of a path that is not documented", w.Code)
		}
		return nil
	}
	for key := range r.URL.Query() {
		known := false
		for _, p := range o.Parameters {
			known = known || p.In == "query" && p.Name == key
		}
		if !known && w.Code < 400 {
			return fmt.Errorf("%s is taken, and not documented", key)
		}
	}
	response, ok := o.Responses[fmt.Sprint(w.Code)]
	if !ok {
		return fmt.Errorf("status %d is not documented", w.Code)
	}
	seen[fmt.Sprintf("%s %d", name, w.Code)]++
	for header := range response.Headers {
		if w.Header().Get(header) == "" {
			return fmt.Errorf("no %s", header)
		}
	}
	if len(response.Content) == 0 {
		if w.Body.Len() > 0 {
			return fmt.Errorf("a body that is not documented")
		}
		return nil
	}
	content, ok := response.Content[w.Header().Get("Content-Type")]
	if !ok {
		return fmt.Errorf("content type %q is not documented", w.Header().Get("Content-Type"))
	}
	var value any
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		return err
	}
	return d.check(content.Schema, value, "body")
}

// The paths that are served are those that are documented, and each problem has its type there.
func TestDocumentNamesEverything(t *testing.T) {
	d := readDocument(t)
	a := &api{APIConfig: APIConfig{Auth: newAuth(t, AuthConfig{}), Hasher: noHasher{}, Lists: noLists, Review: &queue{}, Breaker: &trips{}}}
	a.routes()
	var documented []string
	for path, operations := range d.Paths {
		documented = append(documented, path)
		if len(operations) != 1 {
			t.Errorf("%s: %d operations", path, len(operations))
		}
	}
	slices.Sort(documented)
	slices.Sort(a.paths)
	if !slices.Equal(documented, a.paths) {
		t.Errorf("documented %v\nserved %v", documented, a.paths)
	}
	types := map[any]bool{}
	for _, text := range d.Components.Schemas["Problem"].Properties["type"].Enum {
		types[text] = true
	}
	for _, p := range []Problem{problemRequest, problemItem, problemMultipart, problemNoUpload, problemHash, problemUnauthenticated, problemForbidden,
		problemSurface, problemHeld, problemNotFound, problemMethod, problemTimeout, problemDecided, problemChanged, problemAmbiguous, problemTooLong,
		problemTooManyParts, problemMedia, problemRate, problemInternal, problemOverloaded, problemNotReady} {
		if !types[p.Type] {
			t.Errorf("%s is not documented", p.Type)
		}
		delete(types, p.Type)
	}
	if len(types) > 0 {
		t.Errorf("documented, and never said: %v", types)
	}
}
