// Package config reads the one YAML file in which an operator states everything: the surfaces that may be scanned,
// the lists, the policy and the limits.
//
// Load reads a file, Parse its text; Doc is the documentation, a file with every key, its default and its meaning.
// What is not understood is refused: an unknown or double key, a value of the wrong type or out of range, a second
// document, an anchor, alias or tag. There is no key for a decryption key of uploads, and there will be none.
//
//	Load -> Config -> Policy    what a Scanner decides by
//	               -> Surface   what an Item is scanned on
//	               -> Limits    what a Scanner and a decoder may spend
//	               -> Check     what is allowed, but should be thought over
package config

import (
	"fmt"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Config is the content of a configuration file. Those that Load, Parse, Default and Public return are complete:
// nothing in them is left out. In one made by hand, what is left out has its default; the limits that are 0, too.
type Config struct {
	Declarations []Declaration                              `yaml:"surfaces"`
	Lists        []List                                     `yaml:"lists"`
	Defaults     Rules                                      `yaml:"defaults"`
	Failures     map[hashmatch.FailureCode]hashmatch.Action `yaml:"failures"`
	Notes        map[hashmatch.Note]hashmatch.Action        `yaml:"notes"`
	Dihedral     []hashmatch.Kind                           `yaml:"dihedral"` // nil means the default, empty none
	Exact        *bool                                      `yaml:"exact"`
	Views        *hashmatch.Profile                         `yaml:"views"`
	Limits       Limits                                     `yaml:"limits"`
	Workers      Workers                                    `yaml:"workers"`
	Guards       Guards                                     `yaml:"guards"`

	Keys      *Keys      `yaml:"keys"`      // nil: snapshots are neither signed nor encrypted
	Exchanges []Exchange `yaml:"exchanges"` // where lists come from; nil: they are files that somebody else writes

	// What hashmatch serve needs; hashmatch scan looks at none of it.
	Listeners  []Listener  `yaml:"listeners"`
	Serve      Serve       `yaml:"serve"`
	Quarantine *Quarantine `yaml:"quarantine"` // nil: nothing is kept
	Review     *Review     `yaml:"review"`     // nil: held items are not recorded for a person
	Feedback   *Feedback   `yaml:"feedback"`   // nil: no exchange is told what became of matches
	Audit      *Audit      `yaml:"audit"`      // nil: answers are not recorded
	Breaker    *Breaker    `yaml:"breaker"`    // nil: no alarm rises
	Traces     *Traces     `yaml:"traces"`     // nil: none are sent
}

// Declaration is what the file states of a surface. Name, Visibility, Encrypted and NotImage must be stated.
type Declaration struct {
	Name       string               `yaml:"name"`
	Tenant     string               `yaml:"tenant"`
	Region     string               `yaml:"region"`
	Visibility hashmatch.Visibility `yaml:"visibility"`
	Encrypted  *bool                `yaml:"encrypted"`
	NotImage   *hashmatch.Action    `yaml:"not_image"`
	// Shadow says that verdicts on this surface are recorded, and everything is allowed.
	Shadow bool `yaml:"shadow"`
	// The rest overrides the same keys of Config.
	Failures map[hashmatch.FailureCode]hashmatch.Action `yaml:"failures"`
	Notes    map[hashmatch.Note]hashmatch.Action        `yaml:"notes"`
	Dihedral []hashmatch.Kind                           `yaml:"dihedral"`
	Exact    *bool                                      `yaml:"exact"`
	Views    *hashmatch.Profile                         `yaml:"views"`
}

// List is one list and the rules for it. Name and File must be stated.
type List struct {
	Name string      `yaml:"name"`
	File string      `yaml:"file"` // Load makes it relative to the working folder
	Role policy.Role `yaml:"role"`
	// Shadow says that matches of the list are recorded, and not acted on.
	Shadow bool `yaml:"shadow"`
	// MaxAge is the age beyond which a service with the list is not ready; 0 means that no age is too old.
	MaxAge Duration `yaml:"max_age"`
	// Verify names files of public keys (seal.Trust). If there are any, File must be a snapshot that is signed with one
	// of the keys, for this list, and not older than one that was in force.
	Verify []string `yaml:"verify"`
	Rules  `yaml:",inline"`
}

// Rules are the rules for matches of a list.
type Rules struct {
	Kinds        []hashmatch.Kind       `yaml:"kinds"`
	Thresholds   map[hashmatch.Kind]int `yaml:"thresholds"`
	QualityFloor *int                   `yaml:"quality_floor"`
	Actions      Actions                `yaml:"actions"`
	Views        Views                  `yaml:"views"`
	Labels       map[string]Label       `yaml:"labels"`
	Sources      map[string]Source      `yaml:"sources"`
}

// Views are the rules for matches in altered views.
type Views struct {
	Search     *bool                  `yaml:"search"`
	Thresholds map[hashmatch.Kind]int `yaml:"thresholds"`
	Evidence   int                    `yaml:"evidence" min:"1" max:"10"` // 0 means the default
}

// Actions are the actions for a match.
type Actions struct {
	Exact *hashmatch.Action `yaml:"exact"`
	Near  *hashmatch.Action `yaml:"near"`
}

// Label holds the rules for entries with one label.
type Label struct {
	Thresholds map[hashmatch.Kind]int `yaml:"thresholds"`
	Actions    Actions                `yaml:"actions"`
}

// Source holds the rules for entries of one source, see policy.Source.
type Source struct {
	Trust      policy.Trust           `yaml:"trust"`
	MinVotes   int                    `yaml:"min_votes"`
	Thresholds map[hashmatch.Kind]int `yaml:"thresholds"`
	Actions    Actions                `yaml:"actions"`
}

// Limits bound what one upload, and all uploads that are scanned at once, may cost.
type Limits struct {
	MaxBytes       Size     `yaml:"max_bytes" min:"1KiB" max:"4GiB"`
	MaxDigestBytes Size     `yaml:"max_digest_bytes" min:"1KiB" max:"1TiB"`
	MaxPixels      int64    `yaml:"max_pixels" min:"1" max:"1000000000"`
	MaxSide        int      `yaml:"max_side" min:"1" max:"65535"`
	MaxFrames      int      `yaml:"max_frames" min:"1" max:"1000000"`
	MaxTotalPixels int64    `yaml:"max_total_pixels" min:"1" max:"1000000000000"`
	MaxScans       int      `yaml:"max_scans" min:"1" max:"10000"`
	Timeout        Duration `yaml:"timeout" min:"10ms" max:"1h"`
	Memory         Size     `yaml:"memory" min:"64MiB" max:"16TiB"`
}

// Media returns the limits of a decoder.
func (l Limits) Media() media.Limits {
	return media.Limits{
		MaxPixels: l.MaxPixels, MaxSide: l.MaxSide, MaxFrames: l.MaxFrames,
		MaxTotalPixels: l.MaxTotalPixels, MaxScans: l.MaxScans,
	}
}

// Workers says how the child processes run in which formats are decoded whose decoders cannot be trusted.
type Workers struct {
	Processes int  `yaml:"processes" min:"0" max:"1024"` // 0 means one for each core
	Memory    Size `yaml:"memory" min:"64MiB" max:"64GiB"`
}

// The defaults that are stated nowhere else. A decoder of AVIF or HEIC takes about 64 bytes a pixel: 1 GiB is enough
// for a photo of 16 megapixels.
const (
	defaultMemory       = 1 << 30
	defaultWorkerMemory = 1 << 30
)

// Default returns the configuration of an empty file: no surface, no list, and the default of everything else.
func Default() *Config {
	c := &Config{}
	if err := c.complete(); err != nil {
		panic(fmt.Sprintf("config: the defaults are wrong: %v", err)) // a test would have found it
	}
	return c
}

// Public returns the default configuration with one surface, called "public", which is declared public and
// unencrypted, and whose answer for what is not an image is nonImages.
func Public(nonImages hashmatch.Action) *Config {
	c := &Config{Declarations: []Declaration{{
		Name: string(hashmatch.Public), Visibility: hashmatch.Public, Encrypted: new(false), NotImage: new(nonImages),
	}}}
	if err := c.complete(); err != nil {
		panic(fmt.Sprintf("config: the defaults are wrong: %v", err)) // a test would have found it
	}
	return c
}

// withDefaults returns l with every zero field replaced by its default.
func (l Limits) withDefaults() Limits {
	decoder := l.Media().WithDefaults()
	l.MaxPixels, l.MaxSide, l.MaxFrames = decoder.MaxPixels, decoder.MaxSide, decoder.MaxFrames
	l.MaxTotalPixels, l.MaxScans = decoder.MaxTotalPixels, decoder.MaxScans
	if l.MaxBytes == 0 {
		l.MaxBytes = hashmatch.DefaultMaxBytes
	}
	if l.MaxDigestBytes == 0 {
		l.MaxDigestBytes = hashmatch.DefaultMaxDigestBytes
	}
	if l.Timeout == 0 {
		l.Timeout = Duration(hashmatch.DefaultTimeout)
	}
	if l.Memory == 0 {
		l.Memory = defaultMemory
	}
	return l
}

// Size is a number of bytes. Its text is a whole number with or without a unit: B, KiB, MiB, GiB, TiB (powers of
// 1,024) or kB, MB, GB, TB (powers of 1,000).
type Size int64

// Duration is a time.Duration whose text has a unit: 500ms, 10s, 1m30s.
type Duration time.Duration
