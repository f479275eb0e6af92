package isolated

import (
	"fmt"
	"strings"
)

// item is one item of a HEIF file (ISO/IEC 23008-12) that is, or could be, a picture.
type item struct {
	id         uint32
	kind       string
	properties []int // 1-based indices into heif.properties
	outside    bool  // its bytes reach beyond the end of the file
	firstByte  int   // offset of its first byte; 0 if unknown
}

// reference is one entry of the item reference box.
type reference struct {
	kind     string
	from, to uint32
}

// track is one track of a sequence.
type track struct {
	handler       string
	samples       int
	width, height int
	firstByte     int // offset of its first chunk
}

// heif is what the walk over the boxes of an AVIF or HEIC file finds.
type heif struct {
	content     []byte
	truncated   bool // a box or an item reaches beyond the end
	missing     int  // bytes that the file is short of the end of the items that begin in it
	major       string
	primary     uint32
	primaryAt   int // offset of the primary item's ID in the file; 0 if it is not stated
	primarySize int // 2 or 4 bytes
	items       []item
	byID        map[uint32]int
	references  []reference
	properties  []box
	tracks      []track
}

// maxItems bounds the items, references and properties that are kept of one file; a 48 MP photo in tiles of 512 has
// about 200.
const maxItems = 1 << 16

var errTooManyItems = fmt.Errorf("over %d items, properties or references", maxItems)

// walkHEIF reads the boxes of content.
func walkHEIF(content []byte) (*heif, error) {
	f := &heif{content: content, byID: map[uint32]int{}}
	err := walkBoxes(content, 0, len(content), &f.truncated, func(b box) error {
		switch b.kind {
		case "ftyp":
			r := f.reader(b)
			f.major = r.code()
			return r.err
		case "meta":
			r := f.reader(b)
			r.versionFlags()
			if r.err != nil {
				return r.err
			}
			return f.meta(box{b.kind, r.at, b.end})
		case "moov":
			return f.movie(b)
		}
		return nil
	})
	return f, err
}

func (f *heif) reader(b box) *reader { return &reader{content: f.content, at: b.start, end: b.end} }

// meta reads the boxes of the meta box. Locations come last, since they belong to items.
func (f *heif) meta(meta box) error {
	var locations, associations []box
	idat := box{}
	err := walkBoxes(f.content, meta.start, meta.end, &f.truncated, func(b box) error {
		switch b.kind {
		case "pitm":
			r := f.reader(b)
			version, _ := r.versionFlags()
			f.primarySize = 2
			if version > 0 {
				f.primarySize = 4
			}
			f.primaryAt = r.at
			f.primary = uint32(r.uint(f.primarySize))
			return r.err
		case "iinf":
			return f.itemInfo(b)
		case "iref":
			return f.itemReferences(b)
		case "iloc":
			locations = append(locations, b)
		case "idat":
			idat = b
		case "iprp":
			return walkBoxes(f.content, b.start, b.end, &f.truncated, func(b box) error {
				switch b.kind {
				case "ipco":
					return walkBoxes(f.content, b.start, b.end, &f.truncated, func(b box) error {
						if len(f.properties) == maxItems {
							return errTooManyItems
						}
						f.properties = append(f.properties, b)
						return nil
					})
				case "ipma":
					associations = append(associations, b)
				}
				return nil
			})
		}
		return nil
	})
	for _, b := range associations {
		if err == nil {
			err = f.associate(b)
		}
	}
	for _, b := range locations {
		if err == nil {
			err = f.locate(b, idat)
		}
	}
	return err
}

