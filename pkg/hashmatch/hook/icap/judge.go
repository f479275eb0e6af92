package icap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
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
		j.form(hook.NewParts(contentOf(body, shape, s.config.MaxBytes), shape.boundary, s.config.MaxParts))
	default:
		size := shape.length
		if len(shape.encodings) > 0 {
			size = 0
		}
		j.check(contentOf(body, shape, s.config.MaxBytes), size)
	}
	return j.answer
}

// form checks the uploads of a form: those parts that are no short texts, and no file inputs that were left empty.
func (j *judging) form(parts *hook.Parts) {
	for {
		one, err := parts.Next()
		if err == io.EOF {
			return
		}
		var content io.Reader
		if err == nil {
			_, content, err = one.Open()
		}
		switch {
		case err != nil:
			j.check(failing{formFailure(err)}, 0) // the rest of the form, whatever it is
			return
		case content != nil:
			j.check(content, 0)
		}
	}
}

// formFailure turns what is wrong with a form into a failure; an error of the connection stays one.
func formFailure(err error) error {
	var refused hook.MultipartError
	if errors.As(err, &refused) || errors.Is(err, hook.ErrTooManyParts) {
		return unreadable(err.Error())
	}
	return err
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
