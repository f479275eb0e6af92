package hma

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// file is the file of a request.
type file struct {
	content     io.Reader
	size        int64  // -1 if it is not known
	contentType string // HMA's: "photo" or "video"
	// end reads what follows the file and says whether the request was whole and held no other file.
	end func() error
}

// The names of HMA's content types.
const (
	photo = "photo"
	video = "video"
)

// maxParts is how many parts a multipart body may have.
const maxParts = 64

// formFile finds the one file of a multipart body: its field names the content type.
func (r *request) formFile() (*file, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return nil, bad("missing multipart/form-data file upload")
	}
	reader := multipart.NewReader(r.Body, parameters["boundary"])
	parts := 0
	next := func() (*multipart.Part, error) { // the next part that is a file; io.EOF after the last
		for parts++; parts <= maxParts; parts++ {
			part, err := reader.NextRawPart()
			if err == io.EOF {
				return nil, io.EOF
			} else if err != nil {
				return nil, bodyError(err)
			}
			if part.FileName() != "" {
				return part, nil
			}
		}
		return nil, bad("too many parts")
	}
	part, err := next()
	if err == io.EOF {
		return nil, bad("missing multipart/form-data file upload")
	} else if err != nil {
		return nil, err
	}
	if name := part.FormName(); name != photo && name != video {
		return nil, bad("no such content type: want the field name photo or video")
	}
	if part.Header.Get("Content-Transfer-Encoding") != "" {
		return nil, bad("a content transfer encoding")
	}
	end := func() error {
		switch _, err := next(); {
		case err == nil:
			drain(r.Body)
			return bad("only one file allowed per request")
		case err != io.EOF:
			return err
		}
		return nil
	}
	return &file{part, -1, part.FormName(), end}, nil
}

func bodyError(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return &refusal{http.StatusRequestEntityTooLarge, "the body is too long"}
	}
	return bad("the multipart body cannot be read to its end")
}

// lookupFile answers for a file: it is scanned as every upload is.
func (h *Handler) lookupFile(r *request) (any, error) {
	f, err := r.formFile()
	if err != nil {
		return nil, err
	}
	return h.check(r, f)
}

// lookupURL answers for a file that is fetched.
func (h *Handler) lookupURL(r *request) (any, error) {
	f, done, err := h.fetched(r)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := h.check(r, f)
	if err != nil || r.query.Get("signal_type") == "" {
		return answer, err
	}
	kind, err := parseType(r.query.Get("signal_type"))
	if err != nil {
		return nil, err
	}
	byType := answer.(map[string]bankMatches)
	if only, ok := byType[kind.String()]; ok {
		return only, nil
	}
	return nil, bad("the signal type is not enabled: no list holds it")
}

// check scans a file and answers with the matches that are acted on, by signal type and list. An answer without any
// means that the verdict was an allow, or that the lists that were not asked for have led to it.
func (h *Handler) check(r *request, f *file) (any, error) {
	banks, err := r.parseBanks()
	if err != nil {
		return nil, err
	}
	o, err := h.config.Checker.Check(r.Context(), gate.Upload{
		Surface: r.surface, Dialect: "hma", Caller: r.caller.Name, Content: &limitedReader{f.content, h.config.MaxBytes}, Size: f.size,
	})
	if err != nil {
		return nil, &refusal{http.StatusForbidden, "the file was refused"}
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	if !o.Scanned {
		return nil, &refusal{http.StatusServiceUnavailable, "the file was not looked at: send it again later"}
	}
	out := make(map[string]bankMatches)
	for _, kind := range r.lists.Kinds().Kinds() {
		out[kind.String()] = bankMatches{}
	}
	if o.Action == hashmatch.Allow {
		return out, nil
	}
	found, other := false, false
	for _, m := range nearest(o.Verdict.Matches) {
		switch {
		case !actedOn(m):
		case banks != nil && !banks[m.List]:
			other = true
		default:
			byBank := out[m.Kind.String()]
			if byBank == nil {
				byBank = bankMatches{}
				out[m.Kind.String()] = byBank
			}
			byBank[m.List] = append(byBank[m.List], toMatch(m))
			found = true
		}
	}
	switch {
	case found:
		return out, nil
	case len(o.Failed) > 0:
		return nil, &refusal{http.StatusInternalServerError, "the verdict could not be recorded"}
	case len(o.Verdict.Failures) > 0:
		return nil, failed(o.Verdict.Failures)
	case other:
		return out, nil
	}
	return nil, &refusal{http.StatusUnprocessableEntity, "the file is held: " + words(o.Reasons())}
}

func words(reasons []gate.Reason) string {
	text := make([]string, len(reasons))
	for i, reason := range reasons {
		text[i] = string(reason)
	}
	return strings.Join(text, ", ")
}

// failed is the refusal of a file that was not scanned in full. The text names the failures' codes.
func failed(failures []hashmatch.Failure) error {
	codes := make([]string, len(failures))
	status := http.StatusUnprocessableEntity
	for i, f := range failures {
		codes[i] = string(f.Code)
		switch {
		case f.Code == hashmatch.TimedOut || f.Code == hashmatch.Panicked:
			status = http.StatusInternalServerError
		case f.Code == hashmatch.TooLarge && status == http.StatusUnprocessableEntity:
			status = http.StatusRequestEntityTooLarge
		}
	}
	slices.Sort(codes)
	return &refusal{status, "the file could not be scanned: " + strings.Join(slices.Compact(codes), ", ")}
}

// limitedReader fails, as a scanner's limit does, after so many bytes.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return n, &hashmatch.Failure{Code: hashmatch.TooLarge, Detail: "over the limit of the request"}
	}
	return n, err
}

