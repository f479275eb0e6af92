package index

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestVectors holds Search against what another implementation of multi-index hashing found in a list of 1,350 PDQ
// hashes, at seven thresholds.
func TestVectors(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "..", "shared", "vectors", "mih")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("../shared is absent: %v", err)
	}
	var list []signature
	for i, line := range lines(t, filepath.Join(folder, "haystack.txt")) {
		list = append(list, signature{pdq(t, line), uint32(i + 1)}) // they count from 1
	}
	indexes := []*Index{build(t, list, Options{}), build(t, list, byTables)}
	for _, threshold := range []int{0, 15, 16, 31, 32, 47, 63} {
		t.Run(fmt.Sprint(threshold), func(t *testing.T) {
			needles, matches := 0, 0
			wanted := lines(t, filepath.Join(folder, fmt.Sprintf("needles-haystack-d%d.txt", threshold)))
			for i := 0; i < len(wanted); {
				needle, found := strings.CutPrefix(wanted[i], "needle=")
				if !found {
					t.Fatalf("line %d: %q", i+1, wanted[i])
				}
				needles++
				var want []string
				for i++; i < len(wanted) && strings.HasPrefix(wanted[i], "d="); i++ {
					want = append(want, wanted[i])
				}
				for i < len(wanted) && wanted[i] == "" {
					i++
				}
				matches += len(want)
				slices.Sort(want)
				for _, x := range indexes {
					var got []string
					for _, hit := range x.Search(nil, pdq(t, needle), threshold) {
						for _, entry := range hit.Entries {
							got = append(got, fmt.Sprintf("d=%d,match=%s,idx=%d", hit.Distance, hit.Hash.Hex(), entry))
						}
					}
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Fatalf("needle %s:\n got %q\nwant %q", needle, got, want)
					}
				}
			}
			if needles < 50 || matches < 50 {
				t.Fatalf("%d needles, %d matches: the vectors show nothing", needles, matches)
			}
		})
	}
}

func pdq(t *testing.T, digits string) hashmatch.Hash {
	t.Helper()
	h, err := hashmatch.ParseHex(hashmatch.PDQ, digits)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		all = append(all, strings.TrimSpace(scanner.Text()))
	}
	if scanner.Err() != nil {
		t.Fatal(scanner.Err())
	}
	return all
}
