package jpegluma

// The tables that are asked first look at this many bits: what of a photo's symbols is longer is rare.
const (
	symbolBits = 9
	directBits = 11
)

// huffman is one table of codes. The zero value is one that was not defined.
type huffman struct {
	counts  [16]uint8 // codes of each length
	values  [256]uint8
	defined bool
	ready   bool // the tables below are those of the codes
	direct  bool // that of direct is

	// symbols gives, by the next bits, a symbol in the high byte and the length of its code in the low one; 0 where the
	// code is longer or unknown.
	symbols [1 << symbolBits]uint16
	// limits[i] is the code of length i+1 after the last one, at the top of 16 bits; first[i] is the index in values of
	// code 0 of that length, if there were one.
	limits [16]uint32
	first  [16]int32
	// coefficients gives, by the next bits, an AC coefficient of a sequential scan: see prepareDirect.
	coefficients [1 << directBits]int32
}

// define takes a table from a segment's body and returns how many bytes of it that took; 0 if it is malformed. Sets of
// codes in which one is the beginning of another are refused: decoders differ in what they make of them.
func (h *huffman) define(body []byte) int {
	if len(body) < 16 {
		return 0
	}
	total, room := 0, 1
	for i, c := range body[:16] {
		h.counts[i] = c
		total += int(c)
		room = room*2 - int(c)
		if room < 0 {
			return 0
		}
	}
	if total == 0 || total > 256 || len(body) < 16+total {
		return 0
	}
	copy(h.values[:], body[16:16+total])
	h.defined, h.ready, h.direct = true, false, false
	return 16 + total
}

// prepare makes the tables.
func (h *huffman) prepare() {
	if h.ready {
		return
	}
	h.ready = true
	clear(h.symbols[:])
	code, index := uint32(0), int32(0)
	for i, count := range h.counts {
		h.first[i] = index - int32(code)
		if length := i + 1; length <= symbolBits {
			for j := range uint32(count) {
				span := uint32(1) << (symbolBits - length)
				for k := range span {
					h.symbols[(code+j)*span+k] = uint16(h.values[index+int32(j)])<<8 | uint16(length)
				}
			}
		}
		code += uint32(count)
		index += int32(count)
		h.limits[i] = code << (15 - i)
		code <<= 1
	}
}

// The parts of an entry of coefficients. If the low six bits are not 0, it is a whole coefficient: they tell the length
// of its code and value together, the next bits the zeroes before it, and the upper half its value. The end of a block
// is one of value 0 after endRun zeroes, sixteen zeroes are one of value 0 after fifteen. Otherwise, unless it is 0, it
// is a code whose value does not fit: its length is where the zeroes were, and the symbol is in the upper half.
const (
	lengthMask = 63
	runShift   = 6
	runMask    = 127
	valueShift = 16
	endRun     = 64
)

// prepareDirect makes the table of AC coefficients of sequential scans.
func (h *huffman) prepareDirect() {
	h.prepare()
	if h.direct {
		return
	}
	h.direct = true
	clear(h.coefficients[:])
	code, index := uint32(0), 0
	for i, count := range h.counts[:directBits] {
		length := i + 1
		for range count {
			span := uint32(1) << (directBits - length)
			entries := h.coefficients[code*span:][:span]
			fillEntries(entries, h.values[index], length)
			code++
			index++
		}
		code <<= 1
	}
}

// fillEntries fills the entries that begin with the code of a symbol.
func fillEntries(entries []int32, symbol uint8, length int) {
	run, size := int(symbol>>4), int(symbol&15)
	rest := directBits - length
	for k := range entries {
		switch {
		case symbol == 0:
			entries[k] = endRun<<runShift | int32(length)
		case symbol == 0xf0:
			entries[k] = 15<<runShift | int32(length)
		case size == 0: // the end of more blocks than one: not in a sequential scan
		case size > rest:
			entries[k] = int32(symbol)<<valueShift | int32(length)<<runShift
		default:
			v := int32(k >> (rest - size))
			if v < 1<<(size-1) {
				v += 1 - 1<<size
			}
			entries[k] = v<<valueShift | int32(run)<<runShift | int32(length+size)
		}
	}
}

// symbol reads a symbol; ok is false if no code matches.
func (b *bits) symbol(h *huffman) (symbol uint8, ok bool) {
	if b.n < needed {
		b.fill()
	}
	if e := h.symbols[b.acc>>(64-symbolBits)]; e != 0 {
		b.acc <<= e & 255
		b.n -= int(e & 255)
		return uint8(e >> 8), true
	}
	return b.longSymbol(h)
}

// longSymbol reads a symbol whose code no table holds.
func (b *bits) longSymbol(h *huffman) (symbol uint8, ok bool) {
	top := uint32(b.acc >> 48)
	for i, limit := range h.limits {
		if top < limit {
			b.acc <<= i + 1
			b.n -= i + 1
			return h.values[(h.first[i]+int32(top>>(15-i)))&255], true
		}
	}
	return 0, false
}
