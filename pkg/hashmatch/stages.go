package hashmatch

import (
	"context"
	"io"
)

// Digester computes digests of the file's bytes. Package digest implements it.
type Digester interface {
	// Digest reads r to its end and returns its digests of the given kinds and the number of bytes read. What it
	// reads it also writes to w, which never fails and never keeps the slice. It returns the error of r, if any.
	Digest(r io.Reader, w io.Writer, kinds KindSet) (digests []Hash, n int64, err error)
}

// Decoder turns a file's bytes into frames. Package media implements it. It is safe for concurrent use.
type Decoder interface {
	// Decode calls yield with each picture of content under each view of Orientation and Background that differs,
	// frame by frame, and returns what it learnt of the file and every failure. It stops early when yield returns
	// an error or ctx is done (a TimedOut failure); yield's own error is not reported as a failure. It bounds the
	// memory and the time that it takes. It never panics on any content.
	Decode(ctx context.Context, content []byte, yield func(*Frame) error) (Media, []Failure)
	// Probe looks at the first bytes of a file only: its format, and an Empty, NotImage or Unsupported failure where
	// those can be told. head may be the whole file or its beginning.
	Probe(head []byte) (Media, []Failure)
}

// Hasher computes perceptual hashes of frames. Packages pdq and imagehash implement it. It is safe for concurrent use.
type Hasher interface {
	// Kinds returns the kinds that it can compute.
	Kinds() KindSet
	// Hash appends to dst the hashes of frame of those kinds that are both in kinds and its own: of the frame as it
	// is and, for kinds in dihedral, of its seven turns and mirrorings as well. Zero hashes (a picture too small to
	// hash) are appended with quality 0. It keeps nothing of frame.
	Hash(dst []FrameHash, frame *Frame, kinds, dihedral KindSet) ([]FrameHash, error)
}

// Viewer hashes pictures under further views than as they are: what undoes a likely edit finds the edited copy of a
// listed picture. Package view implements it. It is safe for concurrent use.
type Viewer interface {
	// Views appends to dst the hashes of frame under the views of the profile, of the kinds that are both in kinds and
	// its own, and for kinds in dihedral of the turns and mirrorings of each view. All of them are Altered. It keeps
	// nothing of frame.
	Views(dst []FrameHash, frame *Frame, profile Profile, kinds, dihedral KindSet) ([]FrameHash, error)
	// ViewsReduced does the same of a reduced picture, as it is shown and, where that is another, as it is stored.
	ViewsReduced(dst []FrameHash, picture *Reduced, profile Profile, kinds, dihedral KindSet) ([]FrameHash, error)
}

// Lists is one consistent state of every list in force. It is immutable and safe for concurrent use.
type Lists interface {
	// Revisions returns each list's revision by the list's name: the same map at every call.
	Revisions() map[string]string
	// Kinds returns the kinds that the lists hold entries of; empty if there is no list or no entry.
	Kinds() KindSet
	// Search calls found with every entry of every list that has a signature within reach of h: a Match with List,
	// Key, Entry, Kind, Distance, Labels and Status set. reach returns the widest distance of interest for a list,
	// negative for none; it is called at most once a list.
	Search(h Hash, reach func(list string) int, found func(Match))
	// Near reports whether Search would find anything for any of the hashes, which are of one kind. reach is called at
	// most once a list. It stops at the first entry that it finds.
	Near(hashes []Hash, reach func(list string) int) bool
}

// Findings is everything that was found out about one item.
type Findings struct {
	Surface  Surface
	Matches  []Match // candidates: within reach, Quality and View set, Threshold not yet
	Failures []Failure
	Notes    []Note
}

// Decision is what a policy makes of findings.
type Decision struct {
	Action    Action
	Would     Action  // what Action would be if no list were in shadow mode
	Matches   []Match // those that count, Threshold and Action set, strictest and nearest first
	AllowedBy *Match  // the allow-list entry that won over near matches
}

// Policy decides. Package policy implements it. It is immutable and safe for concurrent use.
type Policy interface {
	// Revision identifies the policy in verdicts.
	Revision() string
	// Reach returns the widest distance at which a hash of the given kind and quality is of interest in the list;
	// negative if it is not searched there at all.
	Reach(surface Surface, list string, kind Kind, quality int) int
	// Profile returns under which views uploads are searched.
	Profile(surface Surface) Profile
	// ViewReach is Reach for hashes of altered views: no wider than Reach.
	ViewReach(surface Surface, list string, kind Kind, quality int) int
	// Dihedral returns the kinds whose turned and mirrored hashes are searched too.
	Dihedral(surface Surface) KindSet
	// Exact reports whether uploads are always decided on the hashes of the full picture. Where it is false, those of
	// a reduced one are looked at first (see Screener), to tell the uploads that nothing is near.
	Exact(surface Surface) bool
	// Decide returns the decision. A failure that it does not know is a hold.
	Decide(f Findings) Decision
}
