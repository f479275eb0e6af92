package config

import (
	"reflect"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Doc returns the documentation of the configuration: a file that Parse reads to Default, in which every key stands
// with its default and its meaning. What there is none of by default (surfaces, lists, keys, exchanges, listeners, quarantine,
// review, audit, breaker, traces) stands in it as an example behind "#": without that sign in front of each of its lines the
// file states it.
func Doc() string {
	documented := func(c *Config) string {
		e := encoder{about: func(path string) string { return about[path] }}
		e.fields(0, "", reflect.ValueOf(*c))
		return e.text.String()
	}
	example := Example()
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

// Example returns what Doc shows behind "#", with everything in it stated that can be.
func Example() *Config {
	return &Config{
		Declarations: []Declaration{{
			Name: "avatars", Tenant: "example", Region: "eu",
			Visibility: hashmatch.Public, Encrypted: new(false), NotImage: new(hashmatch.Hold),
			Failures: map[hashmatch.FailureCode]hashmatch.Action{hashmatch.TooLarge: hashmatch.Block},
			Shadow:   false,
			Notes:    map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: hashmatch.Hold},
			Dihedral: []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash},
			Exact:    new(true),
			Views:    new(hashmatch.Thorough),
		}},
		Lists: []List{{
			Name: "industry", File: "lists/industry.hml", Role: policy.BlockList, MaxAge: Duration(72 * time.Hour),
			Verify: []string{"keys/lists.pub"},
			Rules: Rules{
				Kinds:        []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256},
				Thresholds:   map[hashmatch.Kind]int{hashmatch.PDQ: 31},
				QualityFloor: new(50),
				Actions:      Actions{Exact: new(hashmatch.Block), Near: new(hashmatch.Hold)},
				Views:        Views{Search: new(true), Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 24}, Evidence: 2},
				Labels: map[string]Label{"disputed_source": {
					Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 16},
					Actions:    Actions{Exact: new(hashmatch.Hold), Near: new(hashmatch.Hold)},
				}},
				Sources: map[string]Source{"ncmec": {
					Trust: policy.Full, MinVotes: 2, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 24},
					Actions: Actions{Exact: new(hashmatch.Block), Near: new(hashmatch.Hold)},
				}},
			},
		}, {
			Name: "harmless", File: "lists/harmless.csv", Role: policy.AllowList,
		}},
		Keys: &Keys{
			Sign: "keys/lists.key", Identities: []string{"keys/identity.txt"}, Seen: "seen",
			Recipients: []string{"age1pqtfccnd2j6uu8c7eajx24rk7hczrv2u4lnaj3r3vvccfqylsvtq4cn92u"},
		},
		Exchanges: []Exchange{{
			List: "industry", Dialect: exchange.NCMEC, Address: "https://exchange.example/hashsharing", Credentials: "industry.credentials",
			Interval: Duration(time.Hour), Timeout: Duration(5 * time.Minute), Attempts: 5, PageSize: 1000, MaxBytes: 64 << 20,
		}, {
			List: "harmless", Dialect: exchange.File, Address: "https://lists.example/harmless.csv", CredentialsEnvironment: "HARMLESS",
			Format: "csv",
		}},
		Listeners: []Listener{{
			Name: "api", Dialect: DialectHTTP, Address: "127.0.0.1:8480", Surface: "avatars",
			Anonymous: []string{"scan"}, StatusByVerdict: false,
		}, {
			Name: "antivirus", Dialect: DialectClamd, Address: "unix:run/clamd.sock", Surface: "avatars",
			UnixMode: "0660", Folders: []string{"/srv/uploads"},
		}, {
			Name: "watch", Dialect: DialectMetrics, Address: "127.0.0.1:9480",
		}},
		Quarantine: &Quarantine{
			Directory: "quarantine", Expire: Duration(30 * 24 * time.Hour), MaxBytes: 10 << 30,
			Recipients: []string{"age1pqtfccnd2j6uu8c7eajx24rk7hczrv2u4lnaj3r3vvccfqylsvtq4cn92u"},
		},
		Review: &Review{
			File: "review.db", Keep: Duration(90 * 24 * time.Hour),
			Callback: "https://app.example/decisions", CallbackSecret: "callback.secret",
		},
		Feedback: &Feedback{
			Folder: "feedback", Lists: []string{"industry"}, Reasons: []string{"00000000-0000-0000-0000-000000000001"},
			Deadline: Duration(7 * 24 * time.Hour), Keep: Duration(365 * 24 * time.Hour),
		},
		Audit: &Audit{
			Directory: "audit", Sync: "matches", SegmentBytes: 64 << 20, Key: "audit.key",
			HeadInterval: Duration(time.Minute), HeadFile: "/mnt/elsewhere/heads.jsonl",
		},
		Breaker: &Breaker{
			File: "breaker.json", Window: Duration(10 * time.Minute), MaxShare: 20, MinUploads: 200, MaxCount: 0,
			EntryFactor: 10, EntryMin: 20, Entry: "alarm",
		},
		Traces: &Traces{Endpoint: "http://127.0.0.1:4318/v1/traces", Percent: 1},
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
	"surfaces[].exact":    "Override of exact, below, on this surface. Default: none.",
	"surfaces[].views":    "Override of views, below, on this surface. Default: none.",

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
	"lists[].quality_floor": "Perceptual hashes of lower quality, 0 to 100, are not searched: flat pictures match each other.",
	"lists[].actions":       "What is done about a match: allow (it is only reported), hold or block.",
	"lists[].actions.exact": "For a digest: the very file.",
	"lists[].actions.near":  "For a perceptual hash, a distance of 0 included: probably the same picture.",
	"lists[].views": "Rules for matches in altered views of an upload: see views, below. An allow-list is never searched for " +
		"those: an allowed part of a picture says nothing of the rest.",
	"lists[].views.search": "false: the list is searched for pictures as they are only, whatever the surface says.",
	"lists[].views.thresholds": "The largest distance that is a match in an altered view. The threshold for the picture as it " +
		"is bounds it, whatever is stated here.",
	"lists[].views.evidence": "In how many looks (pairs of a kind of hash and a view) an entry must be found for a match in an " +
		"altered view to be acted on, 1 to 10; with less it is reported with the action allow.",
	"lists[].labels":              "Rules for entries that carry a label, written as the list writes it. Default: those of defaults.",
	"lists[].labels.*.thresholds": "Wider or narrower than the list's. Of several labels the widest holds. Default: the list's.",
	"lists[].labels.*.actions":    "Of several labels the strictest holds. Default: the list's.",
	"lists[].sources": "Rules for entries of a source, by its name as entries have it (SOURCE/MEMBER/ID). Default: those of " +
		"defaults; what is stated for no source holds for all alike. Where a label states something too, the more careful of " +
		"the two holds: the milder action, the narrower threshold.",
	"lists[].sources.*.trust": "none: its matches are reported with the action allow, and nothing follows from them. Default: full.",
	"lists[].sources.*.min_votes": "A match is held at most, never blocked, while the hash that matches has fewer positive votes, " +
		"as its source states them (0 where it states none). It is found all the same: a person looks. Default: 0.",
	"lists[].sources.*.thresholds": "Wider or narrower than the list's. Default: the list's.",
	"lists[].sources.*.actions":    "Default: the list's.",

	"defaults": "What a list has where it states nothing else, and the rules for lists that this file does not name. " +
		"Whatever is stated, an entry that is disputed or has a vote against it is held at most, and a suspended one is reported, but not acted on alone.",
	"defaults.kinds":            "The kinds of hash that are searched.",
	"defaults.thresholds":       "The largest distance that is a match: of 256 bits 0 to 64, of 64 bits 0 to 10. Wider finds more copies and more else.",
	"defaults.quality_floor":    "Perceptual hashes of lower quality, 0 to 100, are not searched: flat pictures match each other.",
	"defaults.actions":          "What is done about a match: allow (it is only reported), hold or block.",
	"defaults.actions.exact":    "For a digest: the very file.",
	"defaults.actions.near":     "For a perceptual hash, a distance of 0 included: probably the same picture.",
	"defaults.views":            "Rules for matches in altered views: see views, below.",
	"defaults.views.search":     "Whether lists are searched under altered views, on surfaces that are.",
	"defaults.views.thresholds": "The largest distance that is a match in an altered view, bounded by the threshold for the picture as it is.",
	"defaults.views.evidence":   "In how many looks an entry must be found for a match in an altered view to be acted on, 1 to 10.",
	"defaults.sources":          "Rules for entries of a source in every list, as in lists. A list's own for the same source replace them.",
	"defaults.labels":           "Rules for entries with a label in every list, as in lists. A list's own for the same label replaces them.",

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

	"exact": "false: where a list holds PDQ hashes alone, or those and digests, JPEGs are looked at in reduced size first, " +
		"which is several times as fast; all that is not far from every entry then is decided on the full picture. " +
		"true: everything is. docs/accuracy.md states what the difference can be.",

	"views": "Under which views an upload is searched, so that an edited copy of a listed picture is found: plain (the " +
		"picture as it is, turned and mirrored), standard (borders and bars cut off, panels, small crops and tilts undone), " +
		"thorough (larger ones, and combinations). Each costs time and more chances of a false match: see docs/accuracy.md.",

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

	"guards": "How far a revision of a list may be from the one that hashmatch serve has in force. One that is farther is set aside, and " +
		"the one in force goes on serving, until a person accepts it (hashmatch list pending, list promote, list refuse; docs/lists.md). " +
		"What it withdraws is withdrawn at once. Of the two bounds of a pair both must be exceeded.",
	"guards.shrink_percent":        "How many of a hundred entries in force may be so no longer. 100: all of them.",
	"guards.shrink_entries":        "As many may always go.",
	"guards.growth_percent":        "How many entries may come for each hundred in force.",
	"guards.growth_entries":        "As many may always come.",
	"guards.source_growth_percent": "The same for the entries of one source and member.",
	"guards.source_growth_entries": "As many of one source and member may always come.",
	"guards.clean": "Harmless pictures of yours: a folder of up to 2,000, or a list file of their hashes. A list that matches them is wrong. " +
		"Flat colours, shades, patterns and plain figures are always looked for. Default: nothing else.",
	"guards.clean_matches": "How many new entries may match a harmless picture.",
	"guards.folder": "The folder in which accepted revisions and what people decided are remembered, where those of the lists are not to be " +
		"written to. Default: FILE.revisions beside each list's file. Who can write to it decides what is served.",
	"guards.keep": "How many accepted revisions of each list are kept there, for a restart and for hashmatch list rollback. Each is a " +
		"copy of the file.",

	"surfaces[].shadow": "true: hashmatch serve computes and records verdicts on this surface, and allows everything. For " +
		"trying it out beside what is there.",
	"lists[].shadow": "true: what the list's matches would lead to is recorded and not acted on. For trying a list out.",
	"lists[].max_age": "The time since the list's last successful sync (since its file changed, where the file does not " +
		"say) beyond which a service is not ready, and holds everything. 0s: no age is too old.",

	"lists[].verify": "Files of public keys (hashmatch list key). If there are any, the list's file must be a snapshot that is signed with " +
		"one of the keys, for the list of this name, and not older than one that was in force before; nothing else of it is looked at " +
		"before, and it is refused otherwise, at the start and at a reload. None by default: no signature is required.",

	"keys": "The keys of lists, which hashmatch list key makes (docs/lists.md). There are none by default: snapshots are neither signed nor " +
		"encrypted. None of them can decrypt an upload.",
	"keys.sign": "The file of the private key that signs what hashmatch list import and list sign write with this configuration. It " +
		"belongs on the machine that writes lists, not on those that serve them.",
	"keys.recipients": "The public keys of the age identities that can decrypt those snapshots. None: they are not encrypted.",
	"keys.identities": "Files of age identities, readable for their owner only, that decrypt snapshots, into memory and never to disk.",
	"keys.seen": "The folder in which the highest serial of each verified list is remembered, so that an older snapshot is " +
		"refused. It is written to, and must be stated where a list has verify.",

	"exchanges": "Where lists come from: hashmatch list sync fetches them, and so does hashmatch serve (docs/exchanges.md). There are " +
		"none by default: the files of lists are then written by somebody else.",
	"exchanges[].list": "The name of the list that is filled, one of lists. Its file must be a snapshot, or not be there yet; it " +
		"belongs to the exchange, which replaces what others put into it. It must be stated.",
	"exchanges[].dialect": "What the exchange speaks: ncmec, threatexchange, stopncii, or file for a list file over HTTPS. It must be stated.",
	"exchanges[].address": "Where it is: https://HOST/…, without what the dialect adds (/v2/entries, the group, /v1/FetchHashes). http is " +
		"allowed to this machine itself only. It must be stated.",
	"exchanges[].group":  "threatexchange: the number of the privacy group. It must be stated there.",
	"exchanges[].format": "file: its format. Default: told by its content.",
	"exchanges[].part":   "file: of a csv of several lists, the list to read. Default: there is one.",
	"exchanges[].credentials": "The file of the credentials, readable for its owner only: lines NAME=VALUE, of user and password (ncmec), " +
		"token (threatexchange), function_key and subscription_key (stopncii), none, token, or user and password (file).",
	"exchanges[].credentials_environment": "In place of that file the beginning of the names of variables: with NCMEC they are NCMEC_USER, " +
		"NCMEC_PASSWORD, NCMEC_TOKEN, NCMEC_FUNCTION_KEY and NCMEC_SUBSCRIPTION_KEY.",
	"exchanges[].interval":  "The time from one sync to the next. 0s means 1h.",
	"exchanges[].timeout":   "The time for one answer. 0s means 5m, and 1h for a file.",
	"exchanges[].attempts":  "How often an answer is asked for before the sync fails. 0 means 5.",
	"exchanges[].page_size": "threatexchange, stopncii: how many entries are asked for at once. 0 means 1000.",
	"exchanges[].max_bytes": "The longest answer. 0B means 64MiB, and 16GiB for a file.",
	"exchanges[].skip_bad_entries": "true: records that no list may hold (an all-zero hash, the digest of the empty file, a hash of the wrong " +
		"length) are left out and counted. false: the sync fails, and does not go past them.",

	"listeners":           "The addresses on which hashmatch serve answers. There are none by default.",
	"listeners[].name":    "What the listener is called in logs and metrics. It must be stated.",
	"listeners[].dialect": "What it speaks: http, clamd, clamav-rest, icap, pictrs, tusd, hma or metrics. It must be stated.",
	"listeners[].address": "HOST:PORT, or unix:PATH. It must be stated. An address that other machines can reach needs " +
		"certificate and key, or insecure.",
	"listeners[].surface": "The surface of everything that comes in here. It must be stated, but for metrics; with http it " +
		"may be left out, and each request then names its surface.",
	"listeners[].anonymous": "What callers without a token may do: scan, lookup (which shows entries and distances). " +
		"Administration always takes a token. For the dialects over HTTP; the others know no tokens.",
	"listeners[].insecure": "true: listen beyond this machine without TLS, or without tokens. State it only where the " +
		"network keeps strangers out.",
	"listeners[].certificate":       "The file of the TLS certificate (PEM). It is read again when it changes.",
	"listeners[].key":               "The file of its key (PEM), readable for its owner only.",
	"listeners[].client_ca":         "The file of the authorities whose client certificates are required (PEM).",
	"listeners[].unix_mode":         "The permissions of a unix socket, in octal digits. Default: 0600.",
	"listeners[].status_by_verdict": "http: true answers 403 for hold and block, for callers that look at the status only.",
	"listeners[].folders":           "clamd, on a unix socket: the folders whose files SCAN and CONTSCAN may read. Default: none.",
	"listeners[].store":             "tusd: the folder in which tusd keeps uploads.",
	"listeners[].held":              "tusd: the folder, on the same file system, into which uploads are moved before they are scanned.",
	"listeners[].forward":           "tusd: the address of the application's own hook. Default: none.",

	"serve": "The limits of hashmatch serve.",
	"serve.tokens": "The file of the bearer tokens, hashed (see docs/http-api.md), readable for its owner only. " +
		"Default: there are none.",
	"serve.concurrency":     "How many uploads are scanned at once. 0 is one for each core.",
	"serve.queue":           "How many uploads may wait to be scanned. One more is held at once, as overloaded.",
	"serve.queue_timeout":   "How long an upload may wait, for memory or to be scanned. One that waits longer is held, as overloaded.",
	"serve.memory":          "The memory for uploads that are received, waiting or scanned. At least four times max_bytes.",
	"serve.max_connections": "How many connections each listener holds.",
	"serve.header_timeout":  "The time for the head of a request, or for a command.",
	"serve.idle_timeout":    "How long a connection may do nothing between two requests.",
	"serve.read_timeout":    "How long a sender may pause in the middle of an upload.",
	"serve.request_timeout": "The time for a whole request.",
	"serve.max_parts":       "The most files in one multipart upload. One with more is held.",
	"serve.drain_timeout":   "How long a service that is told to stop goes on finishing what it has begun.",
	"serve.check_interval":  "How often readiness is checked: a synthetic picture through the whole scanner, entries of every list.",
	"serve.watch_interval": "How often the files of the configuration, lists, tokens and certificates are looked at for " +
		"changes. 0s: only SIGHUP reloads.",
	"serve.log_format": "json or text, one line an upload, on standard error.",

	"quarantine": "Where the content of matches is kept, encrypted for the recipients; the service itself cannot read it. " +
		"Left out, nothing is kept. What did not match is never kept.",
	"quarantine.directory":  "The folder, readable for its owner only. It must be stated.",
	"quarantine.recipients": "The public keys of the age identities that can read it. One must be stated.",
	"quarantine.expire":     "When it is deleted. Default: 30 days.",
	"quarantine.max_bytes":  "How much is kept in all. Beyond it nothing more is, and matches are held for that reason too. Default: 10GiB.",

	"review":                 "The items that a person decides on. Left out, they are recorded nowhere but in the audit.",
	"review.file":            "The database file. It must be stated.",
	"review.keep":            "How long decided items are kept. Default: 90 days.",
	"review.callback":        "The address that is told of decisions. Default: nobody is told.",
	"review.callback_secret": "The file of the secret that signs callbacks, readable for its owner only.",

	"feedback": "What reviewers found is sent to the exchanges that lists come from (docs/exchanges.md). Left out, nothing is sent. " +
		"It needs review.",
	"feedback.folder": "Where it waits until it is sent. It must be stated.",
	"feedback.lists":  "The lists whose exchanges are told: those of ncmec, threatexchange and stopncii. It must be stated.",
	"feedback.reasons": "ncmec: the identifiers of the reasons that go with a negative vote, as /v2/feedback/TYPE/reasons has them. " +
		"Without one, ncmec takes no negative vote.",
	"feedback.deadline": "After how long what cannot be sent is given up. 0s means 168h.",
	"feedback.keep":     "How long it is known what was sent, so that it is not sent again. 0s means 8760h.",

	"audit":               "The log of every answer: append-only, each record chained to the one before. Left out, there is none.",
	"audit.directory":     "The folder of the log. It must be stated.",
	"audit.sync":          "When a record is forced to disk before the answer: matches (all that is no plain allow), all or none. Default: matches.",
	"audit.segment_bytes": "When a new file is begun. Default: 64MiB.",
	"audit.key":           "The file of the Ed25519 key that signs heads (hashmatch audit key makes one). Default: heads are not signed or sent.",
	"audit.head_interval": "How often the head of the log is signed and sent elsewhere. Default: 1m.",
	"audit.head_file":     "A file that heads are appended to, on another disk at best.",
	"audit.head_syslog":   "The address of a syslog that heads are sent to: HOST:PORT over UDP, or unix:PATH.",
	"audit.head_url":      "An address that heads are posted to.",

	"breaker":              "When an alarm rises because more is held and blocked than can be right. A person lifts it. Left out, none rises.",
	"breaker.file":         "Where the state is kept, so that a restart does not lift an alarm. Default: nowhere.",
	"breaker.window":       "The time over which is counted. Default: 10m.",
	"breaker.max_share":    "The percentage of uploads to a surface that may be held or blocked. 0: no limit.",
	"breaker.min_uploads":  "How many uploads a window needs before their share counts. Default: 200.",
	"breaker.max_count":    "How many uploads to a surface may be held or blocked in a window. 0: no limit.",
	"breaker.entry_factor": "An entry that matches this many times more often than ever before raises the alarm. 0: none does.",
	"breaker.entry_min":    "How often an entry must match in a window before it can. Default: 20.",
	"breaker.entry": "What becomes of the near matches of an entry that raised the alarm: alarm (nothing), hold (no longer " +
		"blocked), suspend (recorded, no longer acted on). Exact matches stay as they are. Default: alarm.",

	"traces":          "Traces of uploads for an OpenTelemetry collector. Left out, none are sent.",
	"traces.endpoint": "Its address for OTLP over HTTP. It must be stated.",
	"traces.percent":  "How many of a hundred uploads are traced. 0 means 100.",
}
