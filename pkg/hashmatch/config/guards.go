package config

import (
	"fmt"
	"path/filepath"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// Guards bound how far a revision of a list may be from the one in force before a person has to accept it. A field that
// is 0 has its default.
type Guards struct {
	ShrinkPercent       int `yaml:"shrink_percent" min:"1" max:"100"`
	ShrinkEntries       int `yaml:"shrink_entries" min:"1" max:"4000000000"`
	GrowthPercent       int `yaml:"growth_percent" min:"1" max:"1000000"`
	GrowthEntries       int `yaml:"growth_entries" min:"1" max:"4000000000"`
	SourceGrowthPercent int `yaml:"source_growth_percent" min:"1" max:"1000000"`
	SourceGrowthEntries int `yaml:"source_growth_entries" min:"1" max:"4000000000"`
	// Clean is a file of hashes, or a folder of pictures, that are harmless; "" for none but those that are drawn here.
	Clean        string `yaml:"clean"`
	CleanMatches int    `yaml:"clean_matches" min:"0" max:"4000000000"`
	Folder       string `yaml:"folder"` // where accepted revisions are remembered; "" means FILE.revisions beside each list's file
	Keep         int    `yaml:"keep" min:"1" max:"1000"`
}

func (g Guards) withDefaults() Guards {
	fill := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	fill(&g.ShrinkPercent, 20)
	fill(&g.ShrinkEntries, 10)
	fill(&g.GrowthPercent, 100)
	fill(&g.GrowthEntries, 1000)
	fill(&g.SourceGrowthPercent, 100)
	fill(&g.SourceGrowthEntries, 1000)
	fill(&g.Keep, 3)
	return g
}

func (g Guards) bounds() promotion.Bounds {
	return promotion.Bounds{
		ShrinkPercent: g.ShrinkPercent, ShrinkEntries: g.ShrinkEntries,
		GrowthPercent: g.GrowthPercent, GrowthEntries: g.GrowthEntries,
		SourceGrowthPercent: g.SourceGrowthPercent, SourceGrowthEntries: g.SourceGrowthEntries,
		Harmless: g.CleanMatches,
	}
}

// Revisions returns where what is remembered of a list stands: the folder of its name in guards.folder, or else in
// FILE.revisions beside its file. Several lists may be in one file.
func (c *Config) Revisions(l List) promotion.Store {
	folder := c.Guards.Folder
	if folder == "" {
		folder = l.File + ".revisions"
	}
	return promotion.Store{Folder: filepath.Join(folder, l.Name), Keep: c.Guards.withDefaults().Keep}
}

// DecisionsFolder returns the folder whose time of modification changes when a person decides on a revision of a list.
func (c *Config) DecisionsFolder(l List) string { return c.Revisions(l).DecisionsFolder() }

// List returns the list of that name.
func (c *Config) List(name string) (List, error) {
	for _, l := range c.Lists {
		if l.Name == name {
			return l, nil
		}
	}
	return List{}, fmt.Errorf("list %q: the configuration has no list of that name", name)
}

// reaches returns how far each kind is searched in a list at most, labels included.
func (c *Config) reaches(l List) map[hashmatch.Kind]int {
	reach := make(map[hashmatch.Kind]int)
	widen := func(thresholds map[hashmatch.Kind]int) {
		for kind, threshold := range thresholds {
			reach[kind] = max(reach[kind], threshold)
		}
	}
	for _, kind := range hashmatch.Kinds() {
		if _, stated := l.Thresholds[kind]; !stated && !kind.Digest() {
			reach[kind] = policy.DefaultThreshold(kind)
		}
	}
	widen(l.Thresholds)
	for _, label := range l.Labels {
		widen(label.Thresholds)
	}
	for _, source := range l.Sources {
		widen(source.Thresholds)
	}
	return reach
}
