package media

import (
	"bytes"
	"encoding/binary"
)

// Sniff returns the format of a file by its first bytes, whatever it is called: "jpeg", "png", "apng", "gif",
// "webp", "bmp", "tiff", "avif", "heic" or "jxl"; the name of an image format that is recognised but not decoded
// ("svg", "psd", "jp2", …); or "" for what is no image that is known. head may be the whole file or its beginning;
// an APNG is told from a PNG only where head reaches the acTL chunk. Where a signature is doubtful it is taken for
// an image, since a damaged image is held and a file that is no image need not be.
func Sniff(head []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return s.format
		}
	}
	switch {
	case isPNG(head):
		if animated(head) {
			return "apng"
		}
		return "png"
	case len(head) >= 6 && string(head[:4]) == "GIF8" && head[5] == 'a': // decoders ignore the digit
		return "gif"
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return "webp"
	case isBMP(head):
		return "bmp"
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return brand(head)
	case isIcon(head):
		return "ico"
	case isPNM(head):
		return "pnm"
	case len(head) >= 12 && string(head[:4]) == "FORM" && (string(head[8:12]) == "ILBM" || string(head[8:12]) == "PBM "):
		return "ilbm"
	case len(head) >= 4 && head[0] == 0x0a && head[1] <= 5 && head[2] == 1 && (head[3] == 1 || head[3] == 2 || head[3] == 4 || head[3] == 8):
		return "pcx"
	case len(head) >= 44 && string(head[:4]) == "\x01\x00\x00\x00" && string(head[40:44]) == " EMF":
		return "emf"
	case len(head) >= 132 && string(head[128:132]) == "DICM":
		return "dicom"
	case isSVG(head):
		return "svg"
	}
	return ""
}

