package isolated

import (
	"encoding/binary"
	"image"
	"image/color"
	"slices"
	"testing"
)

// testItem describes an item of a file that heifFixture writes.
type testItem struct {
	id         int
	kind       string
	properties []int // 1-based
	offset     int
	length     int
}

// heifFixture writes a file with the items, references and properties.
func heifFixture(primary int, items []testItem, references, properties [][]byte, more ...[]byte) []byte {
	var infos, locations, associations []byte
	for _, it := range items {
		infos = append(infos, fullBox("infe", 2, 0, be16(it.id, 0), []byte(it.kind), []byte{0})...)
		locations = append(locations, be16(it.id, 0, 1)...)
		locations = append(locations, be32(it.offset, it.length)...)
		associations = append(associations, be16(it.id)...)
		associations = append(associations, byte(len(it.properties)))
		for _, p := range it.properties {
			associations = append(associations, byte(p)|0x80)
		}
	}
	meta := fullBox("meta", 0, 0,
		fullBox("pitm", 0, 0, be16(primary)),
		fullBox("iinf", 0, 0, be16(len(items)), infos),
		fullBox("iref", 0, 0, slices.Concat(references...)),
		isoBox("iprp", isoBox("ipco", slices.Concat(properties...)), fullBox("ipma", 0, 0, be32(len(items)), associations)),
		fullBox("iloc", 0, 0, be16(0x4400, len(items)), locations))
	return slices.Concat(append([][]byte{isoBox("ftyp", []byte("mif1"), be32(0), []byte("heic")), meta}, more...)...)
}

func refer(kind string, from int, to ...int) []byte {
	return isoBox(kind, be16(from, len(to)), be16(to...))
}

func ispe(w, h int) []byte { return fullBox("ispe", 0, 0, be32(w, h)) }

// movie returns a moov box with one track.
func movie(handler string, samples, w, h, firstByte int) []byte {
	return isoBox("moov", isoBox("trak",
		fullBox("tkhd", 0, 0, make([]byte, 72), be32(w<<16, h<<16)),
		isoBox("mdia", fullBox("hdlr", 0, 0, be32(0), []byte(handler)),
			isoBox("minf", isoBox("stbl", fullBox("stsz", 0, 0, be32(0, samples)), fullBox("stco", 0, 0, be32(1, firstByte)))))))
}

func TestHEIFWalk(t *testing.T) {
	content := heifFixture(20, []testItem{
		{10, "hvc1", []int{1, 4}, 8, 4},  // a picture beside the primary one
		{20, "grid", []int{2, 3}, 8, 4},  // the primary one
		{21, "hvc1", []int{1}, 12, 4},    // its tiles
		{22, "hvc1", []int{1}, 12, 4},    //
		{30, "hvc1", []int{1}, 12, 4},    // its thumbnail
		{40, "hvc1", []int{5, 1}, 12, 4}, // its transparency
		{41, "hvc1", []int{6, 1}, 12, 4}, // its depth
		{50, "Exif", nil, 12, 4},
		{60, "tmap", nil, 12, 4},
	}, [][]byte{
		refer("dimg", 20, 21, 22), refer("thmb", 30, 20), refer("auxl", 40, 20), refer("auxl", 41, 20), refer("cdsc", 50, 20),
		refer("dimg", 60, 10, 10), refer("prem", 20, 40),
	}, [][]byte{
		ispe(512, 256), ispe(1000, 600), isoBox("irot", []byte{1}), isoBox("colr", []byte("nclx"), be16(1, 13, 6), []byte{0}),
		fullBox("auxC", 0, 0, []byte("urn:mpeg:hevc:2015:auxid:1\x00")), fullBox("auxC", 0, 0, []byte("urn:mpeg:hevc:2015:auxid:2\x00")),
	}, movie("pict", 7, 320, 200, 99))
	f, err := walkHEIF(content)
	if err != nil || f.truncated {
		t.Fatalf("%v, truncated %v", err, f.truncated)
	}
	var ids []uint32
	for _, i := range f.pictures() {
		ids = append(ids, f.items[i].id)
	}
	if !slices.Equal(ids, []uint32{20, 10}) {
		t.Errorf("pictures %v, want the primary one and the one beside it", ids)
	}
	primary, other := &f.items[f.byID[20]], &f.items[f.byID[10]]
	if w, h, ok := f.size(primary); !ok || w != 1000 || h != 600 {
		t.Errorf("size %d x %d %v", w, h, ok)
	}
	if plane, ok := f.alpha(primary); !ok || plane.id != 40 {
		t.Errorf("alpha %v %v", plane, ok)
	}
	if _, ok := f.alpha(other); ok {
		t.Error("alpha of a picture that has none")
	}
	if !f.premultiplied(primary) || f.premultiplied(other) || !f.videoRange(other) || f.videoRange(primary) {
		t.Errorf("premultiplied %v %v, video range %v %v", f.premultiplied(primary), f.premultiplied(other), f.videoRange(other), f.videoRange(primary))
	}
	if tr, ok := f.pictureTrack(); !ok || tr != (track{"pict", 7, 320, 200, 99}) {
		t.Errorf("track %v %v", tr, ok)
	}
	work := f.copied()
	if !f.setPrimary(work, 10) || !setMajor(work, "heic") {
		t.Fatal("not changed")
	}
	again, err := walkHEIF(work)
	if err != nil || again.primary != 10 || again.major != "heic" || f.setPrimary(work, 1<<16) {
		t.Errorf("primary %d, major %q, %v", again.primary, again.major, err)
	}
	if f.major != "mif1" {
		t.Error("the file itself was changed")
	}
}

