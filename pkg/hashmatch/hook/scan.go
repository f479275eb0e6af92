package hook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// The headers of an upload.
const (
	HeaderItem    = "Hashmatch-Item"    // the caller's name for the arrival
	HeaderSurface = "Hashmatch-Surface" // the surface that it is to be published on
)

// scanRequest is what a request to scan says besides its body.
type scanRequest struct {
	surface hashmatch.Surface
	item    string
	caller  Caller
	detail  bool
	status  bool // the status is to tell the verdict
	named   bool // parts may state their own item IDs
}

// scan answers for one upload, or for those of a multipart body.
func (a *api) scan(w http.ResponseWriter, r *http.Request) error {
	request, err := a.scanRequest(r)
	if err != nil {
		return err
	}
	if r.ContentLength > a.MaxBytes {
		return problemTooLong
	}
	boundary, multipart, err := Boundary(r.Header)
	if err != nil {
		return problemMultipart.with(err.Error())
	}
	body := &cappedBody{r: r.Body, left: a.MaxBytes}
	var answer Answer
	if multipart {
		answer, err = a.scanParts(r, request, body, boundary)
	} else {
		answer, err = a.scanRaw(r, request, body)
	}
	if err != nil {
		return err
	}
	// Many clients do not look at an answer before they have sent everything, and see a broken connection instead.
	_, _ = io.CopyN(io.Discard, body, drained)
	writeAnswer(w, answer, request.status || a.StatusByVerdict)
	return nil
}

// drained is how much of a body that was too long to scan is read before the answer.
const drained = 8 << 20

func (a *api) scanRequest(r *http.Request) (scanRequest, error) {
	request := scanRequest{caller: CallerOf(r.Context())}
	values, err := query(r, "item", "surface", "detail", "status", "part_items")
	if err != nil {
		return request, err
	}
	name, err := stated(r, values, HeaderSurface, "surface")
	if err != nil {
		return request, err
	}
	if request.surface, err = a.surface(r, name); err != nil {
		return request, err
	}
	if request.item, err = stated(r, values, HeaderItem, "item"); err != nil {
		return request, err
	}
	if err := gate.CheckID(request.item); err != nil {
		return request, problemItem.with(fmt.Sprintf("want up to %d bytes of printable UTF-8", gate.MaxIDLength))
	}
	if request.detail, err = flag(values, "detail"); err != nil {
		return request, err
	}
	if request.detail && !request.caller.May(ScopeLookup) && !request.caller.May(ScopeAdmin) {
		return request, problemForbidden.with("detail: needs the scope lookup or admin")
	}
	if request.status, err = flag(values, "status"); err != nil {
		return request, err
	}
	if request.named, err = flag(values, "part_items"); err != nil {
		return request, err
	}
	return request, whole(r)
}

func (a *api) scanRaw(r *http.Request, request scanRequest, body *cappedBody) (Answer, error) {
	result, err := a.check(r, request, 1, request.item, body, r.ContentLength)
	if err != nil {
		return Answer{}, err
	}
	return newAnswer(result.Item, request.surface.Name(), []Result{result}), nil
}

// scanParts scans each upload of a multipart body. Whatever cannot be read in it refuses the whole: what was in the
// part that was not understood is not known.
func (a *api) scanParts(r *http.Request, request scanRequest, body *cappedBody, boundary string) (Answer, error) {
	item := request.item
	if item == "" {
		item = hashmatch.NewItemID()
	}
	if err := gate.CheckID(fmt.Sprintf("%s/%d", item, a.MaxParts)); err != nil {
		return Answer{}, problemItem.with("too long to be followed by the number of a part")
	}
	parts := NewParts(body, boundary, a.MaxParts)
	results, used := []Result{}, make(map[string]bool)
	for {
		one, err := parts.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Answer{}, bodyProblem(err)
		}
		_, content, err := one.Open()
		if err != nil {
			return Answer{}, bodyProblem(err)
		}
		if content == nil {
			continue // a form value
		}
		id := one.item
		if id != "" && !request.named { // a body that is passed on as it came has the uploader's headers in it
			return Answer{}, problemItem.with(fmt.Sprintf("part %d: states one, which needs part_items=1", one.number))
		}
		if id == "" {
			id = fmt.Sprintf("%s/%d", item, one.number)
		}
		if gate.CheckID(id) != nil || used[id] {
			return Answer{}, problemItem.with(fmt.Sprintf("part %d: not printable, too long, or that of another part", one.number))
		}
		used[id] = true
		result, err := a.check(r, request, one.number, id, content, 0)
		if err != nil {
			return Answer{}, err
		}
		results = append(results, result)
	}
	if len(results) == 0 {
		return Answer{}, problemNoUpload
	}
	return newAnswer(item, request.surface.Name(), results), nil
}

func (a *api) check(r *http.Request, request scanRequest, part int, item string, content io.Reader, size int64) (Result, error) {
	outcome, err := a.Checker.Check(r.Context(), gate.Upload{
		ID: item, Surface: request.surface, Dialect: "http", Caller: request.caller.Name, Content: content, Size: size,
	})
	switch {
	case errors.Is(err, hashmatch.ErrSurfaceRefused):
		return Result{}, problemSurface
	case errors.Is(err, gate.ErrItemID):
		return Result{}, problemItem
	case err != nil:
		return Result{}, err
	}
	return newResult(part, outcome, request.detail), nil
}

func writeAnswer(w http.ResponseWriter, answer Answer, byVerdict bool) {
	status := http.StatusOK
	switch {
	case answer.Retry:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	case byVerdict && answer.Action != hashmatch.Allow:
		status = http.StatusForbidden
	}
	writeJSON(w, status, answer)
}

// cappedBody is a body that ends with an error when it is longer than it may be. It is what scanners read: its errors
// are failures, without the words of the network.
type cappedBody struct {
	r    io.Reader
	left int64
	err  error // why it cannot be read on; nil at its end
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 { // one more, to see whether there is one
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), errTooLong
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.err = bodyFailure(err)
		err = b.err
	}
	return n, err
}

var errTooLong = errors.New("longer than the limit")

func bodyFailure(err error) error {
	var tooLong *http.MaxBytesError // of the host's own handler, where there is one
	switch {
	case errors.Is(err, errTooLong), errors.As(err, &tooLong):
		return &hashmatch.Failure{Code: hashmatch.TooLarge, Detail: "the body is longer than the limit"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &hashmatch.Failure{Code: hashmatch.TimedOut, Detail: "the body did not arrive in time"}
	}
	return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the body ended before its end"}
}

// bodyProblem is the answer to a multipart body that cannot be read.
func bodyProblem(err error) error {
	var refused MultipartError
	var failure *hashmatch.Failure
	switch {
	case errors.Is(err, ErrTooManyParts):
		return problemTooManyParts
	case errors.As(err, &refused):
		return problemMultipart.with(refused.Error())
	case errors.As(err, &failure) && failure.Code == hashmatch.TooLarge:
		return problemTooLong
	case errors.As(err, &failure) && failure.Code == hashmatch.TimedOut:
		return problemTimeout
	}
	return problemMultipart.with("it ends before its end")
}
