package hook

import (
	"errors"
	"mime"
	"net/http"
	"strings"
)

// The headers of a request say how its body is to be read. What can be read in two ways is refused here, for every
// dialect alike: a picture that the application finds in a body must not be a piece of something else to the scanner.

// mediaType reads a Content-Type. ok is false if it is not strictly one media type and its parameters.
func mediaType(stated string) (kind string, parameters map[string]string, ok bool) {
	kind, parameters, err := mime.ParseMediaType(stated)
	if err != nil || strings.Count(kind, "/") != 1 {
		return "", nil, false
	}
	return kind, parameters, true
}

// composite says whether a Content-Type is, or could be taken for, that of a body with others in it.
func composite(stated string) bool {
	lower := strings.ToLower(stated)
	if strings.Contains(lower, "multipart/") || strings.Contains(lower, "message/") {
		return true
	}
	_, _, ok := mediaType(stated)
	return !ok && (strings.Contains(lower, "multipart") || strings.Contains(lower, "message"))
}

// Boundary returns the boundary of a multipart body from the headers of its request. ok is false if the Content-Type is
// none of a multipart body; a Content-Type that could be taken for one, or for that of a message with others in it, and
// is none that is read here, is an error: a MultipartError. The types that are read are multipart/form-data and
// multipart/mixed.
func Boundary(h http.Header) (boundary string, ok bool, err error) {
	values := h["Content-Type"]
	if len(values) > 1 {
		return "", false, MultipartError("several content types")
	}
	stated := strings.Join(values, "")
	kind, parameters, strict := mediaType(stated)
	switch {
	case !strict && composite(stated):
		return "", false, MultipartError("its content type cannot be read")
	case !composite(stated):
		return "", false, nil
	case kind != "multipart/form-data" && kind != "multipart/mixed":
		return "", false, MultipartError("want multipart/form-data or multipart/mixed")
	case strings.Count(strings.ToLower(stated), "boundary") > 1 || strings.Contains(stated, "*"):
		return "", false, MultipartError("an ambiguous boundary")
	}
	for name := range parameters {
		if name != "boundary" && name != "charset" {
			return "", false, MultipartError("an unknown parameter of its content type")
		}
	}
	if boundary = parameters["boundary"]; boundary == "" {
		return "", false, MultipartError("it states no boundary")
	}
	// No space, which some trim, and no comma, at which some end.
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_-./:=?"
	if len(boundary) > maxBoundary || strings.Trim(boundary, letters) != "" {
		return "", false, MultipartError("its boundary is none")
	}
	return boundary, true, nil
}

// CheckRaw returns why the body of a request is not, as it stands, one whole upload: it is compressed, a piece of a file,
// or has others in it; or its headers can be read in more ways than one. nil if it is. A form in a URL's encoding is
// taken for an upload: a client in wide use calls everything so.
func CheckRaw(h http.Header) error {
	if err := CheckWhole(h); err != nil {
		return err
	}
	values := h["Content-Type"]
	if len(values) > 1 {
		return errors.New("several content types")
	}
	if stated := strings.Join(values, ""); stated != "" {
		if _, _, ok := mediaType(stated); !ok || composite(stated) {
			return errors.New("a content type that is not strictly one media type, or one of a body with others in it")
		}
	}
	return nil
}

// CheckWhole returns why the bytes of a request's body are not those that are to be published, or not all of them: it is
// compressed, or a piece of a file. nil if it is neither.
func CheckWhole(h http.Header) error {
	for _, value := range h["Content-Encoding"] {
		if value = strings.TrimSpace(value); value != "" && !strings.EqualFold(value, "identity") {
			return errors.New("a content encoding")
		}
	}
	for _, name := range []string{"Content-Range", "Upload-Offset", "Oc-Chunked"} { // HTTP, tus and the IETF's, ownCloud
		if len(h[name]) > 0 {
			return errors.New("a piece of a file: the whole must be scanned")
		}
	}
	return nil
}
