package pdq

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"
)

// vectorsDir is where the reference implementation's results are, outside of the project.
const vectorsDir = "../../../../shared/vectors"

// vector is what the reference made of one file.
type vector struct {
	File string
	Full *struct {
		Hash     string
		Quality  int
		Dihedral []string
	}
	Spectrum int    `json:"decoded_spectrum"`
	Width    int    `json:"decoded_cols"`
	Height   int    `json:"decoded_rows"`
	Pixels   string `json:"decoded_pixels_sha256"`
}

// stages are the reference's intermediate results for one file: float32 values as big-endian hex.
type stages struct {
	File, Mode, Hash string
	Quality          int
	Points           string `json:"buf64_f32hex"`
	Spectrum         string `json:"dct16_f32hex"`
	Median           string `json:"median_f32hex"`
}

func vectors(t *testing.T) []vector {
	file, err := os.Open(filepath.Join(vectorsDir, "vectors.jsonl"))
	if err != nil {
		t.Skip("../shared is absent: the reference's vectors are not compared")
	}
	defer file.Close()
	var all []vector
	for d := json.NewDecoder(file); ; {
		var v vector
		if err := d.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if v.Full != nil {
			all = append(all, v)
		}
	}
}

func intermediates(t *testing.T) map[string]stages {
	all := make(map[string]stages)
	for _, name := range []string{"data", "pytx", "synthetic"} {
		file, err := os.Open(filepath.Join(vectorsDir, "intermediates-"+name+".jsonl.gz"))
		if err != nil {
			t.Skip("../shared is absent: the reference's intermediate results are not compared")
		}
		defer file.Close()
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(unzipped); ; {
			var s stages
			if err := d.Decode(&s); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if s.Mode == "full" {
				all[s.File] = s
			}
		}
	}
	return all
}

func floats(t *testing.T, text string) []float32 {
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, len(raw)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.BigEndian.Uint32(raw[4*i:]))
	}
	return values
}

// From the reference's 64 x 64 points on, every stage is the reference's bit for bit.
func TestReferenceStages(t *testing.T) { eachKernel(t, testReferenceStages) }

func testReferenceStages(t *testing.T) {
	all := intermediates(t)
	for name, s := range all {
		var p plane
		for i, v := range floats(t, s.Points) {
			p[i/side][i%side] = v
		}
		b := transform(&p)
		var flat []float32
		for i := range b {
			flat = append(flat, b[i][:]...)
		}
		for i, want := range floats(t, s.Spectrum) {
			if math.Float32bits(flat[i]) != math.Float32bits(want) {
				t.Errorf("%s: coefficient %d is %v, want %v", name, i, flat[i], want)
				break
			}
		}
		if got, want := nth(flat, 127), floats(t, s.Median)[0]; got != want {
			t.Errorf("%s: median %v, want %v", name, got, want)
		}
		if hash, _ := turns[0].hashes(b); hash.Hex() != s.Hash || qualityOf(&p) != s.Quality {
			t.Errorf("%s: %s of quality %d, want %s of %d", name, hash.Hex(), qualityOf(&p), s.Hash, s.Quality)
		}
	}
	if len(all) != 59 {
		t.Errorf("%d files compared, want 59", len(all))
	}
}

// On the very pixels that the reference had, the filter, the hash, the quality and the variants are the reference's
// bit for bit. A JPEG's pixels are the reference's only if the same library decodes them: they come from ImageMagick
// where it is installed.
func TestReferencePixels(t *testing.T) {
	all, between := vectors(t), intermediates(t)
	images, without := make(map[string]image.Image), []string(nil)
	for _, v := range all {
		if img := v.identical(); img != nil {
			images[v.File] = img
		} else {
			without = append(without, v.File)
		}
	}
	t.Logf("of %d files these are not decoded alike: %v", len(all), without)
	eachKernel(t, func(t *testing.T) { testReferencePixels(t, all, between, images) })
}

func testReferencePixels(t *testing.T, all []vector, between map[string]stages, images map[string]image.Image) {
	exact := 0
	for _, v := range all {
		img := images[v.File]
		if img == nil {
			continue
		}
		src, err := LumaOf(img)
		if err != nil {
			t.Fatal(err)
		}
		variants, quality := Dihedral(src)
		got := variants[0].Hash
		if got.Hex() != v.Full.Hash || quality != v.Full.Quality {
			t.Errorf("%s: %s of quality %d, want %s of %d", v.File, got.Hex(), quality, v.Full.Hash, v.Full.Quality)
			continue
		}
		for i, want := range v.Full.Dihedral {
			if got := variants[i].Hash.Hex(); got != want && (i > 0 || !unfiltered(src)) {
				t.Errorf("%s: %s is %s, want %s", v.File, variants[i].Dihedral, got, want)
			}
		}
		if s, known := between[v.File]; known && large(src) {
			var w workspace
			w.sample(src)
			for i, want := range floats(t, s.Points) {
				if got := w.plane[i/side][i%side]; got != want {
					t.Errorf("%s: point %d is %v, want %v", v.File, i, got, want)
					break
				}
			}
		}
		exact++
	}
	t.Logf("%d of %d files compared on identical pixels", exact, len(all))
	if exact < 15 {
		t.Errorf("only %d files could be compared", exact)
	}
}

