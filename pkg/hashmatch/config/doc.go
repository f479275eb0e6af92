package config

import (
	"reflect"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Doc returns the documentation of the configuration: a file that Parse reads to Default, in which every key stands
// with its default and its meaning. Surfaces and lists, of which there are none by default, stand in it as an example
// behind "#": without that sign in front of each of its lines the file declares them.
func Doc() string {
	documented := func(c *Config) string {
		e := encoder{about: func(path string) string { return about[path] }}
		e.fields(0, "", reflect.ValueOf(*c))
		return e.text.String()
	}
	example := &Config{Declarations: Example().Declarations, Lists: Example().Lists}
	var text strings.Builder
	for _, line := range wrap(about[""], 110) {
		text.WriteString("# " + line + "\n")
	}
	text.WriteString("\n")
	for line := range strings.Lines(documented(example)) {
		switch {
		case line == "\n", strings.HasPrefix(line, "# "): // comments at the margin are comments either way
			text.WriteString(line)
		default:
			text.WriteString("#" + line)
		}
	}
	text.WriteString("\n")
	text.WriteString(documented(Default()))
	return text.String()
}

// Example returns the surfaces and lists that Doc shows, with everything in them stated that can be.
func Example() *Config {
	return &Config{
		Declarations: []Declaration{{
			Name: "avatars", Tenant: "example", Region: "eu",
			Visibility: hashmatch.Public, Encrypted: new(false), NotImage: new(hashmatch.Hold),
			Failures: map[hashmatch.FailureCode]hashmatch.Action{hashmatch.TooLarge: hashmatch.Block},
			Notes:    map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: hashmatch.Hold},
			Dihedral: []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash},
		}},
		Lists: []List{{
			Name: "industry", File: "lists/industry.hml", Role: policy.BlockList,
			Rules: Rules{
				Kinds:        []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256},
				Thresholds:   map[hashmatch.Kind]int{hashmatch.PDQ: 31},
				QualityFloor: new(50),
				Actions:      Actions{Exact: new(hashmatch.Block), Near: new(hashmatch.Hold)},
				Labels: map[string]Label{"disputed_source": {
					Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 16},
					Actions:    Actions{Exact: new(hashmatch.Hold), Near: new(hashmatch.Hold)},
				}},
			},
		}, {
			Name: "harmless", File: "lists/harmless.csv", Role: policy.AllowList,
		}},
	}
}

