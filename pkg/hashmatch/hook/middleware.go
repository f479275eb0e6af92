package hook

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// MiddlewareConfig is what a Middleware is made of. Checker and Surface are required.
type MiddlewareConfig struct {
	Checker Checker
	// Surface returns the declared surface on which what a request carries is to be published; false for a request
	// that is no public upload, which is passed on unread. It must not read the body. A surface that was not declared
	// refuses the request.
	Surface func(r *http.Request) (hashmatch.Surface, bool)
	// Item returns the item ID of a request, by which effects are idempotent; nil, or "", means a random one. Parts of
	// a multipart body are "ID/1", "ID/2" and so on.
	Item func(r *http.Request) string

	MaxBytes int64 // of one body, all of which is kept in memory; 0 means DefaultSpool. A longer one is refused.
	MaxParts int   // of a multipart body; 0 means DefaultMaxParts
	Memory   int64 // of the bodies of all requests at once; 0 means DefaultSpoolMemory. A body for which there is no room is refused.
	// OnReject answers a request that is not passed on; nil means a Problem (RFC 9457). It must not publish anything.
	OnReject func(w http.ResponseWriter, r *http.Request, rejection Rejection)
	Logger   *slog.Logger // failures of the middleware's own; nil means silence
}

// The defaults of MiddlewareConfig.
const (
	DefaultSpool       = hashmatch.DefaultMaxBytes + 1<<20
	DefaultSpoolMemory = 512 << 20
)

// Rejection is why a request is not passed on. Its Problem may be shown to the uploader: it says neither which list
// nor how near.
type Rejection struct {
	Problem Problem
	Answer  Answer // with its details, for the host only; its Results are empty if nothing was scanned
}

// Middleware returns a middleware that scans what requests upload before the handler behind it sees them. The handler
// gets an equal body, and only if every upload in it is allowed. A multipart body is written anew from the parts as
// they were scanned, with another boundary, so that the handler cannot find a part that was not looked at.
//
// It panics on a config without Checker or Surface: a program that is put together like that must not start.
func Middleware(config MiddlewareConfig) func(http.Handler) http.Handler {
	if config.Checker == nil || config.Surface == nil {
		panic("hook.Middleware: Checker and Surface are required")
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultSpool
	}
	if config.MaxParts <= 0 {
		config.MaxParts = DefaultMaxParts
	}
	if config.Memory <= 0 {
		config.Memory = DefaultSpoolMemory
	}
	if config.OnReject == nil {
		config.OnReject = func(w http.ResponseWriter, _ *http.Request, rejection Rejection) {
			if rejection.Problem.Status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", retryAfter)
			}
			WriteProblem(w, rejection.Problem)
		}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	m := &middleware{MiddlewareConfig: config}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}
}

type middleware struct {
	MiddlewareConfig
	used atomic.Int64 // bytes of bodies in memory
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	surface, upload := m.Surface(r)
	if !upload || !carriesBody(r) {
		next.ServeHTTP(w, r)
		return
	}
	body := &spool{used: &m.used, memory: m.Memory}
	defer body.release()
	scanned, rejection := m.judge(r, surface, body)
	if rejection != nil {
		m.OnReject(w, r, *rejection)
		return
	}
	next.ServeHTTP(w, scanned)
}

// carriesBody reports whether there is something to scan: whatever the method, if there is a body; and an upload
// without one, which is a failure.
func carriesBody(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return r.ContentLength != 0
}

// judge returns the request that the handler is to see, or why it is to see none. A panic is a no.
func (m *middleware) judge(r *http.Request, surface hashmatch.Surface, body *spool) (scanned *http.Request, rejection *Rejection) {
	defer func() {
		if failure := recover(); failure != nil {
			m.Logger.Error("an upload could not be judged", "panic", failure)
			scanned, rejection = nil, &Rejection{Problem: problemInternal}
		}
	}()
	scanned, answer, err := m.scan(r, surface, body)
	if err == nil && answer.Action == hashmatch.Allow {
		return scanned, nil
	}
	var p Problem
	switch {
	case errors.As(err, &p):
	case err != nil:
		m.Logger.Error("an upload could not be judged", "error", err)
		p = problemInternal
	case answer.Retry:
		p = problemOverloaded
	default:
		p = problemHeld
	}
	return nil, &Rejection{Problem: p, Answer: answer}
}

