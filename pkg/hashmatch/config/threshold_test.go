package config

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// TestThresholdsOnPhotos compares photos that have nothing in common by every perceptual kind: at its default threshold
// none matches another. It prints how many do at each threshold and how many mildly edited photos are found, which is
// what policy.DefaultThreshold was chosen from. It is optional: it needs ../shared, and looks at every 96th photo there
// unless HASHMATCH_CORPUS=all is set.
func TestThresholdsOnPhotos(t *testing.T) {
	photos := photosOf(t, 96)
	edits := []string{"jpeg50", "resize50", "resize25"}
	c := Public(hashmatch.Hold)
	engine, err := c.Open(t.Context(), withWorker(t))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	var kinds []hashmatch.Kind
	for _, kind := range hashmatch.Kinds() {
		if !kind.Digest() {
			kinds = append(kinds, kind)
		}
	}
	hashesOf := func(content []byte) map[hashmatch.Kind]hashmatch.FrameHash {
		h := engine.Scanner.Hash(t.Context(), hashmatch.Item{Content: bytes.NewReader(content)}, hashmatch.SetOf(kinds...), 0)
		byKind := make(map[hashmatch.Kind]hashmatch.FrameHash)
		for _, f := range h.Frames {
			byKind[f.Hash.Kind] = f
		}
		if len(h.Failures) > 0 || len(byKind) != len(kinds) {
			t.Errorf("%d hashes, %v", len(byKind), h.Failures)
		}
		return byKind
	}
	originals := make([]map[hashmatch.Kind]hashmatch.FrameHash, len(photos))
	edited := make([][]map[hashmatch.Kind]hashmatch.FrameHash, len(photos))
	work := make(chan int)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for i := range work {
				content, err := os.ReadFile(photos[i])
				if err != nil {
					t.Error(err)
				}
				originals[i] = hashesOf(content)
				made := editsOf(t, photos[i])
				for _, name := range edits {
					edited[i] = append(edited[i], hashesOf(made[name]()))
				}
			}
		})
	}
	for i := range photos {
		work <- i
	}
	close(work)
	group.Wait()
	if t.Failed() {
		return
	}

	for _, kind := range kinds {
		widest, usual := policy.MaxThreshold(kind), policy.DefaultThreshold(kind)
		for _, floor := range []int{0, hashmatch.DefaultQualityFloor} {
			counted := func(h hashmatch.FrameHash) bool { return h.Quality >= floor && !h.Hash.Zero() }
			n, pairs, others, found := 0, 0, make([]int, widest+1), make([][]int, len(edits)) // by distance
			for e := range edits {
				found[e] = make([]int, widest+1)
			}
			for i := range photos {
				h := originals[i][kind]
				if !counted(h) {
					continue
				}
				n++
				for e := range edits {
					if d := h.Hash.Distance(edited[i][e][kind].Hash); counted(edited[i][e][kind]) && d <= widest {
						found[e][d]++
					}
				}
				for _, other := range originals[:i] {
					if !counted(other[kind]) {
						continue
					}
					pairs++
					if d := h.Hash.Distance(other[kind].Hash); d <= widest {
						others[d]++
						if d <= usual && floor > 0 {
							t.Errorf("%s: two photos are %d apart, the default threshold is %d", kind, d, usual)
						}
					}
				}
			}
			table := fmt.Sprintf("%s, quality %d and up: %d photos, %d pairs; default %d", kind, floor, n, pairs, usual)
			falsely, right := 0, make([]int, len(edits))
			for d := range widest + 1 {
				falsely += others[d]
				table += fmt.Sprintf("\n%4d: %4d pairs match; found:", d, falsely)
				for e, name := range edits {
					right[e] += found[e][d]
					table += fmt.Sprintf("  %s %6.2f %%", name, 100*float64(right[e])/float64(n))
				}
			}
			t.Log(table)
			if n < len(photos)/2 || n < 2 {
				t.Errorf("%s: only %d of %d photos have a hash", kind, n, len(photos))
			}
		}
	}
}
