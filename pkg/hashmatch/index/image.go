package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"example.org/hashmatch/pkg/hashmatch"
)

// An image is an Index as it lies in memory: its arrays one after the other, to be written to a file and used from
// there without being built again. Numbers are little-endian; on a machine of the other order there are no images.
//
//	magic     8 bytes
//	version   u32
//	kinds     u32, 1 or more
//	binding   32 bytes: what the list was, by whoever wrote the image
//	entries   u64: every ordinal is below it
//	size      u64: of the whole image
//	rows      each kind, 64 bytes: name (16 bytes, zeros behind it), distinct hashes (u64), ordinals (u64), bytes of an ID
//	          in the tables (u32; 0: no tables), zeros
//	arrays    each kind, each array at a multiple of 64 bytes, zeros between them: head, tail, starts (if there are more
//	          ordinals than hashes), ordinals; then of a digest first, else of the tables offsets, next, ids
//
// The length of every array follows from its row, so that there is no offset to believe. The version changes with the
// form of an array, its meaning, or the order of bits in a key. There is no history: an image of another version is not
// used, and the index built from the list.
const imageVersion = 1

var imageMagic = [8]byte{'H', 'M', 'I', 'N', 'D', 'E', 'X', 0}

const (
	imageHead  = 64
	imageRow   = 64
	imageAlign = 64
)

// ErrImage is wrapped by every refusal of an image. The index is then to be built from the list.
var ErrImage = errors.New("index image not used")

func refuse(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrImage, fmt.Sprintf(format, arguments...))
}

// littleEndian reports whether numbers lie in memory as they do in an image.
func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

// shape is a row of an image.
type shape struct {
	kind     hashmatch.Kind
	n        uint64 // distinct hashes
	ordinals uint64
	width    uint64 // bytes of an ID; 0: no tables
}

func (s *shape) words() uint64 { return uint64(s.kind.Bits()+63) / 64 }

func (s *shape) chunks() uint64 { return 4 * s.words() }

// arrays is the number of arrays of a kind: for each, one that it does not have is of length 0.
const arrays = 7

// lengths returns the bytes of each array in the order of the image. They cannot overflow: n is below 1 << 32.
func (s *shape) lengths() (lengths [arrays]uint64) {
	words := s.words()
	lengths[0] = 8 * s.n * min(words, 2)
	lengths[1] = 8 * s.n * (max(words, 2) - 2)
	if s.ordinals > s.n {
		lengths[2] = 4 * (s.n + 1)
	}
	lengths[3] = 4 * s.ordinals
	switch {
	case s.kind.Digest():
		lengths[4] = 4 * (1<<(64-directoryShift(s.n)) + 1)
	case s.width > 0:
		lengths[4] = 4 * s.chunks() * (buckets + 1)
		lengths[5] = 2*s.chunks()*s.n + nextPadding
		lengths[6] = s.width*s.chunks()*s.n + idPadding
	}
	return lengths
}

// directoryShift is the shift of the directory over n digests, as newDigests makes it.
func directoryShift(n uint64) int { return 64 - max(1, bits.Len64(n)-3) }

// Image returns the image of an index that Build made, in parts that are to be written one after the other: they are
// views of the index. binding tells the list that it is of from others, and entries is the number of that list's
// entries, above every ordinal. It returns nil for an empty index, one that comes from an image itself, and on a
// machine whose byte order is another one.
func (x *Index) Image(binding [32]byte, entries int) [][]byte {
	if x.kinds == 0 || x.memory != nil || !littleEndian() {
		return nil
	}
	kinds := x.kinds.Kinds()
	head := make([]byte, imageHead, imageHead+imageRow*len(kinds))
	copy(head, imageMagic[:])
	binary.LittleEndian.PutUint32(head[8:], imageVersion)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(kinds)))
	copy(head[16:], binding[:])
	binary.LittleEndian.PutUint64(head[48:], uint64(entries))

	parts := [][]byte{nil} // the head, which needs the size
	size := uint64(imageHead + imageRow*len(kinds))
	for _, kind := range kinds {
		s, views := views(kind, x.parts[kind])
		row := make([]byte, imageRow)
		copy(row, kind.String())
		binary.LittleEndian.PutUint64(row[16:], s.n)
		binary.LittleEndian.PutUint64(row[24:], s.ordinals)
		binary.LittleEndian.PutUint32(row[32:], uint32(s.width))
		head = append(head, row...)
		lengths := s.lengths()
		for i, view := range views {
			if uint64(len(view)) != lengths[i] {
				panic(fmt.Sprintf("index: array %d of %s has %d bytes, its image %d", i, kind, len(view), lengths[i]))
			}
			padding := -size % imageAlign
			parts = append(parts, make([]byte, padding), view)
			size += padding + lengths[i]
		}
	}
	binary.LittleEndian.PutUint64(head[56:], size)
	parts[0] = head
	return parts
}

