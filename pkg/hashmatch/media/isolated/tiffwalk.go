package isolated

import (
	"encoding/binary"
	"fmt"
)

// The TIFF tags that decide whether and how a page can be decoded (TIFF 6.0, and its technical note 1 for SubIFDs).
const (
	tagImageWidth      = 256
	tagImageLength     = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagPlanar          = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagTileWidth       = 322
	tagTileLength      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagSubIFDs         = 330
)

// tiffValue is where an entry keeps its values.
type tiffValue struct {
	size  int // of one value: 1, 2 or 4 bytes
	count int
	at    int // offset in the file; the values may lie beyond its end
}

// tiffPage is one image file directory.
type tiffPage struct {
	offset int
	cut    bool // the directory itself is cut off
	tags   map[uint16]tiffValue
}

// tiffFile is what the walk over the directories finds.
type tiffFile struct {
	content []byte
	order   binary.ByteOrder
	pages   []tiffPage // at most the limit, in file order
	more    bool       // there are more
	outside bool       // a directory lies beyond the end
	loop    bool       // a directory names one that was seen
	big     bool       // BigTIFF
}

// walkTIFF reads the directories of content: the chain, and those that SubIFDs names. It keeps at most maxPages and
// looks at no more than that: the work is bounded by maxPages times the file's size.
func walkTIFF(content []byte, maxPages int) (*tiffFile, error) {
	f := &tiffFile{content: content}
	if len(content) < 8 {
		return nil, fmt.Errorf("%d bytes", len(content))
	}
	switch string(content[:2]) {
	case "II":
		f.order = binary.LittleEndian
	case "MM":
		f.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("no byte order mark")
	}
	switch version := f.order.Uint16(content[2:]); version {
	case 42:
	case 43:
		f.big = true
		return f, nil
	default:
		return nil, fmt.Errorf("version %d", version)
	}
	seen := map[int]bool{}
	queue := []int{int(f.order.Uint32(content[4:]))}
	var subdirectories []int // after the chain, so that a page's place in it is its index
	for {
		if len(queue) == 0 {
			queue, subdirectories = subdirectories, nil
		}
		if len(queue) == 0 {
			return f, nil
		}
		at := queue[0]
		queue = queue[1:]
		switch {
		case seen[at]:
			f.loop = true
			continue
		case at < 8 || at+2 > len(content):
			f.outside = true
			continue
		case len(f.pages) == maxPages:
			f.more = true
			return f, nil
		}
		seen[at] = true
		page, next := f.page(at)
		f.pages = append(f.pages, page)
		if subs, ok := page.tags[tagSubIFDs]; ok && subs.size == 4 {
			for i := range min(subs.count, maxPages) {
				if sub, ok := f.value(subs, i); ok {
					subdirectories = append(subdirectories, sub)
				} else {
					f.outside = true
					break
				}
			}
		}
		if next != 0 {
			queue = append(queue, next)
		}
	}
}

// page reads the directory at the offset at and returns it with the offset of the next one.
func (f *tiffFile) page(at int) (tiffPage, int) {
	page := tiffPage{offset: at, tags: map[uint16]tiffValue{}}
	entries := int(f.order.Uint16(f.content[at:]))
	at += 2
	for range entries {
		if at+12 > len(f.content) {
			page.cut = true
			return page, 0
		}
		entry := f.content[at : at+12]
		var size int
		switch f.order.Uint16(entry[2:]) { // BYTE, SHORT, LONG, IFD; no other type matters here
		case 1:
			size = 1
		case 3:
			size = 2
		case 4, 13:
			size = 4
		}
		if count := f.order.Uint32(entry[4:]); size != 0 && int64(count) <= int64(len(f.content)) {
			value := tiffValue{size, int(count), at + 8}
			if size*value.count > 4 {
				value.at = int(f.order.Uint32(entry[8:]))
			}
			tag := f.order.Uint16(entry)
			if _, twice := page.tags[tag]; !twice {
				page.tags[tag] = value
			}
		}
		at += 12
	}
	if at+4 > len(f.content) {
		return page, 0 // some writers leave the last link out
	}
	return page, int(f.order.Uint32(f.content[at:]))
}

