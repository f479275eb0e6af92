package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestIntegrationsAreConfigurations reads every listener that the pages on integrations show.
func TestIntegrationsAreConfigurations(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "..", "docs", "integrations", "*.md"))
	if err != nil || len(pages) < 8 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	checked := 0
	for _, page := range append(pages, filepath.Join("..", "..", "..", "docs", "serve.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		// Indented by four, from a key at the margin of the block to the next line that is not part of it.
		for _, block := range regexp.MustCompile(`(?m)^    (surfaces|listeners|limits):\n(?:(?:    .*)?\n)*`).FindAllString(string(text), -1) {
			var yaml strings.Builder
			for line := range strings.Lines(block) {
				line = strings.TrimPrefix(line, "    ")
				if yaml.Len() > 0 && !regexp.MustCompile(`^(\s|[a-z_]+:( |$)|$|#)`).MatchString(line) {
					break // the settings of another program
				}
				yaml.WriteString(line)
			}
			full := yaml.String()
			if !strings.Contains(full, "surfaces:") {
				name := regexp.MustCompile(`surface: ([a-z_-]+)`).FindStringSubmatch(full)
				if name == nil {
					name = []string{"", "uploads"}
				}
				full = "surfaces:\n  - {name: " + name[1] + ", visibility: public, encrypted: false, not_image: hold}\n" + full
			}
			if _, err := Parse([]byte(full)); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(page), err, full)
			}
			checked++
		}
	}
	if checked < 8 {
		t.Fatalf("only %d configurations were read", checked)
	}
}
