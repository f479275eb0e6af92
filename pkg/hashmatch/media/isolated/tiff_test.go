package isolated

import (
	"bytes"
	"compress/zlib"
	"image"
	"image/color"
	"testing"

	"golang.org/x/image/tiff"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

func gray(v byte) color.NRGBA { return color.NRGBA{v, v, v, 255} }

func TestTIFFPages(t *testing.T) {
	for _, bigEndian := range []bool{false, true} {
		b := newTIFF(bigEndian)
		sub := b.directory(true, grayTags(3, 2, 1, 2, []int{8}, []int{6})...) // its pixels are whatever lies there
		b.grayPage(4, 3, 10, tiffTag{tagSubIFDs, false, []int{sub}})
		b.grayPage(5, 3, 20)
		b.grayPage(6, 3, 30)
		pictures, failures := collect(t, "tiff", b.out, media.Limits{})
		wantCodes(t, failures)
		if len(pictures) != 4 {
			t.Fatalf("big-endian %v: %d pages, want 3 of the chain and then one below", bigEndian, len(pictures))
		}
		for i := range 3 {
			size := pictures[i].image.Bounds().Size()
			if got := pictures[i].at(size.X-1, 2); size != image.Pt(4+i, 3) || got != gray(byte(10+10*i)) {
				t.Errorf("page %d: %v of %v", i, got, size)
			}
		}
		if size := pictures[3].image.Bounds().Size(); size != image.Pt(3, 2) {
			t.Errorf("page below: %v", size)
		}
	}
}

func TestTIFFLimitsAndLoops(t *testing.T) {
	b := newTIFF(false)
	for range 5 {
		b.grayPage(4, 4, 1)
	}
	loop := newTIFF(false)
	first := loop.grayPage(4, 4, 1)
	loop.grayPage(4, 4, 2)
	loop.link(first)
	huge := newTIFF(false)
	huge.directory(false, grayTags(100_000, 100_000, 1, 1, []int{8}, []int{1})...)
	empty := newTIFF(false)
	empty.directory(false, grayTags(0, 5, 1, 1, []int{8}, []int{1})...)
	for name, tc := range map[string]struct {
		content []byte
		limits  media.Limits
		pages   int
		codes   []hashmatch.FailureCode
	}{
		"pages":      {b.out, media.Limits{MaxFrames: 3}, 3, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
		"exactly":    {b.out, media.Limits{MaxFrames: 5}, 5, nil},
		"all pixels": {b.out, media.Limits{MaxTotalPixels: 40}, 2, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
		"pixels":     {b.out, media.Limits{MaxPixels: 15, MaxFrames: 5}, 0, append([]hashmatch.FailureCode(nil), hashmatch.TooManyPixels, hashmatch.TooManyPixels, hashmatch.TooManyPixels, hashmatch.TooManyPixels)},
		"loop":       {loop.out, media.Limits{}, 2, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"huge":       {huge.out, media.Limits{}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
		"no pixels":  {empty.out, media.Limits{}, 0, []hashmatch.FailureCode{hashmatch.Corrupt}},
	} {
		t.Run(name, func(t *testing.T) {
			pictures, failures := collect(t, "tiff", tc.content, tc.limits)
			if len(pictures) != tc.pages {
				t.Errorf("%d pages, want %d", len(pictures), tc.pages)
			}
			wantCodes(t, failures, tc.codes...)
		})
	}
}

// What the decoder does not know, or would decode wrongly without a word, is named; other pages are not held up.
func TestTIFFUnsupported(t *testing.T) {
	plain := func(replace ...tiffTag) []tiffTag {
		tags := grayTags(4, 4, 1, 4, []int{8}, []int{16})
	next:
		for _, r := range replace {
			for i := range tags {
				if tags[i].tag == r.tag {
					tags[i] = r
					continue next
				}
			}
			at := 0
			for at < len(tags) && tags[at].tag < r.tag {
				at++
			}
			tags = append(tags[:at], append([]tiffTag{r}, tags[at:]...)...)
		}
		return tags
	}
	short := func(tag uint16, values ...int) tiffTag { return tiffTag{tag, true, values} }
	for name, tags := range map[string][]tiffTag{
		"JPEG":            plain(short(tagCompression, 7)),
		"CMYK":            plain(short(tagPhotometric, 5), short(tagBitsPerSample, 8, 8, 8, 8), short(tagSamplesPerPixel, 4)),
		"YCbCr":           plain(short(tagPhotometric, 6), short(tagBitsPerSample, 8, 8, 8), short(tagSamplesPerPixel, 3)),
		"planar":          plain(short(tagPhotometric, 2), short(tagBitsPerSample, 8, 8, 8), short(tagSamplesPerPixel, 3), short(tagPlanar, 2)),
		"float predictor": plain(short(tagCompression, 8), short(tagPredictor, 3)),
		"fill order":      plain(short(tagFillOrder, 2)),
		"fax in 2D":       plain(short(tagCompression, 3), tiffTag{tagT4Options, false, []int{1}}),
		"4 bits":          plain(short(tagBitsPerSample, 4)),
		"floating point":  plain(short(339, 3)),
		"compression":     plain(short(tagCompression, 31337)),
	} {
		t.Run(name, func(t *testing.T) {
			b := newTIFF(false)
			b.data(make([]byte, 64))
			b.directory(false, tags...)
			b.grayPage(4, 4, 77)
			pictures, failures := collect(t, "tiff", b.out, media.Limits{})
			wantCodes(t, failures, hashmatch.Unsupported)
			if len(pictures) != 1 || pictures[0].at(0, 0) != gray(77) {
				t.Errorf("the other page: %v", pictures)
			}
		})
	}
}

// Of a file that is cut off, the strips that are there are decoded, and the rest is black.
func TestTIFFCutOff(t *testing.T) {
	const w, h = 4, 8
	strip := func(v byte) []byte {
		var z bytes.Buffer
		zw := zlib.NewWriter(&z)
		_, _ = zw.Write(bytes.Repeat([]byte{v}, w*2))
		_ = zw.Close()
		return z.Bytes()
	}
	for name, tc := range map[string]struct {
		compression int
		data        func(v byte) []byte
	}{
		"uncompressed": {1, func(v byte) []byte { return bytes.Repeat([]byte{v}, w*2) }},
		"deflate":      {8, strip},
	} {
		t.Run(name, func(t *testing.T) {
			size := len(tc.data(1))
			b := newTIFF(false)
			var offsets, counts []int
			directory := len(b.out) + 2 + 9*12 + 4 + 2*4*4 // the strips follow it
			for i := range 4 {
				offsets, counts = append(offsets, directory+i*size), append(counts, size)
			}
			b.directory(false, grayTags(w, h, tc.compression, 2, offsets, counts)...)
			if len(b.out) != directory {
				t.Fatalf("strips at %d, not %d", len(b.out), directory)
			}
			for i := range 4 {
				b.out = append(b.out, tc.data(byte(50+i))...)
			}
			pictures, failures := collect(t, "tiff", b.out, media.Limits{})
			wantCodes(t, failures)
			if len(pictures) != 1 || pictures[0].at(0, 7) != gray(53) {
				t.Fatalf("whole: %v", pictures)
			}
			pictures, failures = collect(t, "tiff", b.out[:directory+2*size+1], media.Limits{})
			wantCodes(t, failures, hashmatch.Truncated)
			if len(pictures) != 1 || pictures[0].image.Bounds().Size() != image.Pt(w, h) {
				t.Fatalf("cut off: %v", pictures)
			}
			for y, want := range []byte{50, 50, 51, 51} {
				if got := pictures[0].at(1, y); got != gray(want) {
					t.Errorf("row %d is %v, want %d", y, got, want)
				}
			}
			if got := pictures[0].at(w-1, h-1); got != gray(0) {
				t.Errorf("what is missing is %v", got)
			}
			_, failures = collect(t, "tiff", b.out[:20], media.Limits{})
			wantCodes(t, failures, hashmatch.Truncated)
		})
	}
}

func TestTIFFKinds(t *testing.T) {
	b := image.Rect(0, 0, 3, 2)
	rgba, nrgba, deep := image.NewRGBA(b), image.NewNRGBA(b), image.NewGray16(b)
	for i := range 6 {
		rgba.SetRGBA(i%3, i/3, color.RGBA{byte(i), 2, 3, 255})
		nrgba.SetNRGBA(i%3, i/3, color.NRGBA{byte(100 + i), 20, 30, byte(40 * i)})
		deep.SetGray16(i%3, i/3, color.Gray16{uint16(i)<<12 | 0xfff})
	}
	for name, img := range map[string]image.Image{"RGBA": rgba, "NRGBA": nrgba, "Gray16": deep} {
		for _, compression := range []tiff.CompressionType{tiff.Uncompressed, tiff.Deflate} {
			var out bytes.Buffer
			if err := tiff.Encode(&out, img, &tiff.Options{Compression: compression, Predictor: true}); err != nil {
				t.Fatal(err)
			}
			pictures, failures := collect(t, "tiff", out.Bytes(), media.Limits{})
			wantCodes(t, failures)
			if len(pictures) != 1 {
				t.Fatalf("%s: %d pictures", name, len(pictures))
			}
			for i := 1; i < 6; i++ {
				want := color.NRGBAModel.Convert(img.At(i%3, i/3)).(color.NRGBA)
				if got := pictures[0].at(i%3, i/3); got != want {
					t.Errorf("%s: pixel %d is %v, want %v", name, i, got, want)
				}
			}
		}
	}
}

func FuzzTIFF(f *testing.F) {
	b := newTIFF(true)
	sub := b.directory(true, grayTags(3, 2, 1, 2, []int{8}, []int{6})...)
	b.grayPage(4, 3, 10, tiffTag{tagSubIFDs, false, []int{sub}})
	b.grayPage(5, 3, 20)
	f.Add(b.out)
	f.Add(b.out[:len(b.out)-20])
	var out bytes.Buffer
	if err := tiff.Encode(&out, image.NewNRGBA(image.Rect(0, 0, 5, 4)), &tiff.Options{Compression: tiff.Deflate}); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	fuzzDecode(f, "tiff")
}
