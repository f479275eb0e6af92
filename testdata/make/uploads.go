package main

import (
	"image"
	"strings"
)

// original returns the file of a listed scene whose hashes are in the lists.
func original(s scene) []byte { return encodeJPEG(s.draw(), 85) }

// expectation is what a scan of an upload with lists/demo.csv, and no configuration but --public, must find.
type expectation struct {
	verdict string
	match   string // the kind of the strictest match, or "-"
	entry   string // the entry that matches, or "-"
	failure string // the codes of the failures, or "-"
}

// upload is one file of uploads/ with its expectation.
type upload struct {
	name    string
	content []byte
	want    expectation
}

func nothing() expectation { return expectation{"allow", "-", "-", "-"} }

func near(entry string) expectation { return expectation{"hold", "pdq", entry, "-"} }

// uploads are what people might send in: files that are in no list, and copies of listed ones.
func uploads() []upload {
	at := func(name string, width, height int) *image.RGBA { return scaled(named(name).draw(), width, height) }
	frames := []*image.RGBA{
		at("valley", 160, 120), at("orchard", 160, 120), at("islands", 160, 120), at("placard", 160, 120),
	}
	harbour := stored(at("harbour", 400, 300), 6)
	return []upload{
		{"clean-landscape.jpg", encodeJPEG(named("valley").draw(), 85), nothing()},
		{"clean-poster.png", encodePNG(dithered(at("placard", 320, 240), cube, 0)), nothing()},
		{"clean-skyline.webp", encodeWebP(at("downtown", 400, 300), 80), nothing()},
		{"clean-transparent.png", encodePNG(vignette(at("orchard", 160, 120))), nothing()},
		{"clean-png-named.jpg", encodePNG(at("blocks", 240, 180)), nothing()},
		{"exact-copy.jpg", original(named("harbour")), expectation{"block", "sha256", "synthetic-harbour", "-"}},
		{"near-resized.jpg", encodeJPEG(at("quarry", 307, 230), 60), near("synthetic-quarry")},
		{"near-recompressed.webp", encodeWebP(named("marble").draw(), 40), near("synthetic-marble")},
		{"near-brightened.jpg", encodeJPEG(brightened(at("notice", 400, 300)), 75), near("synthetic-notice")},
		{"near-on-white.png", encodePNG(overWhite(at("canyon", 160, 120))), near("synthetic-canyon")},
		{"near-frame3of4.gif", animatedGIF(frames), near("synthetic-islands")},
		{"near-exif-rotated.jpg", orientedJPEG(encodeJPEG(harbour, 80), 6), near("synthetic-harbour")},
		{"mirrored.jpg", encodeJPEG(mirrored(at("district", 400, 300)), 75), near("synthetic-district")},
		{"turned.jpg", encodeJPEG(turned(at("meadow", 400, 300)), 75), near("synthetic-meadow")},
		{"unreadable-truncated.jpg", truncated(encodeJPEG(named("atoll").draw(), 80), 30), expectation{"hold", "-", "-", "truncated"}},
		{"unreadable-garbled.png", garbled(encodePNG(at("atoll", 160, 120))), expectation{"hold", "-", "-", "corrupt"}},
		{"notes.txt", []byte(strings.Repeat("This is no picture.\n", 5)), expectation{"hold", "-", "-", "not_image"}},
	}
}

func uploadFiles() []file {
	table := "# Verdicts of: hashmatch scan --public --list demo=testdata/lists/demo.csv testdata/uploads\n" +
		"file\tverdict\tmatch\tentry\tfailures\n"
	var files []file
	for _, u := range uploads() {
		files = append(files, file{"uploads/" + u.name, u.content})
		table += strings.Join([]string{u.name, u.want.verdict, u.want.match, u.want.entry, u.want.failure}, "\t") + "\n"
	}
	return append(files, file{"golden/uploads.tsv", []byte(table)})
}

// truncated returns the first percent of the file.
func truncated(content []byte, percent int) []byte { return content[:len(content)*percent/100] }

// garbled returns the file with bytes changed in its second half.
func garbled(content []byte) []byte {
	out := append([]byte{}, content...)
	r := random(9)
	for range 20 {
		out[r.between(len(out)/2, len(out)-20)] ^= byte(r.between(1, 255))
	}
	return out
}