// hashFile answers with the hashes of a file.
func (h *Handler) hashFile(r *request) (any, error) {
	f, err := r.formFile()
	if err != nil {
		return nil, err
	}
	return h.hash(r, f)
}

// hashURL answers with the hashes of a file that is fetched.
func (h *Handler) hashURL(r *request) (any, error) {
	f, done, err := h.fetched(r)
	if err != nil {
		return nil, err
	}
	defer done()
	return h.hash(r, f)
}

// parseTypes returns the signal types that are wanted of a file: those that the lists hold, where none are named.
// A photo has them all, a video only the digests, which HMA gives names of their own.
func (r *request) parseTypes(contentType string) (map[string]hashmatch.Kind, error) {
	offered := make(map[string]hashmatch.Kind)
	kinds := r.lists.Kinds()
	if contentType == video {
		kinds = kinds.Digests()
		for name, kind := range signalTypes {
			if kinds.Has(kind) {
				offered[name] = kind
			}
		}
	} else {
		for _, kind := range kinds.Kinds() {
			offered[kind.String()] = kind
		}
	}
	text := r.query.Get("types")
	if text == "" {
		if len(offered) == 0 {
			return nil, bad("no list holds a signal type of this content type")
		}
		return offered, nil
	}
	wanted := make(map[string]hashmatch.Kind)
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		kind, err := parseType(name)
		if err != nil || !kinds.Has(kind) {
			return nil, bad("a signal type does not exist or is not enabled")
		}
		wanted[name] = kind
	}
	if len(wanted) == 0 {
		return nil, bad("empty signal type selection")
	}
	return wanted, nil
}

// hash answers with one hash for each signal type, or not at all: who looks up fewer than there are takes what is
// missing for clean. A picture too flat to be told from others has the hash "", as in HMA, which no lookup takes.
func (h *Handler) hash(r *request, f *file) (any, error) {
	types, err := r.parseTypes(f.contentType)
	if err != nil {
		return nil, err
	}
	var kinds hashmatch.KindSet
	for _, kind := range types {
		kinds |= hashmatch.SetOf(kind)
	}
	select { // the gate bounds what is scanned, and nothing else what is hashed
	case h.hashing <- struct{}{}:
	case <-time.After(h.config.QueueTimeout):
		return nil, errBusy
	case <-r.Context().Done():
		return nil, errBusy
	}
	defer func() { <-h.hashing }()
	hashes := h.config.Hasher.Hash(r.Context(), hashmatch.Item{
		Surface: r.surface, Content: &limitedReader{f.content, h.config.MaxBytes}, Size: f.size,
	}, kinds, 0)
	if err := f.end(); err != nil {
		return nil, err
	}
	failures := hashes.Failures
	if kinds.Perceptual() == 0 { // the digests are of any file
		failures = slices.DeleteFunc(slices.Clone(failures), func(f hashmatch.Failure) bool {
			return f.Code == hashmatch.NotImage || f.Code == hashmatch.Unsupported
		})
	}
	if len(failures) > 0 {
		return nil, failed(failures)
	}
	if hashes.Media.Frames > 1 && kinds.Perceptual() != 0 {
		return nil, &refusal{http.StatusUnprocessableEntity, "a file of several pictures has no one hash: look the file itself up"}
	}
	out := make(map[string]string)
	for name, kind := range types {
		text, found := hashOf(hashes, kind)
		if !found {
			return nil, &refusal{http.StatusInternalServerError, fmt.Sprintf("no hash of the signal type %s", kind)}
		}
		out[name] = text
	}
	return out, nil
}

// hashOf returns the hash of a kind: of the picture as it is shown, on white.
func hashOf(hashes hashmatch.Hashes, kind hashmatch.Kind) (text string, found bool) {
	for _, digest := range hashes.Digests {
		if digest.Kind == kind {
			return digest.Hex(), true
		}
	}
	for _, one := range hashes.Frames {
		if one.Hash.Kind != kind || one.Frame != 0 || one.View != (hashmatch.View{}) {
			continue
		}
		if one.Hash.Zero() || one.Quality < hashmatch.DefaultQualityFloor {
			return "", true
		}
		return one.Hash.Hex(), true
	}
	return "", false
}
