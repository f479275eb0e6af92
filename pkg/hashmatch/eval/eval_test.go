package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// uploads returns the project's synthetic uploads.
func uploads(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/uploads/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d uploads, %v", len(files), err)
	}
	return files
}

// settings returns a Config over the uploads that makes no copies.
func settings(t testing.TB) Config {
	return Config{Photos: uploads(t), Kinds: hashmatch.SetOf(hashmatch.PDQ), QualityFloor: 50, Seed: 3, Uploads: 100,
		Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 31, hashmatch.DHash: 2}, Widest: map[hashmatch.Kind]int{hashmatch.DHash: 10}}
}

func withEdits(t testing.TB, edits ...string) Config {
	t.Helper()
	c := settings(t)
	var err error
	if c.Edits, err = edit.Select(edits); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustRun(t testing.TB, c Config) *Result {
	t.Helper()
	result, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// timeless returns the JSON of a result without what depends on the clock.
func timeless(t *testing.T, r *Result) string {
	t.Helper()
	for i := range r.Measures {
		r.Measures[i].Cost = Cost{}
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWorkers has the same result from 1 worker and from 5, and another one from another seed; with the race detector on
// a third of the photos.
func TestWorkers(t *testing.T) {
	c := withEdits(t, "jpeg30", "sticker", "crop2-total")
	c.Kinds = hashmatch.SetOf(hashmatch.PDQ, hashmatch.DHash)
	c.Sample = 5
	if raceDetector {
		c.Photos, c.Sample = c.Photos[:len(c.Photos)/3], 2
	}
	c.Workers = 1
	one := timeless(t, mustRun(t, c))
	c.Workers = 5
	if five := timeless(t, mustRun(t, c)); five != one {
		t.Errorf("1 worker:\n%s\n5 workers:\n%s", one, five)
	}
	slices.Reverse(c.Photos)
	if reversed := timeless(t, mustRun(t, c)); reversed != one {
		t.Error("the order of the files makes a difference")
	}
	c.Seed++
	if other := timeless(t, mustRun(t, c)); other == one {
		t.Error("the seed makes no difference")
	}
}

// TestAgainstNaive computes recall and pairs of the JPEGs among the uploads in the plainest way, without this package.
func TestAgainstNaive(t *testing.T) {
	c := withEdits(t, "jpeg50", "mirror", "crop2-left", "crop5-each")
	c.Photos = slices.DeleteFunc(c.Photos, func(path string) bool {
		// Not those that are damaged, or turned by EXIF.
		return !strings.HasSuffix(path, ".jpg") || strings.Contains(path, "unreadable") || strings.Contains(path, "exif") || strings.Contains(path, "png")
	})
	if len(c.Photos) < 4 {
		t.Fatalf("%d photos", len(c.Photos))
	}
	c.QualityFloor = 0
	result := mustRun(t, c)

	type hashes struct {
		listed hashmatch.Hash
		views  [2][]hashmatch.Hash // without turns, and all
	}
	hashesOf := func(file []byte) (out hashes, img image.Image) {
		img, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		all, err := pdq.Hasher{}.Hash(nil, &hashmatch.Frame{Image: img}, c.Kinds, c.Kinds)
		if err != nil {
			t.Fatal(err)
		}
		out.listed = all[0].Hash
		for _, h := range all {
			if h.View.Dihedral == "" {
				out.views[0] = append(out.views[0], h.Hash)
			}
			out.views[1] = append(out.views[1], h.Hash)
		}
		return out, img
	}
	near := func(views []hashmatch.Hash, to hashmatch.Hash) int {
		d := 256
		for _, h := range views {
			d = min(d, h.Distance(to))
		}
		return d
	}
	var all []hashes
	found := make([][2]int64, len(c.Edits))
	for _, path := range c.Photos {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		original, img := hashesOf(content)
		all = append(all, original)
		src := image.NewRGBA(img.Bounds())
		draw.Draw(src, src.Rect, img, image.Point{}, draw.Src)
		for e := range c.Edits {
			file, err := c.Edits[e].JPEG(src, 0) // these edits leave nothing to chance
			if err != nil {
				t.Fatal(err)
			}
			copied, _ := hashesOf(file)
			for mode, views := range copied.views {
				if near(views, original.listed) <= 31 {
					found[e][mode]++
				}
			}
		}
	}
	for mode, m := range result.Measures {
		if m.Dihedral != (mode == 1) || m.Photos != len(all) {
			t.Fatalf("measure %d: %+v", mode, m)
		}
		for e, recall := range m.Recall {
			if recall.Copies != int64(len(all)) || recall.Found != found[e][mode] || recall.Distances.Within(31) != recall.Found {
				t.Errorf("%s, turns: %v: %d of %d found, want %d of %d", recall.Edit, m.Dihedral, recall.Found, recall.Copies, found[e][mode], len(all))
			}
		}
		want := make(Histogram, 257)
		nearest := make([]int, len(all))
		for i, a := range all {
			nearest[i] = 256
			for j, b := range all {
				d := min(near(a.views[mode], b.listed), near(b.views[mode], a.listed))
				if i != j {
					nearest[i] = min(nearest[i], d)
				}
				if j < i {
					want[d]++
				}
			}
		}
		if !slices.Equal(m.Pairs.Distances, want.trimmed()) || m.Pairs.Pairs != want.Total() || m.Pairs.Matched != want.Within(31) {
			t.Errorf("turns: %v: pairs %v, want %v", m.Dihedral, m.Pairs.Distances, want.trimmed())
		}
		matched := int64(0)
		for _, d := range nearest {
			if d <= 31 {
				matched++
			}
		}
		if m.Among.Matched != matched || m.Among.Nearest.Total() != int64(len(all)) || m.Among.Photos != int64(len(all)) {
			t.Errorf("turns: %v: %d photos match another, want %d", m.Dihedral, m.Among.Matched, matched)
		}
	}
	if found[1][0] != 0 || found[1][1] == 0 || found[0][0] == 0 || found[3][1] == int64(len(all)) {
		t.Errorf("found: %v: the edits do not differ as they should", found)
	}
}

// TestPhotosAreCounted has doubles, damage and what is no picture among the files.
func TestPhotosAreCounted(t *testing.T) {
	c := settings(t)
	dir := t.TempDir()
	content, err := os.ReadFile("../../../testdata/uploads/clean-landscape.jpg")
	if err != nil {
		t.Fatal(err)
	}
	narrow := image.NewGray(image.Rect(0, 0, 1000, 20))
	for i := range narrow.Pix {
		narrow.Pix[i] = uint8(i * i >> 3)
	}
	var strip bytes.Buffer
	if err := jpeg.Encode(&strip, narrow, nil); err != nil {
		t.Fatal(err)
	}
	c.Photos = []string{filepath.Join(dir, "missing")}
	for name, file := range map[string][]byte{"secret-one": content, "secret-two": content, "empty": nil, "words": []byte("no picture"),
		"cut": content[:len(content)/2], "strip": strip.Bytes()} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c.Photos = append(c.Photos, path)
	}
	c.Edits, _ = edit.Select([]string{"jpeg50"})
	result := mustRun(t, c)
	want := Photos{Files: 7, Doubles: 1, Used: 2, Edited: 1, NotEdited: map[hashmatch.FailureCode]int{hashmatch.Unsupported: 1},
		LeftOut: map[hashmatch.FailureCode]int{hashmatch.Unreadable: 1, hashmatch.Empty: 1, hashmatch.NotImage: 1, hashmatch.Truncated: 1}}
	if !reflect.DeepEqual(result.Photos, want) {
		t.Errorf("%+v, want %+v", result.Photos, want)
	}
	for i, write := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return result.WriteJSON(b) }, func(b *bytes.Buffer) error { return result.WriteText(b) },
		func(b *bytes.Buffer) error { return result.WriteHTML(b) }} {
		var b bytes.Buffer
		if err := write(&b); err != nil || b.Len() < 500 {
			t.Fatalf("output %d: %d bytes, %v", i, b.Len(), err)
		}
		if strings.Contains(b.String(), "secret") || strings.Contains(b.String(), dir) {
			t.Errorf("output %d names a file", i)
		}
	}
}

func TestWrongConfigs(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"no photo":             func(c *Config) { c.Photos = nil },
		"too many":             func(c *Config) { c.Photos = make([]string, MaxPhotos+1) },
		"no picture":           func(c *Config) { c.Photos = []string{"eval_test.go"} },
		"no kind":              func(c *Config) { c.Kinds = 0 },
		"a digest":             func(c *Config) { c.Kinds |= hashmatch.SetOf(hashmatch.MD5) },
		"no threshold":         func(c *Config) { c.Kinds = hashmatch.SetOf(hashmatch.AHash) },
		"a wide threshold":     func(c *Config) { c.Thresholds[hashmatch.PDQ] = 65 },
		"a negative threshold": func(c *Config) { c.Thresholds[hashmatch.PDQ] = -1 },
		"a negative sample":    func(c *Config) { c.Sample = -1 },
		"negative workers":     func(c *Config) { c.Workers = -1 },
		"negative uploads":     func(c *Config) { c.Uploads = -1 },
		"a quality over 100":   func(c *Config) { c.QualityFloor = 101 },
		"one profile twice":    func(c *Config) { c.Profiles = []Profile{Plain(), Plain()} },
		"a kind out of reach": func(c *Config) {
			c.Profiles = []Profile{hashers{"pdq", []hashmatch.Hasher{pdq.Hasher{}}}}
			c.Kinds |= hashmatch.SetOf(hashmatch.DHash)
		},
		"a profile that fails":  func(c *Config) { c.Profiles = []Profile{broken{Plain(), false}} },
		"a profile that panics": func(c *Config) { c.Profiles = []Profile{broken{Plain(), true}} },
		"a decoder that panics": func(c *Config) { c.Decoder = panicking{} },
	} {
		c := settings(t)
		change(&c)
		if result, err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: %+v", name, result.Photos)
		}
	}
}

