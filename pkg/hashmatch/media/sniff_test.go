package media

import (
	"image"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	ftyp := func(brands string) string { return "\x00\x00\x00" + string(rune(8+len(brands))) + "ftyp" + brands }
	utf16 := "\xff\xfe"
	for _, c := range "<svg xmlns='x'/>" {
		utf16 += string(c) + "\x00"
	}
	apng := string((&apngBuilder{}).control(image.Rect(0, 0, 4, 4), 1, 0, 0).data(t, block(4, 4, red), true).file(4, 4, 1))
	for content, want := range map[string]string{
		"": "", "x": "", "\xff\xd8": "jpeg", "\xff\xd8\xff\xe0": "jpeg", "\x89PNG\r\n\x1a\n": "png", "\x89PNG\n\x1a\n": "png", apng: "apng",
		apng[:45]: "apng", apng[:30]: "png",
		"GIF87a": "gif", "GIF89a...": "gif", "GIF8": "", "RIFF\x00\x00\x00\x00WEBP": "webp", "RIFF\x00\x00\x00\x00WAVE": "", "RIFF\x00\x00\x00\x00AVI ": "",
		"BM": "bmp", "BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00": "bmp", "BMW is a maker of cars": "", "BMW": "",
		"II*\x00": "tiff", "MM\x00*": "tiff", "II+\x00": "tiff", "MM\x00+": "tiff",
		ftyp("avif\x00\x00\x00\x00mif1miaf"): "avif", ftyp("avis\x00\x00\x00\x00msf1"): "avif", ftyp("mif1\x00\x00\x00\x00avif"): "avif",
		ftyp("heic\x00\x00\x00\x00mif1"): "heic", ftyp("heix\x00\x00\x00\x00"): "heic", ftyp("mif1\x00\x00\x00\x00heic"): "heic",
		ftyp("msf1\x00\x00\x00\x00hevc"): "heic", ftyp("mif1\x00\x00\x00\x00"): "heic",
		ftyp("isom\x00\x00\x02\x00isomavc1"): "", ftyp("qt  \x00\x00\x00\x00qt  "): "", ftyp("mp42\x00\x00\x00\x00mp41"): "", ftyp("M4A \x00\x00\x00\x00"): "",
		ftyp("isom\x00\x00\x02\x00heic"): "heic", ftyp("crx \x00\x00\x00\x01isom"): "cr3", ftyp("jp2 \x00\x00\x00\x00jp2 "): "jp2",
		"\xff\x0a\xfa": "jxl", "\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a": "jxl", "\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a": "jp2", "\xff\x4f\xff\x51": "j2k",
		"8BPS\x00\x01": "psd", "\x00\x00\x01\x00\x01\x00": "ico", "\x00\x00\x02\x00\x01\x00": "ico", "\x00\x00\x01\x00\x00\x00": "",
		"\x00\x00\x01\x00\x01\x00\x10\x10\x00\xff\x01\x00\x20\x00\x80\x00\x00\x00\x16\x00\x00\x00": "ico", // a reserved 255
		"\x00\x00\x01\x00\x01\x00\x10\x10\x00\xff\x01\x00\x20\x00\x00\x00\x00\x00\x16\x00\x00\x00": "",    // of no length
		"\x00\x00\x01\x00\x01\x00\x10\x10\x00\xff\x01\x00\x20\x00\x80\x00\x00\x00\x05\x00\x00\x00": "",    // within the directory
		"\x00\x00\x01\xba\x44\x00": "",
		"P6\n2 2\n255\n":           "pnm", "P5 # c\n1 1": "pnm", "P7\nWIDTH 1": "pnm", "P6 is a road": "", "PF\n1 1": "pnm", "PK\x03\x04": "",
		"qoif": "qoi", "gimp xcf file": "xcf", "DDS ": "dds", "/* XPM */": "xpm", "FORM\x00\x00\x00\x10ILBM": "ilbm", "FORM\x00\x00\x00\x10AIFF": "",
		strings.Repeat("\x00", 128) + "DICM": "dicom", "\x0a\x05\x01\x08": "pcx",
		"<svg>": "svg", "  \n<svg width='1'/>": "svg", "\xef\xbb\xbf<?xml version='1.0'?>\n<!-- <html> --><svg:svg/>": "svg", utf16: "svg",
		"<?xml version='1.0'?><!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x'><svg/>": "svg",
		"<!DOCTYPE x [ <!ENTITY a '>]'> <!ENTITY b \"<svg/>\"> ]><x><svg/></x>":          "",
		"<!DOCTYPE lolz [ <!ENTITY a 'b'> ]><svg>&a;</svg>":                              "svg",
		"<html><svg/></html>": "", "<!doctype html><svg/>": "", "<svgx/>": "", "svg": "", "<?xml version='1.0'": "", "<!-- <svg/>": "", "<!DOCTYPE x [": "",
		"%PDF-1.4": "", "MZ\x90\x00": "", "\x7fELF": "", "\x1f\x8b\x08": "", "hello, world": "", "\x1aE\xdf\xa3": "",
	} {
		if got := Sniff([]byte(content)); got != want {
			t.Errorf("%.60q: %q, want %q", content, got, want)
		}
	}
}
