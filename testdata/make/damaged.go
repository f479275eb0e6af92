package main

import (
	"bytes"
	"encoding/binary"
	"image"
	"path"
	"strings"

	"golang.org/x/image/tiff"
)

// damage is one file that is not what it should be.
type damage struct {
	name    string
	content []byte
	// want is the failure code that a scan must give it, alternatives separated by "|" where a decoder may call it
	// either; "-" where a viewer shows the picture all the same, so that it must be hashed without a failure.
	want string
	note string
}

// damagedFiles returns damaged/ and its table. formats are the sound files that it is made from.
func damagedFiles(formats []file) []file {
	sound := make(map[string][]byte)
	for _, f := range formats {
		sound[path.Base(f.name)] = f.content
	}
	get := func(name string) []byte {
		content, ok := sound[name]
		if !ok {
			panic("no sound file " + name)
		}
		return content
	}
	var all []damage
	for _, group := range [][]damage{cutOff(get), changed(get), lies(get), bombs(), notImages(get)} {
		all = append(all, group...)
	}
	table := "# What a scan must say of each file: a code, alternatives separated by |, or - for none.\nfile\tfailures\tnote\n"
	var files []file
	for _, d := range all {
		files = append(files, file{"damaged/" + d.name, d.content})
		table += strings.Join([]string{d.name, d.want, d.note}, "\t") + "\n"
	}
	return append(files, file{"damaged/EXPECTED.tsv", []byte(table)})
}

// cutOff: files that end too early.
func cutOff(get func(string) []byte) []damage {
	const either = "truncated|corrupt"
	cut := func(name, from string, percent int, want string) damage {
		return damage{name, truncated(get(from), percent), want, "the first part of formats/" + from}
	}
	return []damage{
		cut("cut-baseline.jpg", "baseline.jpg", 60, "truncated"),
		cut("cut-progressive.jpg", "progressive.jpg", 60, "truncated"),
		cut("cut-header.jpg", "baseline.jpg", 8, "truncated"),
		cut("cut.png", "rgb8.png", 60, "truncated"),
		cut("cut-interlaced.png", "interlaced.png", 60, "truncated"),
		cut("cut-second-frame-apng.png", "frame3of4-apng.png", 40, "truncated"),
		cut("cut.gif", "still.gif", 60, "truncated"),
		cut("cut-third-frame.gif", "frame3of4.gif", 60, "truncated"),
		cut("cut-lossy.webp", "lossy.webp", 60, either),
		cut("cut-lossless.webp", "lossless.webp", 60, either),
		cut("cut-third-frame.webp", "frame3of4.webp", 60, either),
		cut("cut.bmp", "rgb24.bmp", 60, either),
		cut("cut.tif", "rgb8.tif", 60, either),
		cut("cut-second-page.tif", "page2of3.tif", 55, either),
		cut("cut.avif", "420.avif", 60, either),
		cut("cut.heic", "lossy.heic", 60, either),
		cut("cut.jxl", "lossy.jxl", 60, either),
		{"empty.jpg", nil, "empty", "no bytes"},
		{"magic-only.jpg", []byte("\xff\xd8\xff"), "truncated", "three bytes"},
		{"magic-only.png", []byte(pngMagic), "truncated", "the signature alone"},
		{"magic-only.gif", []byte("GIF89a"), "truncated", "the signature alone"},
		{"no-end-marker.jpg", truncatedBy(get("baseline.jpg"), 2), "-|truncated", "every pixel is there"},
		{"no-iend.png", truncatedBy(get("rgb8.png"), 12), "-|truncated", "every pixel is there"},
	}
}

