package isolated

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"

	"example.org/hashmatch/pkg/hashmatch"
	"golang.org/x/image/tiff"
)

func decodeTIFF(e *emitter, content []byte) {
	f, err := walkTIFF(content, e.limits.MaxFrames)
	switch {
	case err != nil && len(content) < 8:
		e.fail(hashmatch.Truncated, "tiff: "+err.Error())
		return
	case err != nil:
		e.fail(hashmatch.Corrupt, "tiff: "+err.Error())
		return
	case f.big:
		e.fail(hashmatch.Unsupported, "tiff: BigTIFF")
		return
	}
	if f.outside {
		e.fail(hashmatch.Truncated, "tiff: a directory lies beyond the end of the file")
	}
	if f.loop {
		e.fail(hashmatch.Corrupt, "tiff: the directories form a loop")
	}
	if len(f.pages) == 0 {
		return
	}
	work := bytes.Clone(content) // its header is made to name one page after the other
	for i := range f.pages {
		if e.done() {
			return
		}
		if !e.tiffPage(f, &f.pages[i], work, fmt.Sprintf("tiff page %d", i)) {
			return
		}
	}
	if f.more {
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("tiff: over %d pages", e.limits.MaxFrames))
	}
}

// tiffPage decodes one page and yields it. It returns false when decoding is to end.
func (e *emitter) tiffPage(f *tiffFile, page *tiffPage, work []byte, what string) bool {
	if page.cut {
		e.fail(hashmatch.Truncated, what+": the directory is cut off")
		return true
	}
	width, height := f.first(page, tagImageWidth, 0), f.first(page, tagImageLength, 0)
	if !e.admit(what, width, height) {
		return true
	}
	if !e.room(width, height) {
		return false
	}
	if reason := f.unsupported(page); reason != "" {
		e.fail(hashmatch.Unsupported, what+": "+reason)
		return true
	}
	rowHeight, rows := f.blocks(page, width, height)
	goodRows, missing := presentRows(rows, len(f.content))
	truncated := goodRows < len(rows)
	if truncated {
		e.fail(hashmatch.Truncated, what+": pixels lie beyond the end of the file")
	}
	var source io.Reader = bytes.NewReader(work)
	length, inline := page.tags[tagImageLength], false
	f.order.PutUint32(work[4:], uint32(page.offset))
	switch compression := f.first(page, tagCompression, 1); {
	case truncated && compression <= 1 && int64(missing) <= 8*int64(width)*int64(height):
		source = &paddedReader{work, int64(len(work) + missing)}
	case truncated && goodRows == 0:
		return true
	case truncated: // the page is made as high as the blocks that are there
		inline = length.at+length.size <= len(work)
		f.setFirst(work, length, goodRows*rowHeight)
	}
	var img image.Image
	err := guard(func() (err error) {
		img, err = tiff.Decode(source)
		return err
	})
	if inline {
		f.setFirst(work, length, height)
	}
	if err != nil {
		e.failTIFF(what, err, truncated)
		return true
	}
	if size := img.Bounds().Size(); size.Y < height {
		full := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.Draw(full, full.Rect, image.Black, image.Point{}, draw.Src)
		draw.Draw(full, img.Bounds(), img, image.Point{}, draw.Src)
		img = full
	}
	return e.picture(img, 0)
}

// failTIFF records the decoder's error.
func (e *emitter) failTIFF(what string, err error, truncated bool) {
	var unsupported tiff.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		e.fail(hashmatch.Unsupported, what+": "+string(unsupported))
	case truncated: // said already
	default:
		e.failDecoder(hashmatch.Corrupt, what, err)
	}
}

// presentRows returns how many of the rows lie wholly in a file of the given size, and how many bytes the file is
// short of the furthest block.
func presentRows(rows [][]block, size int) (good, missing int) {
	good = len(rows)
	for i, row := range rows {
		for _, b := range row {
			if end := b.offset + b.size; end > size {
				good = min(good, i)
				missing = max(missing, end-size)
			}
		}
	}
	return good, missing
}

// setFirst overwrites the first value of v in content.
func (f *tiffFile) setFirst(content []byte, v tiffValue, value int) {
	if v.at < 0 || v.at+v.size > len(content) {
		return
	}
	switch v.size {
	case 2:
		f.order.PutUint16(content[v.at:], uint16(value))
	case 4:
		f.order.PutUint32(content[v.at:], uint32(value))
	}
}

// paddedReader reads data as if zeros followed it up to size.
type paddedReader struct {
	data []byte
	size int64
}

// ReadAt implements io.ReaderAt.
func (r *paddedReader) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= r.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.size-at))
	clear(p[:n])
	if at < int64(len(r.data)) {
		copy(p[:n], r.data[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Read is there because the decoder asks for an io.Reader before it finds ReadAt; it is not called.
func (r *paddedReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
