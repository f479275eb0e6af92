package policy

import (
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
)

// Config states a policy. Every field may be left out except a surface's NotImage; what is left out has the default
// that the field names. New copies it.
type Config struct {
	// Defaults holds for every list that Lists does not name, and for whatever a named list leaves out. Its Role
	// must be BlockList. What it leaves out itself has the defaults of this package.
	Defaults List
	Lists    map[string]List // by the name that matches carry
	// Failures holds the action for each failure code; a code left out is a hold. NotImage cannot be stated here:
	// each surface answers for itself.
	Failures map[hashmatch.FailureCode]hashmatch.Action
	// Notes holds the action for each note; left out, LowQuality is allowed and the others are held. Overloaded and
	// NotReady cannot be allowed.
	Notes    map[hashmatch.Note]hashmatch.Action
	Dihedral *hashmatch.KindSet // kinds whose turned and mirrored hashes are searched too; nil means PDQ
	// Exact says that every upload is decided on the hashes of the full picture, without a look at a reduced one first;
	// nil means false.
	Exact    *bool
	Views    hashmatch.Profile  // under which views uploads are searched; "" means hashmatch.Plain
	Surfaces map[string]Surface // by Surface.Name
}

// Role says what a list is for. The zero Role is BlockList.
type Role string

// The roles of a list.
const (
	BlockList Role = "block" // what it holds is acted on
	AllowList Role = "allow" // what it holds wins over near matches of other lists
)

// List states the rules for one list.
type List struct {
	Role Role // "" means BlockList
	// Shadow says that what the list's matches would lead to is recorded (Decision.Would, Match.Action) and not acted
	// on. An allow-list has no shadow mode.
	Shadow bool
	// Kinds are the kinds of hash that are searched in the list. 0 means the defaults', and all if those state none;
	// for an allow-list it means the digests and the kinds in Thresholds.
	Kinds hashmatch.KindSet
	// Thresholds holds, for a perceptual kind, the largest distance that is a match, from 0 to MaxThreshold. What is
	// left out has the defaults' threshold. An allow-list inherits none: it is searched for a perceptual kind only
	// if it states a threshold itself.
	Thresholds   map[hashmatch.Kind]int
	QualityFloor *int              // hashes of lower quality are not searched; 0 to 100; nil means the defaults'
	Exact        *hashmatch.Action // for a match of a digest; nil means the defaults'; not for an allow-list
	Near         *hashmatch.Action // for a match of a perceptual hash; as Exact
	// Views says under which altered views the list is searched, and what a match in one needs to count. Not for an
	// allow-list, which is searched for the picture as it is: an allowed part of a picture says nothing of the rest.
	Views Views
	// Labels holds rules for entries that carry a label, exactly as the list writes it. A label that both the
	// defaults and the list name has the list's rules. Not for an allow-list.
	Labels map[string]Label
	// Sources holds rules for entries of a source, by its name in the entries' keys. A source that both the defaults and
	// the list name has the list's rules. Not for an allow-list.
	Sources map[string]Source
}

// Views states the rules for matches in altered views. What it leaves out is the defaults'.
type Views struct {
	// Search says whether the list is searched under altered views, on surfaces that are; nil means the defaults', and
	// true if those state nothing.
	Search *bool
	// Thresholds holds the largest distance that is a match in an altered view. The threshold for the picture as it is
	// bounds it. What is left out has the defaults', and MaxThreshold if those state nothing: the same as for the picture.
	Thresholds map[hashmatch.Kind]int
	// Evidence is the smallest Match.Evidence with which a match in an altered view is acted on; with less it is reported
	// and allowed. 0 means the defaults', and 1, which every match has, if those state none.
	Evidence int
}

// MaxEvidence is the highest Views.Evidence that can be stated: more, and no match would count.
const MaxEvidence = 10

// Label states the rules for entries with one label. What it leaves out is the list's. Where several labels of an
// entry have rules, the widest threshold and the strictest action of those that state one hold; a label's threshold
// may be narrower than the list's, and holds then.
type Label struct {
	Thresholds  map[hashmatch.Kind]int
	Exact, Near *hashmatch.Action
}