func (m *middleware) scan(r *http.Request, surface hashmatch.Surface, body *spool) (*http.Request, Answer, error) {
	if !surface.Declared() {
		return nil, Answer{}, problemSurface
	}
	if err := m.checkRequest(r); err != nil {
		return nil, Answer{}, err
	}
	boundary, multipart, err := Boundary(r.Header)
	if err != nil {
		return nil, Answer{}, problemMultipart.with(err.Error())
	}
	item := ""
	if m.Item != nil {
		item = m.Item(r)
	}
	if gate.CheckID(item) != nil {
		return nil, Answer{}, problemItem
	}
	if err := body.fill(r.Body, m.MaxBytes); err != nil {
		return nil, Answer{}, err
	}
	if r.ContentLength >= 0 && body.length != r.ContentLength {
		return nil, Answer{}, problemRequest.with("the body is not as long as it says")
	}
	if multipart {
		return m.scanParts(r, surface, item, body, boundary)
	}
	result, err := m.check(r, surface, 1, item, body.section(0, body.length), body.length)
	if err != nil {
		return nil, Answer{}, err
	}
	return replaced(r, body.section(0, body.length), body.length), newAnswer(result.Item, surface.Name(), []Result{result}), nil
}

// checkRequest refuses what can be read in another way than it is scanned, before the body is read.
func (m *middleware) checkRequest(r *http.Request) error {
	switch {
	case r.ContentLength > m.MaxBytes:
		return problemTooLong
	case r.MultipartForm != nil || len(r.PostForm) > 0:
		return errors.New("a handler before the middleware has read the body")
	}
	return whole(r)
}

// scanParts scans every upload of a multipart body and writes it anew.
func (m *middleware) scanParts(r *http.Request, surface hashmatch.Surface, item string, body *spool, boundary string) (*http.Request, Answer, error) {
	if item == "" {
		item = hashmatch.NewItemID()
	}
	if gate.CheckID(fmt.Sprintf("%s/%d", item, m.MaxParts)) != nil {
		return nil, Answer{}, problemItem
	}
	parts := NewParts(body.section(0, body.length), boundary, m.MaxParts)
	anew := &rewriter{body: body, boundary: "hashmatch-" + rand.Text() + rand.Text()}
	var results []Result
	for {
		one, err := parts.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, Answer{}, bodyProblem(err)
		}
		if err := anew.header(one); err != nil {
			return nil, Answer{}, problemMultipart.with(err.Error())
		}
		_, upload, err := one.Open()
		if err != nil {
			return nil, Answer{}, bodyProblem(err)
		}
		if upload != nil {
			result, err := m.check(r, surface, one.number, fmt.Sprintf("%s/%d", item, one.number), upload, 0)
			if err != nil {
				return nil, Answer{}, err
			}
			results = append(results, result)
		}
		if err := parts.finish(); err != nil {
			return nil, newAnswer(item, surface.Name(), results), bodyProblem(err)
		}
		if n := len(results); upload != nil && results[n-1].Action != hashmatch.Allow { // the rest is not passed on either
			return nil, newAnswer(item, surface.Name(), results), nil
		}
		anew.content(one)
	}
	answer := newAnswer(item, surface.Name(), results)
	if len(results) == 0 { // form values only: there is nothing to scan
		answer.Action = hashmatch.Allow
	}
	content, length := anew.end()
	scanned := replaced(r, content, length)
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	scanned.Header.Set("Content-Type", mime.FormatMediaType(strings.TrimSpace(kind), map[string]string{"boundary": anew.boundary}))
	return scanned, answer, nil
}

func (m *middleware) check(r *http.Request, surface hashmatch.Surface, part int, item string, content io.Reader, size int64) (Result, error) {
	outcome, err := m.Checker.Check(r.Context(), gate.Upload{
		ID: item, Surface: surface, Dialect: "middleware", Content: content, Size: size,
	})
	if err != nil {
		if errors.Is(err, hashmatch.ErrSurfaceRefused) {
			return Result{}, problemSurface
		}
		return Result{}, err
	}
	return newResult(part, outcome, true), nil
}