func (f *heif) itemInfo(b box) error {
	r := f.reader(b)
	version, _ := r.versionFlags()
	if version == 0 {
		r.u16()
	} else {
		r.u32()
	}
	if r.err != nil {
		return r.err
	}
	return walkBoxes(f.content, r.at, b.end, &f.truncated, func(b box) error {
		if b.kind != "infe" {
			return nil
		}
		r := f.reader(b)
		version, _ := r.versionFlags()
		if version < 2 {
			return nil // no item type: no picture
		}
		it := item{}
		if version == 2 {
			it.id = uint32(r.u16())
		} else {
			it.id = r.u32()
		}
		r.u16() // protection
		it.kind = r.code()
		if r.err != nil {
			return r.err
		}
		if _, twice := f.byID[it.id]; twice {
			return fmt.Errorf("item %d twice", it.id)
		}
		if len(f.items) == maxItems {
			return errTooManyItems
		}
		f.byID[it.id] = len(f.items)
		f.items = append(f.items, it)
		return nil
	})
}

func (f *heif) itemReferences(b box) error {
	r := f.reader(b)
	version, _ := r.versionFlags()
	size := 2
	if version > 0 {
		size = 4
	}
	if r.err != nil {
		return r.err
	}
	return walkBoxes(f.content, r.at, b.end, &f.truncated, func(b box) error {
		r := f.reader(b)
		from := uint32(r.uint(size))
		for range r.u16() {
			to := uint32(r.uint(size))
			if r.err != nil {
				break
			}
			if len(f.references) == maxItems {
				return errTooManyItems
			}
			f.references = append(f.references, reference{b.kind, from, to})
		}
		return r.err
	})
}

