package icap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// answer is what a client is told of a message. The zero answer is a block.
type answer struct {
	clean  bool
	later  bool        // the same message may be answered in another way later
	reason gate.Reason // of a block
}

// notScanned blocks what no Checker could answer for.
var notScanned = answer{reason: gate.ReasonNotScanned}

// judging is one message on its way to the answer: all of its uploads, one after the other.
type judging struct {
	*Server
	ctx     context.Context
	surface hashmatch.Surface
	item    string // of the first upload; "" for random ones
	uploads int
	answer  answer
}

// judge returns the answer to a request. It reads the body as far as the Checker does, but for multipart bodies, which
// are read to their end or to what is wrong with them: a match in the last part counts as much as one in the first.
func (s *Server) judge(ctx context.Context, surface hashmatch.Surface, r *request, body io.Reader) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			s.log("panic while a message was judged", "panic", fmt.Sprint(p))
			a = notScanned
		}
	}()
	j := &judging{Server: s, ctx: context.WithoutCancel(ctx), surface: surface, item: r.item, answer: answer{clean: true}}
	shape, failure := shapeOf(r)
	switch {
	case failure != nil:
		j.check(failing{failure}, 0)
	case !r.body: // nothing is uploaded
	case shape.boundary != "":
		j.form(newParts(contentOf(body, shape, s.config.MaxBytes), shape.boundary))
	default:
		size := shape.length
		if len(shape.encodings) > 0 {
			size = 0
		}
		j.check(contentOf(body, shape, s.config.MaxBytes), size)
	}
	return j.answer
}

// form checks the parts of a form.
func (j *judging) form(p *parts) {
	for n := 1; ; n++ {
		d, err := p.next()
		switch {
		case err == io.EOF:
			return
		case err != nil:
			j.check(failing{err}, 0) // the rest of the form, whatever it is
			return
		case n > j.config.MaxParts:
			j.check(failing{unreadable(fmt.Sprintf("more than %d parts", j.config.MaxParts))}, 0)
			return
		}
		j.part(d, p)
	}
}

// part checks one part, unless it is no upload: a short text without a file name, or a file input that was left empty.
func (j *judging) part(d disposition, content io.Reader) {
	if d.file && d.named {
		j.check(content, 0)
		return
	}
	limit := int64(maxField)
	if d.file {
		limit = 0
	}
	head, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err == nil && int64(len(head)) <= limit && isText(head) {
		return
	}
	j.check(io.MultiReader(bytes.NewReader(head), content), 0) // an error is found again there
}

// isText says whether a field can hold nothing but text: UTF-8 without control characters, which every picture format
// that is decoded has in its first bytes.
func isText(field []byte) bool {
	for _, b := range field {
		if b < ' ' && b != '\t' && b != '\r' && b != '\n' || b == 0x7f {
			return false
		}
	}
	return utf8.Valid(field)
}

// check has one upload answered for.
func (j *judging) check(content io.Reader, size int64) {
	j.uploads++
	id := j.item
	if id != "" && j.uploads > 1 {
		id += "." + strconv.Itoa(j.uploads)
	}
	o, err := j.config.Checker.Check(j.ctx, gate.Upload{
		ID: id, Surface: j.surface, Dialect: "icap", Content: content, Size: size,
	})
	switch {
	case err != nil:
		j.log("upload refused", "error", err)
		j.add(notScanned)
	case o.Action != hashmatch.Allow:
		a := answer{later: !o.Scanned, reason: gate.ReasonNotScanned}
		if reasons := o.Reasons(); len(reasons) > 0 {
			a.reason = reasons[0]
		}
		j.add(a)
	}
}

// add takes the block of one upload into the answer to all of them.
func (j *judging) add(a answer) {
	switch {
	case j.answer.clean:
		j.answer = a
	case a.reason == gate.ReasonMatch, j.answer.later && !a.later:
		j.answer.reason = a.reason
	}
	j.answer.later = j.answer.later && a.later
}

// failing is content that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