// replaced returns r with another body, and without the headers that spoke of the old one.
func replaced(r *http.Request, body io.Reader, length int64) *http.Request {
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	out.Body, out.ContentLength = io.NopCloser(body), length
	out.TransferEncoding, out.Trailer, out.GetBody = nil, nil, nil
	out.Header.Set("Content-Length", strconv.FormatInt(length, 10))
	for _, name := range []string{"Expect", "Trailer", "Transfer-Encoding", "Content-Md5", "Digest", "Content-Digest"} {
		out.Header.Del(name)
	}
	return out
}

// rewriter writes a multipart body anew. The contents are sections of the old one.
type rewriter struct {
	body     *spool
	boundary string
	pieces   []io.Reader
	length   int64
}

func (w *rewriter) text(text string) {
	w.pieces, w.length = append(w.pieces, strings.NewReader(text)), w.length+int64(len(text))
}

// header writes the headers of one part: those that were understood, as they were understood.
func (w *rewriter) header(p *Part) error {
	var text strings.Builder
	text.WriteString("--" + w.boundary + "\r\n")
	if p.disposition != "" {
		line := p.disposition
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		if p.name != "" {
			line += `; name="` + quote.Replace(p.name) + `"`
		}
		if p.named {
			line += `; filename="` + quote.Replace(p.filename) + `"`
		}
		again, parameters, err := mime.ParseMediaType(line)
		filename, named := parameters["filename"]
		if err != nil || again != p.disposition || parameters["name"] != p.name || filename != p.filename || named != p.named {
			return MultipartError(fmt.Sprintf("part %d: a name that cannot be written again", p.number))
		}
		text.WriteString("Content-Disposition: " + line + "\r\n")
	}
	if p.contentType != "" {
		text.WriteString("Content-Type: " + p.contentType + "\r\n")
	}
	text.WriteString("\r\n")
	w.text(text.String())
	return nil
}

func (w *rewriter) content(p *Part) {
	w.pieces, w.length = append(w.pieces, w.body.section(p.start, p.end)), w.length+p.end-p.start
	w.text("\r\n")
}

func (w *rewriter) end() (io.Reader, int64) {
	w.text("--" + w.boundary + "--\r\n")
	return io.MultiReader(w.pieces...), w.length
}

// spool is a body in memory, in chunks, so that no more is taken than twice what came.
type spool struct {
	chunks [][]byte
	length int64

	used   *atomic.Int64
	memory int64
	taken  int64
}

// The sizes of the first and the longest chunk.
const (
	firstChunk = 16 << 10
	maxChunk   = 4 << 20
)

// fill reads a body of up to limit bytes.
func (s *spool) fill(body io.Reader, limit int64) error {
	capped := &cappedBody{r: body, left: limit}
	for size := int64(firstChunk); ; size = min(2*size, maxChunk) {
		size = min(size, limit-s.length+1)
		if s.used.Add(size) > s.memory {
			s.used.Add(-size)
			return problemOverloaded
		}
		s.taken += size
		chunk := make([]byte, size)
		n, err := io.ReadFull(capped, chunk)
		s.chunks, s.length = append(s.chunks, chunk[:n]), s.length+int64(n)
		var failure *hashmatch.Failure
		switch {
		case err == nil:
		case capped.err == nil: // the end
			return nil
		case errors.As(err, &failure) && failure.Code == hashmatch.TooLarge:
			return problemTooLong
		case errors.As(err, &failure) && failure.Code == hashmatch.TimedOut:
			return problemTimeout
		default:
			return problemRequest.with("the body ended before its end")
		}
	}
}

// section returns a reader of the bytes from start to end.
func (s *spool) section(start, end int64) io.Reader {
	var readers []io.Reader
	at := int64(0)
	for _, chunk := range s.chunks {
		from, to := max(start-at, 0), min(end-at, int64(len(chunk)))
		if from < to {
			readers = append(readers, bytes.NewReader(chunk[from:to]))
		}
		at += int64(len(chunk))
	}
	return io.MultiReader(readers...)
}

func (s *spool) release() {
	s.used.Add(-s.taken)
	s.taken, s.chunks = 0, nil
}