// changed: files whose bytes were changed on the way.
func changed(get func(string) []byte) []damage {
	badCRC := bytes.Clone(get("rgb8.png"))
	badCRC[bytes.Index(badCRC, []byte("IDAT"))+100] ^= 0x55
	noTables := bytes.Clone(get("baseline.jpg"))
	for at := 0; ; {
		i := bytes.Index(noTables[at:], []byte{0xff, 0xc4})
		if i < 0 {
			break
		}
		noTables[at+i+1] = 0xfe // a comment in place of a Huffman table
		at += i + 2
	}
	garbage := bytes.Clone(get("still.gif"))
	r := random(4)
	for i := len(garbage) / 2; i < len(garbage)-1; i++ {
		garbage[i] = byte(r.next())
	}
	return []damage{
		{"bad-crc.png", badCRC, "corrupt", "one byte of the first IDAT"},
		{"no-huffman-tables.jpg", noTables, "corrupt", "DHT segments turned into comments"},
		{"lzw-garbage.gif", garbage, "corrupt|truncated", "noise in the second half"},
		{"vp8-start-code.webp", swapped(get("lossy.webp"), "\x9d\x01\x2a", "\x9d\x01\x2b"), "corrupt", "start code of the key frame"},
		{"zeroed.avif", zeroedFrom(get("420.avif"), "mdat"), "corrupt", "no bit of the picture's data is left"},
		{"zeroed.heic", zeroedFrom(get("lossy.heic"), "mdat"), "corrupt", "no bit of the picture's data is left"},
		{"heic-no-meta.heic", swapped(get("lossy.heic"), "meta", "free"), "corrupt|truncated", "the meta box renamed"},
		{"jxl-noise.jxl", append([]byte{0xff, 0x0a}, bytes.Repeat([]byte{0x5a, 0xc3, 0x11}, 60)...), "corrupt|truncated|too_many_pixels", "a signature, then nonsense"},
	}
}

// lies: headers that contradict the file, or ask for more than there can be.
func lies(get func(string) []byte) []damage {
	sizedJPEG := func(width, height uint16) []byte {
		out := bytes.Clone(get("baseline.jpg"))
		frame := bytes.Index(out, []byte{0xff, 0xc0})
		binary.BigEndian.PutUint16(out[frame+5:], height)
		binary.BigEndian.PutUint16(out[frame+7:], width)
		return out
	}
	sizedPNG := func(width, height uint32) []byte {
		return concat([]byte(pngMagic), pngHeader(width, height, 8, 6, 0), chunk("IDAT", deflated([]byte{0})...), chunk("IEND"))
	}
	sizedGIF := func(width, height uint16) []byte {
		out := bytes.Clone(get("still.gif"))
		binary.LittleEndian.PutUint16(out[6:], width)
		binary.LittleEndian.PutUint16(out[8:], height)
		return out
	}
	sizedBMP := func(width, height int32) []byte {
		out := truncated(bytes.Clone(get("rgb24.bmp")), 3)
		binary.LittleEndian.PutUint32(out[18:], uint32(width))
		binary.LittleEndian.PutUint32(out[22:], uint32(height))
		return out
	}
	sizedTIFF := func(width uint32) []byte {
		out := bytes.Clone(get("page2of3.tif"))
		directory := binary.LittleEndian.Uint32(out[4:])
		binary.LittleEndian.PutUint32(out[directory+2+8:], width)
		return out
	}
	hugeBox := func(name, box string) []byte {
		out := bytes.Clone(get(name))
		binary.BigEndian.PutUint32(out[bytes.Index(out, []byte(box))-4:], 0x7fffffff)
		return out
	}
	loop := pagesTIFF(binary.LittleEndian, 1, image.NewRGBA(image.Rect(0, 0, 8, 8)))
	binary.LittleEndian.PutUint32(loop[len(loop)-4:], binary.LittleEndian.Uint32(loop[4:]))
	hugeCanvas := riff(vp8x(webpAnimation, 1<<24, 1<<24), picture(get("lossy.webp")))
	return []damage{
		{"zero.jpg", sizedJPEG(0, 0), "corrupt", "0 x 0"},
		{"zero.png", sizedPNG(0, 0), "corrupt", "0 x 0"},
		{"zero.bmp", sizedBMP(0, 0), "corrupt", "0 x 0"},
		{"huge.jpg", sizedJPEG(65500, 65500), "too_many_pixels", "65500 x 65500"},
		{"huge.png", sizedPNG(65535, 65535), "too_many_pixels", "65535 x 65535, RGBA"},
		{"largest.png", sizedPNG(1<<31-1, 1<<31-1), "too_many_pixels", "2147483647 x 2147483647"},
		{"too-wide.png", sizedPNG(20000, 10), "too_many_pixels", "few pixels, but a side over the limit"},
		{"huge.gif", sizedGIF(65535, 65535), "too_many_pixels", "the screen of a small picture"},
		{"huge.bmp", sizedBMP(40000, 40000), "too_many_pixels", "40000 x 40000"},
		{"lowest-height.bmp", sizedBMP(100, -1<<31), "too_many_pixels|corrupt", "the height has no opposite"},
		{"negative-width.bmp", sizedBMP(-100, 100), "corrupt", "a width below zero"},
		{"huge.tif", sizedTIFF(1 << 30), "too_many_pixels", "a width of 1073741824"},
		{"endless-pages.tif", loop, "corrupt|too_many_frames", "the page names itself as the next one"},
		{"huge-canvas.webp", hugeCanvas, "too_many_pixels", "16777216 x 16777216"},
		{"wider-than-file.png", sizedPNG(300, 300), "truncated|corrupt", "one byte of pixels for 300 x 300"},
		{"taller-than-file.jpg", sizedJPEG(128, 4000), "truncated|corrupt", "4000 rows stated, 96 there"},
		{"box-too-large.avif", hugeBox("420.avif", "iprp"), "corrupt|truncated", "a box of 2 GB"},
		{"box-too-large.heic", hugeBox("lossy.heic", "iprp"), "corrupt|truncated", "a box of 2 GB"},
		{"no-frame.gif", []byte("GIF89a\x40\x00\x40\x00\x00\x00\x00;"), "corrupt|truncated", "a screen and no picture"},
		{"no-frame.webp", riff(vp8x(webpAnimation, 64, 64), riffChunk("ANIM", 0, 0, 0, 0, 0, 0)), "corrupt|truncated", "an animation without frames"},
		{"frame-outside.gif", outside(get("still.gif")), "corrupt", "the picture lies outside the screen"},
	}
}

