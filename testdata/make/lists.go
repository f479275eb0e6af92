package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"image/jpeg"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// absent are scenes that are listed and never uploaded, so that the lists hold more than what is found.
var absent = []scene{
	{"reef", paintMarble, 1001},
	{"delta", paintTerrain, 1002},
	{"suburb", paintSkyline, 1003},
	{"bulletin", paintPoster, 1004},
}

// statuses are those of entries that are not active.
var statuses = map[string]hashmatch.Status{
	"notice": hashmatch.Disputed,
	"delta":  hashmatch.Suspended,
}

// listFiles returns the lists of the listed scenes' originals, and the list of a file that is allowed.
func listFiles() ([]file, error) {
	demo := [][]string{{"entry", "kind", "hash", "list", "label", "status"}}
	exchange := [][]string{{"signal_type", "signal_str", "collab", "category", "tags"}}
	var text strings.Builder
	for _, s := range append(append([]scene{}, listed...), absent...) {
		content := original(s)
		near, err := perceptual(content)
		if err != nil {
			return nil, fmt.Errorf("original %s: %w", s.name, err)
		}
		for _, h := range append([]hashmatch.Hash{near}, digests(content)...) {
			demo = append(demo, []string{"synthetic-" + s.name, h.Kind.String(), h.Hex(), "demo", "synthetic", statuses[s.name].String()})
		}
		exchange = append(exchange, []string{"pdq", near.Hex(), "demo", "synthetic", "drawn-by-program"})
		fmt.Fprintf(&text, "pdq %s\n", near.Hex())
	}
	demo = append(demo, []string{"synthetic-withdrawn", "", "", "demo", "", hashmatch.Withdrawn.String()})
	allow := [][]string{demo[0]}
	for _, u := range uploads() {
		if u.name == "near-brightened.jpg" {
			h := hashmatch.Hash{Kind: hashmatch.SHA256, Bits: sha256.Sum256(u.content)}
			allow = append(allow, []string{"cleared-1", h.Kind.String(), h.Hex(), "allow", "cleared", "active"})
		}
	}
	return []file{
		{"lists/demo.csv", table(demo)},
		{"lists/allow.csv", table(allow)},
		{"lists/pytx.csv", table(exchange)},
		{"lists/pytx.txt", []byte(text.String())},
	}, nil
}

func table(rows [][]string) []byte {
	var b bytes.Buffer
	must(csv.NewWriter(&b).WriteAll(rows))
	return b.Bytes()
}

func digests(content []byte) []hashmatch.Hash {
	short, middle, long := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content)
	var all []hashmatch.Hash
	for _, d := range []struct {
		kind hashmatch.Kind
		sum  []byte
	}{{hashmatch.MD5, short[:]}, {hashmatch.SHA1, middle[:]}, {hashmatch.SHA256, long[:]}} {
		h, err := hashmatch.NewHash(d.kind, d.sum)
		must(err)
		all = append(all, h)
	}
	return all
}

// perceptual returns the PDQ hash of a JPEG as whoever made a list would compute it: of the picture as it is. It
// refuses a picture that is not worth listing.
func perceptual(content []byte) (hashmatch.Hash, error) {
	m, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		return hashmatch.Hash{}, err
	}
	luma, err := pdq.LumaOf(m)
	if err != nil {
		return hashmatch.Hash{}, err
	}
	hash, quality := pdq.Compute(luma)
	if quality < 80 {
		return hashmatch.Hash{}, fmt.Errorf("PDQ quality %d, want 80: draw more contrast", quality)
	}
	return hash, nil
}