// about holds the meaning of every key by its path; "" is the file as a whole.
var about = map[string]string{
	"": "hashmatch: every key of the configuration with its default and its meaning. A key that is left out has " +
		"its default; one that is not listed here is refused.",

	"surfaces": "The places of publication that may be scanned. Nothing else is ever read: a surface that is not " +
		"declared here, or not as public and unencrypted, is refused. There are none by default.",
	"surfaces[].name":   "What the surface is called: letters, digits, - _ and . It must be stated.",
	"surfaces[].tenant": "Whose it is, where several share one installation. Default: nobody's in particular.",
	"surfaces[].region": "Where it is. Default: nowhere in particular.",
	"surfaces[].visibility": "Who sees what is uploaded here: it must be stated, and must be public. Direct messages " +
		"and private albums are not.",
	"surfaces[].encrypted": "Whether content here is encrypted: it must be stated, and must be false.",
	"surfaces[].not_image": "The answer for content that is no image, after its digests were searched: allow, hold or " +
		"block. It must be stated, there is no default.",
	"surfaces[].failures": "Overrides of failures, below, on this surface. Default: none.",
	"surfaces[].notes":    "Overrides of notes, below, on this surface. Default: none.",
	"surfaces[].dihedral": "Override of dihedral, below, on this surface. Default: none.",

	"lists":        "The hash lists. There are none by default. What a list leaves out has the value of defaults, below.",
	"lists[].name": "What the list is called, in verdicts too: letters, digits, - _ and . It must be stated.",
	"lists[].file": "The file that holds it. A relative path starts at the folder of this file. It must be stated.",
	"lists[].role": "block: entries are acted on. allow: a harmless file that is listed exactly is not held or blocked " +
		"for near matches with other lists; it never wins over an exact match or a failure. An allow-list has no " +
		"actions and labels, and is searched for perceptual hashes only where it states thresholds itself; such a " +
		"match wins over matches in the same frame and part of the picture only. Default: block.",
	"lists[].kinds": "The kinds of hash that are searched in it. Default: those of defaults; for an allow-list the " +
		"digests and the kinds in its thresholds.",
	"lists[].thresholds": "The largest distance that is a match, for each perceptual kind: of 256 bits 0 to 64, of 64 " +
		"bits 0 to 10.",
	"lists[].quality_floor":       "Perceptual hashes of lower quality, 0 to 100, are not searched: flat pictures match each other.",
	"lists[].actions":             "What is done about a match: allow (it is only reported), hold or block.",
	"lists[].actions.exact":       "For a digest: the very file.",
	"lists[].actions.near":        "For a perceptual hash, a distance of 0 included: probably the same picture.",
	"lists[].labels":              "Rules for entries that carry a label, written as the list writes it. Default: those of defaults.",
	"lists[].labels.*.thresholds": "Wider or narrower than the list's. Of several labels the widest holds. Default: the list's.",
	"lists[].labels.*.actions":    "Of several labels the strictest holds. Default: the list's.",

	"defaults": "What a list has where it states nothing else, and the rules for lists that this file does not name. " +
		"Whatever is stated, a disputed entry is held at most, and a suspended one is reported, but not acted on alone.",
	"defaults.kinds":         "The kinds of hash that are searched.",
	"defaults.thresholds":    "The largest distance that is a match: of 256 bits 0 to 64, of 64 bits 0 to 10. Wider finds more copies and more else.",
	"defaults.quality_floor": "Perceptual hashes of lower quality, 0 to 100, are not searched: flat pictures match each other.",
	"defaults.actions":       "What is done about a match: allow (it is only reported), hold or block.",
	"defaults.actions.exact": "For a digest: the very file.",
	"defaults.actions.near":  "For a perceptual hash, a distance of 0 included: probably the same picture.",
	"defaults.labels":        "Rules for entries with a label in every list, as in lists. A list's own for the same label replaces them.",

	"failures": "What follows when an upload could not be scanned in full: allow, hold or block. Of several failures " +
		"and matches the strictest holds. What is no image is no failure here: each surface answers for itself.",
	"failures.empty":              "no bytes",
	"failures.unsupported":        "a format or variant that this build cannot decode; its digests were searched",
	"failures.corrupt":            "damaged; what could be decoded was searched",
	"failures.truncated":          "cut off; what could be decoded was searched",
	"failures.too_large":          "longer than max_bytes or max_digest_bytes",
	"failures.too_many_pixels":    "more than max_pixels, or longer than max_side",
	"failures.too_many_frames":    "more than max_frames or max_total_pixels; those up to it were searched",
	"failures.timed_out":          "not done in time",
	"failures.panicked":           "a decoder failed in a way that it should not",
	"failures.unreadable":         "its bytes could not be read",
	"failures.changed_while_read": "the file was written to while it was read",

	"notes":             "What follows from a remark that is no failure: allow, hold or block.",
	"notes.low_quality": "Too flat or too small for its perceptual hashes to be searched; its digests were.",
	"notes.overloaded":  "No room for the upload in time: nothing was searched. It cannot be allowed.",
	"notes.not_ready":   "No list in force: nothing was searched. It cannot be allowed.",

	"dihedral": "The kinds whose hashes of the picture turned by 90, 180 and 270 degrees and mirrored are searched too.",

	"limits": "What an upload may cost. Beyond a limit it is a failure, never a sample. Sizes are in B, KiB, MiB, GiB " +
		"or kB, MB, GB.",
	"limits.max_bytes":        "The longest file that is decoded. A longer one is searched by its digests, and is too_large.",
	"limits.max_digest_bytes": "The longest file that is read for its digests. It is at least max_bytes.",
	"limits.max_pixels":       "The largest picture by its header.",
	"limits.max_side":         "The longest side of a picture.",
	"limits.max_frames":       "The most frames of an animation, pages or pictures in one file.",
	"limits.max_total_pixels": "The most pixels of all frames together.",
	"limits.max_scans":        "The most scans of a progressive JPEG: each costs a pass over the whole picture.",
	"limits.timeout":          "The time for one upload, reading included.",
	"limits.memory":           "The memory that uploads which are scanned at once may take together: it bounds how many that are.",

	"workers": "The child processes in which formats are decoded whose decoders can be neither stopped nor trusted " +
		"with memory. One that is killed costs the file that it decoded, which is then a failure.",
	"workers.processes": "How many there are. 0 is one for each core.",
	"workers.memory": "The memory of each. A decoder of AVIF or HEIC takes about 64 bytes a pixel: 1GiB is enough for " +
		"16 megapixels.",
}