// bombs: small files that cost much.
func bombs() []damage {
	flat := func(width, height uint32) []byte {
		rows := make([]byte, int(height)*(int(width)/8+1))
		return concat([]byte(pngMagic), pngHeader(width, height, 1, 0, 0), chunk("IDAT", deflated(rows)...), chunk("IEND"))
	}
	profile := append([]byte("x\x00\x00"), deflated(make([]byte, 32<<20))...)
	text := append([]byte("Comment\x00\x00"), deflated(make([]byte, 32<<20))...)
	fine := encodePNG(scaled(named("harbour").draw(), 64, 48))
	wide := tiffBomb()
	return []damage{
		{"bomb-bilevel.png", flat(16000, 16000), "too_many_pixels", "256 megapixels of one bit"},
		{"bomb-profile.png", afterIHDR(fine, chunk("iCCP", profile...)), "-", "a colour profile of 32 MB"},
		{"bomb-comment.png", afterIHDR(fine, chunk("zTXt", text...)), "-", "a comment of 32 MB"},
		{"bomb-frames.gif", manyFrames(2000, 100), "too_many_frames", "2000 frames"},
		{"bomb-canvas.gif", manyFrames(500, 3000), "too_many_frames", "500 frames of 9 megapixels"},
		{"bomb-scans.jpg", manyScans(1000), "corrupt|timed_out|unsupported|too_many_pixels|too_many_frames", "1000 scans of a progressive picture"},
		{"bomb-deflate.tif", wide, "too_many_pixels", "400 megapixels"},
	}
}

// manyFrames returns a GIF of n frames, each one pixel on a square canvas.
func manyFrames(n int, side uint16) []byte {
	out := []byte("GIF89a")
	out = binary.LittleEndian.AppendUint16(out, side)
	out = binary.LittleEndian.AppendUint16(out, side)
	out = append(out, 0x80, 0, 0, 0, 0, 0, 255, 255, 255) // two colours
	for i := range n {
		out = append(out, ',')
		out = binary.LittleEndian.AppendUint16(out, uint16(i)%side)
		out = binary.LittleEndian.AppendUint16(out, uint16(i)/side)
		out = append(out, 1, 0, 1, 0, 0, 2, 2, 0x4c, 0x01, 0) // 1 x 1: clear, colour 1, end
	}
	return append(out, ';')
}

// manyScans returns a progressive JPEG of 2048 x 2048 with n refinement scans that say nothing.
func manyScans(n int) []byte {
	const side = 2048
	source := progressiveGray(side)
	end := len(source) - 2
	out := source[:end:end]
	// A table with the one code 0 for "end of a band of 2^14 blocks or more", and a scan that consists of such codes.
	table := segment(0xc4, append(append([]byte{0x11, 1}, make([]byte, 15)...), 0xe0)...)
	out = append(out, table...)
	blocks := (side / 8) * (side / 8)
	for range n {
		out = append(out, segment(0xda, 1, 1, 0x01, 1, 63, 0x00)...)
		var scan []byte
		for range blocks >> 14 { // a code of one bit and 14 bits of run length, all zero: 16384 blocks each
			scan = append(scan, 0x00, 0x00)
		}
		out = append(out, scan...)
	}
	return append(out, 0xff, 0xd9)
}