// views returns the shape of a kind's index and its arrays as bytes.
func views(kind hashmatch.Kind, part searcher) (shape, [arrays][]byte) {
	r := part.base()
	s := shape{kind: kind, n: uint64(r.n), ordinals: uint64(len(r.ordinals))}
	v := [arrays][]byte{bytesOf(r.head), bytesOf(r.tail), bytesOf(r.starts), bytesOf(r.ordinals)}
	switch part := part.(type) {
	case *digests:
		v[4] = bytesOf(part.first)
	case *ranges:
		if t := part.tables; t != nil {
			s.width = uint64(t.width)
			v[4], v[5], v[6] = bytesOf(t.offsets), t.next, t.ids
		}
	}
	return s, v
}

func bytesOf[T uint32 | uint64](values []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(*new(T))))
}

// valuesOf is the way back. b is aligned and its length a multiple of T's.
func valuesOf[T uint32 | uint64](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(*new(T))))
}

// parseImage reads the head of an image and cuts it into arrays. It looks at no array.
func parseImage(image []byte, binding [32]byte, entries int) ([]shape, [][arrays][]byte, error) {
	switch {
	case !littleEndian():
		return nil, nil, refuse("this machine has another byte order")
	case len(image) < imageHead || [8]byte(image) != imageMagic:
		return nil, nil, refuse("it is none")
	case uintptr(unsafe.Pointer(unsafe.SliceData(image)))%8 != 0:
		return nil, nil, refuse("it lies at an odd address")
	}
	head := image[:imageHead:imageHead]
	version, kinds := binary.LittleEndian.Uint32(head[8:]), uint64(binary.LittleEndian.Uint32(head[12:]))
	switch {
	case version != imageVersion:
		return nil, nil, refuse("version %d, this program uses %d", version, imageVersion)
	case [32]byte(head[16:]) != binding || binary.LittleEndian.Uint64(head[48:]) != uint64(entries):
		return nil, nil, refuse("it is of another revision of the list")
	case kinds == 0 || kinds > uint64(len(hashmatch.Kinds())) || uint64(len(image)) < imageHead+imageRow*kinds:
		return nil, nil, refuse("%d kinds", kinds)
	case binary.LittleEndian.Uint64(head[56:]) != uint64(len(image)):
		return nil, nil, refuse("its size")
	}
	shapes, views := make([]shape, kinds), make([][arrays][]byte, kinds)
	at := imageHead + imageRow*kinds
	for i := range shapes {
		s, err := parseRow(image[imageHead+imageRow*i:][:imageRow])
		if err != nil {
			return nil, nil, err
		}
		if i > 0 && s.kind <= shapes[i-1].kind {
			return nil, nil, refuse("kinds out of order")
		}
		shapes[i] = s
		for a, length := range s.lengths() {
			start := at + -at%imageAlign
			if start > uint64(len(image)) || length > uint64(len(image))-start {
				return nil, nil, refuse("%s: cut off", s.kind)
			}
			for _, b := range image[at:start] {
				if b != 0 {
					return nil, nil, refuse("between its arrays")
				}
			}
			at = start + length
			views[i][a] = image[start:at:at]
		}
	}
	if at != uint64(len(image)) {
		return nil, nil, refuse("its size")
	}
	return shapes, views, nil
}

func parseRow(row []byte) (s shape, err error) {
	for _, kind := range hashmatch.Kinds() {
		var name [16]byte
		if copy(name[:], kind.String()); [16]byte(row) == name {
			s.kind = kind
		}
	}
	s.n, s.ordinals = binary.LittleEndian.Uint64(row[16:]), binary.LittleEndian.Uint64(row[24:])
	s.width = uint64(binary.LittleEndian.Uint32(row[32:]))
	switch {
	case !s.kind.Valid():
		return s, refuse("a kind that is not known")
	case [28]byte(row[36:]) != [28]byte{}:
		return s, refuse("%s: bytes without a meaning", s.kind)
	case s.n == 0 || s.ordinals < s.n || s.ordinals > math.MaxUint32:
		return s, refuse("%s: %d hashes with %d ordinals", s.kind, s.n, s.ordinals)
	case s.width != 0 && (s.kind.Digest() || s.width != 3 && s.width != 4 || s.width == 3 && s.n > 1<<24):
		return s, refuse("%s: IDs of %d bytes", s.kind, s.width)
	}
	return s, nil
}