type panicking struct{ hashmatch.Decoder }

func (panicking) Decode(context.Context, []byte, func(*hashmatch.Frame) error) (hashmatch.Media, []hashmatch.Failure) {
	panic(errors.New("out of order"))
}

// TestCancelled stops in each stage.
func TestCancelled(t *testing.T) {
	stages := make(map[string]int)
	c := withEdits(t, "jpeg50")
	c.Workers = 1
	c.Progress = func(stage string, done, total int) {
		if stages[stage]++; done != stages[stage] || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
	}
	mustRun(t, c)
	if len(stages) != 3 || stages["photos"] != len(c.Photos) || stages["copies"] < 10 || stages["pairs"] < 10 {
		t.Fatalf("progress: %v", stages)
	}
	for stage := range stages {
		ctx, cancel := context.WithCancel(t.Context())
		c.Progress = func(at string, _, _ int) {
			if at == stage {
				cancel()
			}
		}
		if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in %s: %v", stage, err)
		}
		cancel()
	}
}

// TestJSONIsStable reads the fields that other programs rely on.
func TestJSONIsStable(t *testing.T) {
	c := withEdits(t, "jpeg50")
	var b bytes.Buffer
	if err := mustRun(t, c).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Photos struct {
			Files, Used, Edited int
		}
		Measures []struct {
			Kind      string
			Dihedral  bool
			Threshold int
			Recall    []struct {
				Edit          string
				Copies, Found int64
				Interval      struct{ Rate, Low, High float64 }
				Distances     []int64
			}
			Pairs struct {
				Choice struct{ Uploads, Needed int64 }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	m := got.Measures
	if got.Photos.Files != len(c.Photos) || len(m) != 2 || m[0].Kind != "pdq" || m[0].Dihedral || !m[1].Dihedral || m[0].Threshold != 31 ||
		m[0].Recall[0].Edit != "jpeg50" || m[0].Recall[0].Found != m[0].Recall[0].Copies || m[0].Recall[0].Interval.Rate != 1 ||
		m[0].Pairs.Choice.Uploads != 100 || m[0].Pairs.Choice.Needed != 3*100*DefaultEntries {
		t.Errorf("%+v", got)
	}
}