// progressiveGray returns a progressive JPEG of one gray level: its first scan, of the DC coefficients, only.
func progressiveGray(side uint16) []byte {
	out := []byte{0xff, 0xd8}
	out = append(out, segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{16}, 64)...)...)...)
	frame := binary.BigEndian.AppendUint16([]byte{8}, side)
	frame = binary.BigEndian.AppendUint16(frame, side)
	out = append(out, segment(0xc2, append(frame, 1, 1, 0x11, 0)...)...)
	out = append(out, segment(0xc4, append(append([]byte{0x00, 1}, make([]byte, 15)...), 0)...)...) // the code 0: no difference
	out = append(out, segment(0xda, 1, 1, 0x00, 0, 0, 0x00)...)
	blocks := int(side/8) * int(side/8)
	out = append(out, make([]byte, blocks/8)...) // one bit a block
	return append(out, 0xff, 0xd9)
}

// tiffBomb returns a small TIFF, compressed, whose header states 20000 x 20000 pixels.
func tiffBomb() []byte {
	out := encodeTIFF(image.NewGray(image.Rect(0, 0, 512, 512)), tiff.Deflate)
	directory := binary.LittleEndian.Uint32(out[4:])
	for i := range uint32(binary.LittleEndian.Uint16(out[directory:])) {
		field := out[directory+2+12*i:]
		if tag := binary.LittleEndian.Uint16(field); tag == 256 || tag == 257 || tag == 278 { // width, height, rows a strip
			binary.LittleEndian.PutUint16(field[8:], 20000)
		}
	}
	return out
}

// notImages: content that is no picture, or none that is read, whatever its name says.
func notImages(get func(string) []byte) []damage {
	arithmetic := bytes.Clone(get("baseline.jpg"))
	arithmetic[bytes.Index(arithmetic, []byte{0xff, 0xc0})+1] = 0xc9
	zip := append([]byte("PK\x03\x04\x14\x00\x00\x00\x00\x00"), make([]byte, 40)...)
	return []damage{
		{"text.jpg", []byte("plain text that is called a picture\n"), "not_image", "text"},
		{"html.jpg", []byte("<!DOCTYPE html><html><body><script>alert(1)</script></body></html>\n"), "not_image", "HTML"},
		{"zip.png", zip, "not_image", "the header of a ZIP archive"},
		{"pdf.jpg", []byte("%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"), "not_image|unsupported", "PDF"},
		{"zeros.jpg", make([]byte, 4096), "not_image", "zero bytes"},
		{"drawing.svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>` + "\n"), "unsupported", "a vector picture"},
		{"layers.psd", append([]byte("8BPS\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x08\x00\x00\x00\x08\x00\x08\x00\x03"), make([]byte, 64)...), "unsupported", "a format that is known and not read"},
		{"arithmetic.jpg", arithmetic, "unsupported|corrupt", "arithmetic coding, by the header"},
	}
}

func truncatedBy(content []byte, n int) []byte { return content[:len(content)-n] }

// swapped replaces the first occurrence of old.
func swapped(content []byte, old, with string) []byte {
	if !bytes.Contains(content, []byte(old)) {
		panic("nothing to replace: " + old)
	}
	return bytes.Replace(content, []byte(old), []byte(with), 1)
}

// zeroedFrom replaces everything behind the first occurrence of mark with zeros.
func zeroedFrom(content []byte, mark string) []byte {
	out := bytes.Clone(content)
	clear(out[bytes.Index(out, []byte(mark))+len(mark):])
	return out
}

// outside moves the picture of a GIF beyond its screen.
func outside(content []byte) []byte {
	out := bytes.Clone(content)
	descriptor := 13 + 3<<(out[10]&7+1)
	for out[descriptor] != ',' { // extensions come first
		descriptor += 2
		for out[descriptor] != 0 {
			descriptor += int(out[descriptor]) + 1
		}
		descriptor++
	}
	binary.LittleEndian.PutUint16(out[descriptor+1:], 5000)
	return out
}