func (f *heif) associate(b box) error {
	r := f.reader(b)
	version, flags := r.versionFlags()
	size := 1
	if flags&1 != 0 {
		size = 2
	}
	for range r.u32() {
		var id uint32
		if version == 0 {
			id = uint32(r.u16())
		} else {
			id = r.u32()
		}
		index, known := f.byID[id]
		for range r.u8() {
			property := int(r.uint(size)) &^ (1 << (8*size - 1)) // without the "essential" bit
			if r.err == nil && known && len(f.items[index].properties) < 256 {
				f.items[index].properties = append(f.items[index].properties, property)
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	return r.err
}

func (f *heif) locate(b, idat box) error {
	r := f.reader(b)
	version, _ := r.versionFlags()
	sizes := r.u16()
	offsetSize, lengthSize, baseSize, indexSize := sizes>>12, sizes>>8&15, sizes>>4&15, 0
	if version > 0 {
		indexSize = sizes & 15
	}
	if max(offsetSize, lengthSize, baseSize, indexSize) > 8 {
		return fmt.Errorf("number sizes %04x", sizes)
	}
	var count uint32
	if version < 2 {
		count = uint32(r.u16())
	} else {
		count = r.u32()
	}
	for range count {
		var id uint32
		if version < 2 {
			id = uint32(r.u16())
		} else {
			id = r.u32()
		}
		method := 0
		if version > 0 {
			method = r.u16() & 15
		}
		r.u16() // data reference
		base := r.uint(baseSize)
		for extent := range r.u16() {
			r.uint(indexSize)
			offset, length := base+r.uint(offsetSize), r.uint(lengthSize)
			if r.err != nil {
				return r.err
			}
			f.extent(id, extent == 0, method, offset, length, idat)
			if offsetSize+lengthSize+indexSize == 0 {
				break // 65,535 times the same
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// extent notes where a part of an item lies.
func (f *heif) extent(id uint32, first bool, method int, offset, length uint64, idat box) {
	index, ok := f.byID[id]
	if !ok {
		return
	}
	limit := uint64(len(f.content))
	switch method {
	case 1:
		limit = uint64(idat.end - idat.start)
	case 2:
		return // inside another item
	}
	if offset > limit || length > limit-offset {
		f.items[index].outside = true
		f.truncated = true
		if method == 0 && offset < limit && length < 1<<32 {
			f.missing = max(f.missing, int(offset+length-limit))
		}
	} else if first && method == 0 {
		f.items[index].firstByte = int(offset)
	}
}

// pictureKinds are the item types that are coded or derived pictures.
const pictureKinds = "hvc1 hev1 av01 avc1 vvc1 jpeg j2k1 unci grid iovl iden"

// pictures returns the indices of the items that are pictures of their own, the primary one first: no tile or layer of
// another, no thumbnail, no auxiliary plane.
func (f *heif) pictures() []int {
	part := map[uint32]bool{}
	for _, r := range f.references {
		from, ok := f.byID[r.from]
		switch {
		case r.kind == "thmb" || r.kind == "auxl":
			if r.from != r.to {
				part[r.from] = true
			}
		case r.kind == "dimg" && ok && f.items[from].kind != "tmap": // a tone map names whole pictures
			if r.from != r.to {
				part[r.to] = true
			}
		}
	}
	var list []int
	if i, ok := f.byID[f.primary]; ok && f.primaryAt != 0 {
		list = append(list, i)
	}
	for i := range f.items {
		it := &f.items[i]
		if strings.Contains(pictureKinds, it.kind) && !part[it.id] && (len(list) == 0 || list[0] != i) {
			list = append(list, i)
		}
	}
	return list
}

// property returns a reader of the first property of the given kind of the item; nil without one.
func (f *heif) property(it *item, kind string) *reader {
	for _, p := range it.properties {
		if p >= 1 && p <= len(f.properties) && f.properties[p-1].kind == kind {
			return f.reader(f.properties[p-1])
		}
	}
	return nil
}

// size returns the item's dimensions as its ispe property states them; ok is false without one.
func (f *heif) size(it *item) (width, height int, ok bool) {
	r := f.property(it, "ispe")
	if r == nil {
		return 0, 0, false
	}
	r.versionFlags()
	width, height = int(r.u32()), int(r.u32())
	return width, height, r.err == nil
}

// alpha returns the item that holds the transparency of it; ok is false if there is none.
func (f *heif) alpha(it *item) (plane *item, ok bool) {
	for _, r := range f.references {
		if r.kind != "auxl" || r.to != it.id {
			continue
		}
		i, ok := f.byID[r.from]
		if !ok {
			continue
		}
		aux := f.property(&f.items[i], "auxC")
		if aux == nil || aux.at+4 > aux.end {
			continue
		}
		urn, _, _ := strings.Cut(string(f.content[aux.at+4:aux.end]), "\x00")
		if urn == "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" || urn == "urn:mpeg:hevc:2015:auxid:1" {
			return &f.items[i], true
		}
	}
	return nil, false
}

// premultiplied reports whether the item's colours are multiplied by its alpha.
func (f *heif) premultiplied(it *item) bool {
	for _, r := range f.references {
		if r.kind == "prem" && r.from == it.id {
			return true
		}
	}
	return false
}

// videoRange reports whether the item's colour box says that luma runs from 16 to 235.
func (f *heif) videoRange(it *item) bool {
	for _, p := range it.properties {
		if p < 1 || p > len(f.properties) || f.properties[p-1].kind != "colr" {
			continue
		}
		r := f.reader(f.properties[p-1])
		if r.code() == "nclx" {
			r.skip(6)
			full := r.u8()
			return r.err == nil && full&0x80 == 0
		}
	}
	return false
}

// maxPadding bounds the zeros that stand in for the end of a file that is cut off.
const maxPadding = 32 << 20

// copied returns a copy of the file to be changed, with zeros for the end that is missing. Without them the decoder
// would refuse every picture that is not whole.
func (f *heif) copied() []byte {
	padding := f.missing
	if padding > maxPadding {
		padding = 0
	}
	work := make([]byte, len(f.content)+padding)
	copy(work, f.content)
	return work
}

// setPrimary makes work, a copy of the file, name the item as its primary one; false if its ID does not fit.
func (f *heif) setPrimary(work []byte, id uint32) bool {
	if f.primaryAt == 0 || f.primarySize == 2 && id > 0xffff {
		return false
	}
	for i := range f.primarySize {
		work[f.primaryAt+i] = byte(id >> (8 * (f.primarySize - 1 - i)))
	}
	return true
}