func TestHEIFBeyondTheEnd(t *testing.T) {
	properties := [][]byte{ispe(4, 4)}
	size := len(heifFixture(1, []testItem{{1, "av01", []int{1}, 0, 0}}, nil, properties))
	f, err := walkHEIF(heifFixture(1, []testItem{{1, "av01", []int{1}, size - 10, 30}}, nil, properties))
	if err != nil || !f.truncated || !f.items[0].outside || f.missing != 20 || len(f.copied()) != size+20 {
		t.Errorf("%v, truncated %v, %d missing", err, f.truncated, f.missing)
	}
	f, err = walkHEIF(heifFixture(1, []testItem{{1, "av01", []int{1}, 1 << 30, 1 << 30}}, nil, properties))
	if err != nil || !f.truncated || f.missing != 0 {
		t.Errorf("far outside: %v, truncated %v, %d missing", err, f.truncated, f.missing)
	}
	cut := heifFixture(1, []testItem{{1, "av01", []int{1}, 0, 0}}, nil, properties)
	cuts := 0
	for n := range cut {
		cuts++
		if f, err := walkHEIF(cut[:n]); !f.truncated && err == nil && len(f.pictures()) > 0 {
			t.Errorf("%d of %d bytes are taken for whole", n, len(cut))
		}
	}
	if cuts != size {
		t.Errorf("%d cuts", cuts)
	}
}

func TestHEIFMalformed(t *testing.T) {
	deep := isoBox("stsz")
	for range 1000 {
		deep = isoBox("mdia", deep)
	}
	for name, content := range map[string][]byte{
		"box of 7 bytes":   append(be32(7), "ftypxxxx"...),
		"large box of 8":   slices.Concat(be32(1), []byte("ftyp"), be32(0, 8)),
		"nested too deep":  isoBox("moov", isoBox("trak", deep)),
		"the same item":    heifFixture(1, []testItem{{1, "av01", nil, 0, 0}, {1, "av01", nil, 0, 0}}, nil, nil),
		"number sizes":     fullBox("meta", 0, 0, fullBox("iloc", 0, 0, be16(0xf000, 1))),
		"pitm without ID":  fullBox("meta", 0, 0, fullBox("pitm", 0, 0)),
		"short references": fullBox("meta", 0, 0, fullBox("iref", 0, 0, isoBox("dimg", be16(1, 500)))),
	} {
		if f, err := walkHEIF(content); err == nil {
			t.Errorf("%s: no error, truncated %v", name, f.truncated)
		}
	}
}