// Surface states the rules for one surface.
type Surface struct {
	// NotImage is the answer for content that is no image, after its digests were searched. It must be stated.
	NotImage *hashmatch.Action
	// Failures, Notes, Dihedral, Exact and Views override those of Config; what is left out is the Config's.
	Failures map[hashmatch.FailureCode]hashmatch.Action
	Notes    map[hashmatch.Note]hashmatch.Action
	Dihedral *hashmatch.KindSet
	Exact    *bool
	Views    hashmatch.Profile
}

// DefaultQualityFloor is the quality floor where nothing else is stated.
const DefaultQualityFloor = hashmatch.DefaultQualityFloor

// DefaultThreshold returns the largest distance that is a match where nothing else is stated: 0 for a digest.
//
// PDQ's 31 of 256 is its authors' advice. 6 of 64 bits and 24 of 256 are about the same share, and where unrelated
// pictures come nearer than that, less: a false match holds an innocent upload, and a list of a million entries is a
// million pairs for each. Of the 164,451 pairs of 574 unrelated photos of quality 50 and up, so many match at each
// threshold, and so many of the photos are still found after JPEG at quality 50 and after half their size:
//
//	phash   6    0 pairs    99.8 %  99.8 %      one pair from 10
//	dhash   1    0 pairs    75.8 %  71.8 %
//	        2    3 pairs    87.5 %  86.2 %
//	        4    7 pairs    95.1 %  94.4 %
//	        6   14 pairs    98.3 %  96.9 %
//	ahash   0    0 pairs    84.8 %  81.7 %
//	        1    4 pairs    96.7 %  96.0 %
//	        2    9 pairs    99.1 %  99.3 %
//	        6  262 pairs    99.8 %  99.8 %
//
// The quality floor changes little: what collides are good photos of one thing in the middle, a shirt and a chair, a
// hat and a pair of shoes. So dhash and ahash have thresholds at which they find copies and little else. Who holds
// nothing better may state more, and will hold other people's pictures. Of the long kinds the nearest pair is 9 apart
// for ahash256, hence 8, 37 for dhash256 and over 64 for phash256. TestThresholdsOnPhotos in package config measures
// all this.
func DefaultThreshold(kind hashmatch.Kind) int {
	switch kind {
	case hashmatch.PDQ:
		return 31
	case hashmatch.PHash:
		return 6
	case hashmatch.DHash:
		return 1
	case hashmatch.AHash:
		return 0
	case hashmatch.PHash256, hashmatch.DHash256:
		return 24
	case hashmatch.AHash256:
		return 8
	}
	return 0
}

// MaxThreshold returns the largest threshold that can be stated for a kind: a quarter of 256 bits, 10 of 64. Beyond
// it the index would have to look at every entry for every upload, and unrelated pictures would match. It is 0 for a
// digest, which matches whole or not at all.
func MaxThreshold(kind hashmatch.Kind) int {
	switch {
	case kind.Digest():
		return 0
	case kind.Bits() == 64:
		return 10
	}
	return kind.Bits() / 4
}

// Notes returns every note that a policy can state an action for, in a fixed order.
func Notes() []hashmatch.Note {
	return []hashmatch.Note{hashmatch.LowQuality, hashmatch.Overloaded, hashmatch.NotReady}
}

// DefaultNote returns the action for a note where nothing is stated.
func DefaultNote(note hashmatch.Note) hashmatch.Action {
	if note == hashmatch.LowQuality {
		return hashmatch.Allow
	}
	return hashmatch.Hold
}

// The actions for matches where nothing is stated: a digest is the very file, a perceptual hash is for a person to
// look at.
const (
	DefaultExact = hashmatch.Block
	DefaultNear  = hashmatch.Hold
)

// Error says which rule of a Config is wrong. List or Surface is the name of where it stands; both are "" where it
// stands at the top or, if Defaults is set, in the defaults.
type Error struct {
	List, Surface string
	Defaults      bool
	Key           string // "thresholds.pdq"
	Reason        string // "300: want 0 to 64"
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	text := e.Key + ": " + e.Reason
	if e.Key == "" {
		text = e.Reason
	}
	switch {
	case e.Defaults:
		return "defaults: " + text
	case e.List != "":
		return fmt.Sprintf("list %q: %s", e.List, text)
	case e.Surface != "":
		return fmt.Sprintf("surface %q: %s", e.Surface, text)
	}
	return text
}