// value returns the i-th value of v; ok is false where there is none in the file.
func (f *tiffFile) value(v tiffValue, i int) (value int, ok bool) {
	at := v.at + i*v.size
	if i < 0 || i >= v.count || at < 0 || at+v.size > len(f.content) {
		return 0, false
	}
	switch v.size {
	case 1:
		return int(f.content[at]), true
	case 2:
		return int(f.order.Uint16(f.content[at:])), true
	}
	return int(f.order.Uint32(f.content[at:])), true
}

// first returns the first value of the tag, or otherwise if the page has none.
func (f *tiffFile) first(page *tiffPage, tag uint16, otherwise int) int {
	if v, ok := page.tags[tag]; ok {
		if value, ok := f.value(v, 0); ok {
			return value
		}
	}
	return otherwise
}

// photometrics names what golang.org/x/image/tiff does not know.
var photometrics = map[int]string{
	4: "transparency mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "colour filter array",
	34892: "linear raw",
}

// compressions names what golang.org/x/image/tiff does not know.
var compressions = map[int]string{
	2: "CCITT modified Huffman", 6: "old JPEG", 7: "JPEG", 9: "JBIG", 10: "JBIG", 34661: "JBIG", 34712: "JPEG 2000",
	34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}

// unsupported returns what the page needs that the decoder does not do, or does wrongly without an error; "" if
// nothing is known of.
func (f *tiffFile) unsupported(page *tiffPage) string {
	compression := f.first(page, tagCompression, 1)
	if name, ok := compressions[compression]; ok {
		return name + " compression"
	}
	if name, ok := photometrics[f.first(page, tagPhotometric, 0)]; ok {
		return name + " colours"
	}
	samples := f.first(page, tagSamplesPerPixel, 1)
	if f.first(page, tagPlanar, 1) == 2 && samples > 1 {
		return "planar samples"
	}
	if p := f.first(page, tagPredictor, 1); p != 1 && p != 2 {
		return fmt.Sprintf("predictor %d", p)
	}
	fax := compression == 3 || compression == 4
	if f.first(page, tagFillOrder, 1) == 2 && !fax {
		return "reversed fill order"
	}
	if compression == 3 && f.first(page, tagT4Options, 0)&1 != 0 {
		return "two-dimensional Group 3 compression"
	}
	return ""
}

// block is a strip or a tile.
type block struct{ offset, size int }

// blocks returns the rows of blocks of the page: the height of a row and, for each row, its blocks. It stops before
// the first row whose place the file does not state.
func (f *tiffFile) blocks(page *tiffPage, width, height int) (rowHeight int, rows [][]block) {
	across, offsets, counts := 1, page.tags[tagStripOffsets], page.tags[tagStripByteCounts]
	if tile := f.first(page, tagTileWidth, 0); tile > 0 {
		across = (width + tile - 1) / tile
		rowHeight = f.first(page, tagTileLength, 0)
		offsets, counts = page.tags[tagTileOffsets], page.tags[tagTileByteCounts]
	} else if rowHeight = f.first(page, tagRowsPerStrip, height); rowHeight > height {
		rowHeight = height
	}
	if rowHeight <= 0 {
		rowHeight = height
	}
	for i := 0; i < (height+rowHeight-1)/rowHeight; i++ {
		row := make([]block, 0, min(across, offsets.count))
		for j := range across {
			offset, ok := f.value(offsets, i*across+j)
			size, ok2 := f.value(counts, i*across+j)
			if !ok || !ok2 {
				return rowHeight, rows
			}
			row = append(row, block{offset, size})
		}
		rows = append(rows, row)
	}
	return rowHeight, rows
}