// A picture of three by two, whose pixels say where they were.
func TestTurnAndCrop(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for y := range 2 {
		for x := range 3 {
			img.SetRGBA(x, y, color.RGBA{byte(x), byte(y), 0, 255})
		}
	}
	for _, tc := range []struct {
		name    string
		boxes   [][]byte
		size    image.Point
		corners [2]image.Point // what is at the top left and the bottom right
	}{
		{"nothing", nil, image.Pt(3, 2), [2]image.Point{{0, 0}, {2, 1}}},
		{"90 counter-clockwise", [][]byte{isoBox("irot", []byte{1})}, image.Pt(2, 3), [2]image.Point{{2, 0}, {0, 1}}},
		{"180", [][]byte{isoBox("irot", []byte{2})}, image.Pt(3, 2), [2]image.Point{{2, 1}, {0, 0}}},
		{"270 counter-clockwise", [][]byte{isoBox("irot", []byte{3})}, image.Pt(2, 3), [2]image.Point{{0, 1}, {2, 0}}},
		{"top to bottom", [][]byte{isoBox("imir", []byte{0})}, image.Pt(3, 2), [2]image.Point{{0, 1}, {2, 0}}},
		{"left to right", [][]byte{isoBox("imir", []byte{1})}, image.Pt(3, 2), [2]image.Point{{2, 0}, {0, 1}}},
		{"90, then left to right", [][]byte{isoBox("irot", []byte{1}), isoBox("imir", []byte{1})}, image.Pt(2, 3), [2]image.Point{{2, 1}, {0, 0}}},
	} {
		f := &heif{}
		it := &item{}
		for _, b := range tc.boxes {
			f.content = append(f.content, b...)
			f.properties = append(f.properties, box{string(b[4:8]), len(f.content) - 1, len(f.content)})
			it.properties = append(it.properties, len(f.properties))
		}
		turned := f.turn(it, img)
		size := turned.Bounds().Size()
		if size != tc.size {
			t.Errorf("%s: %v", tc.name, size)
			continue
		}
		for i, at := range []image.Point{{}, size.Sub(image.Pt(1, 1))} {
			c := turned.At(at.X, at.Y).(color.RGBA)
			if got := image.Pt(int(c.R), int(c.G)); got != tc.corners[i] {
				t.Errorf("%s: at %v is what was at %v, want %v", tc.name, at, got, tc.corners[i])
			}
		}
	}

	clap := func(values ...int) (*heif, *item) {
		b := isoBox("clap", be32(values...))
		return &heif{content: b, properties: []box{{"clap", 8, len(b)}}}, &item{properties: []int{1}}
	}
	minus1 := int(binary.BigEndian.Uint32([]byte{0xff, 0xff, 0xff, 0xff}))
	for _, tc := range []struct {
		values []int
		want   image.Rectangle
		ok     bool
	}{
		{[]int{4, 1, 2, 1, 0, 1, 0, 1}, image.Rect(3, 4, 7, 6), true},
		{[]int{4, 1, 2, 1, minus1, 1, 1, 1}, image.Rect(2, 5, 6, 7), true},
		{[]int{10, 1, 10, 1, 0, 1, 0, 1}, image.Rect(0, 0, 10, 10), false},
		{[]int{20, 1, 2, 1, 0, 1, 0, 1}, image.Rectangle{}, false},
		{[]int{4, 0, 2, 1, 0, 1, 0, 1}, image.Rectangle{}, false},
		{[]int{4, 1, 2, 1, 9, 1, 0, 1}, image.Rectangle{}, false},
		{[]int{4, 1, 2}, image.Rectangle{}, false},
	} {
		f, it := clap(tc.values...)
		if rect, ok := f.crop(it, 10, 10); ok != tc.ok || ok && rect != tc.want {
			t.Errorf("%v: %v %v, want %v %v", tc.values, rect, ok, tc.want, tc.ok)
		}
	}
	part := cropped(img, image.Rect(1, 1, 3, 2))
	if c := part.At(1, 0).(color.RGBA); part.Bounds().Size() != image.Pt(2, 1) || c.R != 2 || c.G != 1 {
		t.Errorf("cropped to %v with %v", part.Bounds(), c)
	}
}

// The walk over the boxes ends, and what it found can be asked for.
func FuzzHEIF(f *testing.F) {
	f.Add(heifFixture(20, []testItem{{20, "grid", []int{1, 2}, 8, 4}, {21, "hvc1", []int{1}, 12, 4}, {30, "hvc1", []int{1, 3}, 12, 400}},
		[][]byte{refer("dimg", 20, 21), refer("auxl", 30, 20)},
		[][]byte{ispe(512, 256), isoBox("irot", []byte{1}), fullBox("auxC", 0, 0, []byte("urn:mpeg:hevc:2015:auxid:1\x00")), isoBox("clap", be32(4, 1, 2, 1, 0, 1, 0, 1))},
		movie("pict", 7, 320, 200, 99)))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, _ := walkHEIF(content)
		work := file.copied()
		if len(work) < len(content) || len(work) > len(content)+maxPadding {
			t.Fatalf("a copy of %d bytes", len(work))
		}
		for n, i := range file.pictures() {
			if n == 100 {
				break
			}
			it := &file.items[i]
			w, h, _ := file.size(it)
			if rect, ok := file.crop(it, w, h); ok && !rect.In(image.Rect(0, 0, w, h)) {
				t.Fatalf("%v of %d x %d", rect, w, h)
			}
			file.alpha(it)
			file.premultiplied(it)
			file.videoRange(it)
			file.turn(it, image.NewRGBA(image.Rect(0, 0, 3, 2)))
			if file.setPrimary(work, it.id) {
				if again, err := walkHEIF(work[:len(content)]); err == nil && again.primary != it.id {
					t.Fatalf("primary %d, want %d", again.primary, it.id)
				}
			}
		}
		file.pictureTrack()
	})
}
