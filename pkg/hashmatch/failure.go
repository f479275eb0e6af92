package hashmatch

import "errors"

// FailureCode names why an upload, or a part of it, could not be scanned. The text is stable and appears in JSON,
// policies and metrics.
type FailureCode string

// The failures. Each reaches the verdict, and the policy says what follows; silence means hold.
const (
	Empty            FailureCode = "empty"              // no bytes
	NotImage         FailureCode = "not_image"          // content that is no picture; its digests were searched
	Unsupported      FailureCode = "unsupported"        // a picture of a format or variant that this build cannot decode
	Corrupt          FailureCode = "corrupt"            // damaged; what could be decoded was searched
	Truncated        FailureCode = "truncated"          // cut off; what could be decoded was searched
	TooLarge         FailureCode = "too_large"          // more bytes than the limit
	TooManyPixels    FailureCode = "too_many_pixels"    // more pixels, or a longer side, than the limit
	TooManyFrames    FailureCode = "too_many_frames"    // more frames than the limit; those up to it were searched
	TimedOut         FailureCode = "timed_out"          // the deadline passed
	Panicked         FailureCode = "panicked"           // a decoder or hasher failed in a way that it should not
	Unreadable       FailureCode = "unreadable"         // the bytes could not be read
	ChangedWhileRead FailureCode = "changed_while_read" // the file was written to while it was read
)

// FailureCodes returns every code, in a fixed order.
func FailureCodes() []FailureCode {
	return []FailureCode{Empty, NotImage, Unsupported, Corrupt, Truncated, TooLarge, TooManyPixels, TooManyFrames,
		TimedOut, Panicked, Unreadable, ChangedWhileRead}
}

// Failure is one reason why an upload was not scanned in full. It is an error, so that a reader or a decoder can
// return it and keep its code.
type Failure struct {
	Code FailureCode `json:"code"`
	// Detail is for the operator: what was wrong, with no byte of content, no hash and no file name.
	Detail string `json:"detail"`
}

// Error returns the code and the detail.
func (f *Failure) Error() string {
	if f.Detail == "" {
		return string(f.Code)
	}
	return string(f.Code) + ": " + f.Detail
}

// AsFailure returns err as a Failure: err itself if it wraps one, else one of the given code.
func AsFailure(err error, code FailureCode) Failure {
	var f *Failure
	if errors.As(err, &f) {
		return *f
	}
	return Failure{Code: code, Detail: err.Error()}
}

// Note is a remark that is no failure.
type Note string

// The notes.
const (
	LowQuality Note = "low_quality" // a picture, or a frame, too flat or too small for its hashes to be searched
	Overloaded Note = "overloaded"  // the service had no room for the upload in time
	NotReady   Note = "not_ready"   // no list in force: nothing was searched
)
