package eval

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/edit"
)

// TestAccuracyPage compares the table of docs/accuracy.md with the published edits: it names each of them once, and no
// other, and states how many there are.
func TestAccuracyPage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/accuracy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| edits | found | median distance |\n")
	if !ok {
		t.Fatal("no table of edits")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	named := make(map[string]int)
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			t.Fatalf("row %q", row)
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			named[name[1]]++
		}
	}
	all := edit.All()
	for _, e := range all {
		if named[e.Name] != 1 {
			t.Errorf("%s: named %d times", e.Name, named[e.Name])
		}
		delete(named, e.Name)
	}
	if len(named) > 0 {
		t.Errorf("no edits: %v", named)
	}
	if count := regexp.MustCompile(`by (\d+) edits`).FindStringSubmatch(string(text)); count == nil || count[1] != "77" || len(all) != 77 {
		t.Errorf("the page says %v edits, there are %d", count, len(all))
	}
}
