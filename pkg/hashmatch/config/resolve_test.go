package config

import (
	"path/filepath"
	"testing"
)

// TestFoldersAreAbsolute loads a configuration by a relative path: clients name the files in its folders by absolute
// ones.
func TestFoldersAreAbsolute(t *testing.T) {
	dir := writeFiles(t, map[string]string{"c.yaml": `
surfaces: [{name: s, visibility: public, encrypted: false, not_image: hold}]
listeners: [{name: clamd, dialect: clamd, address: "unix:clamd.sock", surface: s, folders: [new, /srv/uploads]}]
`})
	t.Chdir(dir)
	c, err := Load("c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("new")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Listeners[0].Folders; got[0] != here || got[1] != "/srv/uploads" {
		t.Errorf("folders %q, want %s first", got, here)
	}
}