// Decoded by Go's decoders instead, a hash of quality 80 or more is within 10 bits of the reference's, as the
// reference demands of any implementation. Left out are the files that the reference reads wrongly: those with
// transparency, where it lets hidden colours decide, and with 16-bit samples, of which it takes the low byte.
func TestReferenceThroughOwnDecoders(t *testing.T) {
	t.Parallel()
	misread := map[string]bool{"synthetic/type_rgba_fully_transparent.png": true, "pytx/LA.png": true, "pytx/I16.png": true}
	compared, apart := 0, make(map[int]int)
	for _, v := range vectors(t) {
		img, err := v.decode()
		if err != nil || v.Full.Quality < 80 || misread[v.File] {
			continue
		}
		src, err := LumaOf(img)
		if err != nil {
			t.Fatal(err)
		}
		if width, height := src.Size(); width != v.Width || height != v.Height {
			continue
		}
		got, _ := Compute(src)
		want, err := hashmatch.ParseHex(hashmatch.PDQ, v.Full.Hash)
		if err != nil {
			t.Fatal(err)
		}
		d := got.Distance(want)
		apart[d]++
		compared++
		if d > 10 {
			t.Errorf("%s: %d bits from the reference", v.File, d)
		}
	}
	t.Logf("%d files compared; files by distance: %v", compared, apart)
	if compared < 30 {
		t.Errorf("only %d files could be compared", compared)
	}
}

func (v vector) path() string { return filepath.Join(vectorsDir, "images", v.File) }

// decode returns the file as Go decodes it, as an image that a frame may hold.
func (v vector) decode() (image.Image, error) {
	file, err := os.Open(v.path())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, err
	}
	switch img.(type) {
	case *image.Gray, *image.YCbCr:
		return img, nil
	}
	rgb := image.NewRGBA(img.Bounds())
	draw.Draw(rgb, rgb.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(rgb, rgb.Rect, img, image.Point{}, draw.Over)
	return rgb, nil
}

// identical returns the pixels that the reference had, or nil if neither ImageMagick, which the reference calls, nor
// Go's decoders give them.
func (v vector) identical() image.Image {
	out, err := exec.Command("convert", v.path(), "pnm:-").Output()
	if err == nil {
		if img, err := v.parse(out); err == nil {
			return img
		}
	}
	m, err := v.decode()
	if err != nil {
		return nil
	}
	var pixels []byte
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			r, g, b, _ := m.At(x, y).RGBA()
			pixels = append(pixels, byte(r>>8))
			if v.Spectrum == 3 {
				pixels = append(pixels, byte(g>>8), byte(b>>8))
			}
		}
	}
	img, _ := v.image(pixels)
	return img
}

// parse reads the first picture of a PNM file as the reference does: bits become 0 and 255, and 16-bit samples lose
// their high byte.
func (v vector) parse(pnm []byte) (image.Image, error) {
	var format string
	var width, height, most int
	r := bufio.NewReader(bytes.NewReader(pnm))
	if _, err := fmt.Fscan(r, &format, &width, &height); err != nil {
		return nil, err
	}
	if format != "P4" {
		if _, err := fmt.Fscan(r, &most); err != nil {
			return nil, err
		}
	}
	if _, err := r.ReadByte(); err != nil {
		return nil, err
	}
	if width != v.Width || height != v.Height {
		return nil, fmt.Errorf("%d x %d pixels", width, height)
	}
	pixels := make([]byte, width*height*v.Spectrum)
	switch {
	case format == "P4":
		for y := range height {
			row := make([]byte, (width+7)/8)
			if _, err := io.ReadFull(r, row); err != nil {
				return nil, err
			}
			for x := range width {
				pixels[y*width+x] = 255 * (1 - row[x/8]>>(7-x%8)&1)
			}
		}
	case most > 255:
		wide := make([]byte, 2*len(pixels))
		if _, err := io.ReadFull(r, wide); err != nil {
			return nil, err
		}
		for i := range pixels {
			pixels[i] = wide[2*i+1]
		}
	default:
		if _, err := io.ReadFull(r, pixels); err != nil {
			return nil, err
		}
	}
	return v.image(pixels)
}

// image makes an image of pixels if they are the reference's.
func (v vector) image(pixels []byte) (image.Image, error) {
	if sum := sha256.Sum256(pixels); hex.EncodeToString(sum[:]) != v.Pixels {
		return nil, fmt.Errorf("other pixels than the reference's")
	}
	bounds := image.Rect(0, 0, v.Width, v.Height)
	if v.Spectrum == 1 {
		return &image.Gray{Pix: pixels, Stride: v.Width, Rect: bounds}, nil
	}
	m := image.NewRGBA(bounds)
	for i := range v.Width * v.Height {
		copy(m.Pix[4*i:], pixels[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m, nil
}