// signatures are those that are told by a prefix alone.
var signatures = []struct{ magic, format string }{
	{"\xff\xd8", "jpeg"}, // decoders skip what is between this and the next marker
	{"II*\x00", "tiff"}, {"MM\x00*", "tiff"}, {"II+\x00", "tiff"}, {"MM\x00+", "tiff"},
	{"\xff\x0a", "jxl"}, {"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a", "jxl"},
	{"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a", "jp2"}, {"\xff\x4f\xff\x51", "j2k"},
	{"8BPS", "psd"},
	{"II\xbc", "jxr"},
	{"IIU\x00", "rw2"}, {"IIRO", "orf"}, {"IIRS", "orf"}, {"MMOR", "orf"}, {"FUJIFILMCCD-RAW", "raf"},
	{"\x8aMNG\x0d\x0a\x1a\x0a", "mng"}, {"\x8bJNG\x0d\x0a\x1a\x0a", "jng"},
	{"BPG\xfb", "bpg"}, {"FLIF", "flif"}, {"qoif", "qoi"}, {"farbfeld", "farbfeld"},
	{"DDS ", "dds"}, {"v/1\x01", "exr"}, {"#?RADIANCE", "hdr"}, {"#?RGBE", "hdr"},
	{"gimp xcf", "xcf"}, {"icns", "icns"}, {"AT&TFORM", "djvu"}, {"SIMPLE  =", "fits"},
	{"\x59\xa6\x6a\x95", "ras"}, {"\x01\xda\x00", "sgi"}, {"\x01\xda\x01", "sgi"},
	{"/* XPM */", "xpm"}, {"\xd7\xcd\xc6\x9a\x00\x00", "wmf"},
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// isPNG also takes a signature that a text conversion has damaged.
func isPNG(head []byte) bool { return bytes.HasPrefix(head, []byte(pngMagic[:4])) }

// animated reports whether a PNG has an acTL chunk before its first IDAT.
func animated(head []byte) bool {
	c := chunks{data: head, at: len(pngMagic)}
	for c.next() {
		switch c.kind {
		case "acTL":
			return true
		case "IDAT":
			return false
		}
	}
	return c.kind == "acTL" // cut off within it
}

// isBMP wants a known size of the second header, since two letters are little: a text can start with them.
func isBMP(head []byte) bool {
	if !bytes.HasPrefix(head, []byte("BM")) {
		return false
	}
	if len(head) < 18 {
		return len(head) == 2 || bytes.IndexByte(head, 0) >= 0 // cut off, and not a short text
	}
	switch size := binary.LittleEndian.Uint32(head[14:]); size {
	case 12, 40, 52, 56, 64, 108, 124:
		return true
	default:
		return size >= 16 && size < 64 && size%4 == 0 // OS/2 2.x may leave fields out
	}
}

// brand tells the formats of ISO base media files by the brands of their first box. A video that also claims to be
// an image is taken for one.
func brand(head []byte) string {
	size := int64(binary.BigEndian.Uint32(head))
	if size < 16 || size > int64(len(head)) {
		size = int64(len(head))
	}
	format := ""
	for at := 8; at+4 <= int(size); at += 4 {
		if at == 12 {
			continue // the minor version
		}
		switch string(head[at : at+4]) {
		case "avif", "avis":
			return "avif"
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs":
			format = "heic"
		case "mif1", "mif2", "msf1", "miaf", "MiHE", "avci", "avcs", "jpeg", "jpgs", "vvic", "vvis":
			if format == "" {
				format = "heic"
			}
		case "crx ":
			return "cr3"
		case "jp2 ", "jpx ", "jpm ", "jph ":
			return "jp2"
		case "jxl ":
			return "jxl"
		}
	}
	return format
}

// isIcon tells icons and cursors: a count, and a first entry with a size, behind the directory. The entry's reserved byte
// may be anything: what wrote 255 there is read everywhere.
func isIcon(head []byte) bool {
	if len(head) < 6 || head[0] != 0 || head[1] != 0 || (head[2] != 1 && head[2] != 2) || head[3] != 0 {
		return false
	}
	if head[4] == 0 && head[5] == 0 {
		return false
	}
	return len(head) < 22 || (binary.LittleEndian.Uint32(head[14:]) > 0 && binary.LittleEndian.Uint32(head[18:]) >= 22)
}

// isPNM tells the portable bitmaps P1 to P7, and Pf and PF: a white space and a digit, comment or header follow.
func isPNM(head []byte) bool {
	if len(head) < 4 || head[0] != 'P' {
		return false
	}
	switch head[1] {
	case '7':
		return head[2] == '\n'
	case '1', '2', '3', '4', '5', '6', 'f', 'F':
	default:
		return false
	}
	rest := bytes.TrimLeft(head[2:min(len(head), 64)], " \t\r\n")
	return len(rest) < min(len(head), 64)-2 && len(rest) > 0 && (rest[0] == '#' || rest[0] >= '0' && rest[0] <= '9')
}

// wideHead bounds how much of a text in UTF-16 is copied to look for its root element.
const wideHead = 1 << 20

// isSVG reports whether a text is XML whose root element is svg, with any prefix. Nothing is resolved or rendered.
func isSVG(head []byte) bool {
	switch { // UTF-16 is read as what remains without the zero bytes
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		head = bytes.ReplaceAll(head[2:min(len(head), wideHead)], []byte{0}, nil)
	case bytes.HasPrefix(head, []byte("<\x00")), bytes.HasPrefix(head, []byte("\x00<")):
		head = bytes.ReplaceAll(head[:min(len(head), wideHead)], []byte{0}, nil)
	}
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for {
		head = bytes.TrimLeft(head, " \t\r\n")
		var found bool
		switch {
		case bytes.HasPrefix(head, []byte("<?")):
			_, head, found = bytes.Cut(head, []byte("?>"))
		case bytes.HasPrefix(head, []byte("<!--")):
			_, head, found = bytes.Cut(head[4:], []byte("-->"))
		case bytes.HasPrefix(head, []byte("<!DOCTYPE")):
			if bytes.HasPrefix(bytes.TrimLeft(head[len("<!DOCTYPE"):], " \t\r\n"), []byte("svg")) {
				return true
			}
			head = afterDoctype(head)
			found = head != nil
		default:
			return isSVGElement(head)
		}
		if !found {
			return false
		}
	}
}

// afterDoctype returns what follows a document type with its internal subset; nil if it does not end.
func afterDoctype(text []byte) []byte {
	depth, quote := 0, byte(0)
	for i, c := range text {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[' || c == '<':
			depth++
		case c == ']':
			depth--
		case c == '>':
			if depth--; depth == 0 {
				return text[i+1:]
			}
		}
	}
	return nil
}

func isSVGElement(text []byte) bool {
	if len(text) == 0 || text[0] != '<' {
		return false
	}
	name := text[1:]
	if i := bytes.IndexAny(name, " \t\r\n/>"); i >= 0 {
		name = name[:i]
	}
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return bytes.EqualFold(name, []byte("svg"))
}
