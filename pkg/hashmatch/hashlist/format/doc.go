// Package format reads and writes hash lists as files of other programs have them: pure parsing, no network.
//
// [Import] reads a file into a List; [Parse] hands out entry by entry; [Export] and [ExportMapped] write a List. Memory
// is bounded by one line or record, of 1 MiB at most, and for Import by the List that comes out: a Builder holds every
// record of the file until its end, some 60 bytes for each.
//
// # Text and lines
//
// Files are UTF-8, with or without a byte order mark; lines end in LF or CRLF. UTF-16 and NUL bytes are refused, and
// so is a line of more than 1 MiB. Hexadecimal digits may be of either case. A line that cannot be read is refused
// with its number and the reason. One refused line fails the import, unless Options.AllowSkips says that it be left
// out; then it is counted and reported. All-zero hashes and the digests of the empty file are refused lines. A line's
// text is never repeated in an error: it may be a hash.
//
// # pytx text
//
// What python-threatexchange reads as a local file: a kind and a hash on a line, between them spaces or tabs.
//
//	# a comment; blank lines are allowed too
//	pdq 0123456789abcdef…
//
// Every kind that hashmatch computes is allowed, video_md5 as another name of md5, and photodna with its value in
// base64. The ID of an entry is derived from the hash (hashlist.DeriveID), so that a hash that comes twice is one entry.
//
// # pytx CSV
//
// What python-threatexchange prints: a header line and the columns signal_type, signal_str, collab, category, tags, in
// any order, of which the first two are required. The collab becomes the source of the entry's key, the ID is derived
// from the hash. The category becomes the classification, and a label as well, so that a policy can name it. The
// categories NEGATIVE_CLASS, FALSE_POSITIVE and DISPUTED make the entry disputed. Tags are labels, between spaces.
//
// # CSV
//
// The project's own: a header line and the columns entry, kind, hash, list, label, status, updated, in any order, of
// which kind and hash are required.
//
//		entry,kind,hash,list,label,status,updated
//		img-1,pdq,0123456789abcdef…,national,A1;synthetic,active,2026-01-31T12:00:00Z
//		img-1,sha256,…,national,,,2026-01-31T12:00:00Z
//		exchange/42/img-2,,,national,,withdrawn,
//
//	  - entry is an ID, or source/member/ID with % and / inside a part written as %25 and %2F; where it is empty, the ID
//	    is derived from the hash. Lines with the same entry are one entry with several signatures; they need not stand
//	    together.
//	  - kind and hash are as in pytx text. Both are empty in the line of a withdrawn entry, and only there.
//	  - list names the list that the line belongs to. If Options.List is set, lines of other lists are left out and
//	    counted, and those that name none belong to it. If it is not, a file with more than one list is refused: what
//	    is to be done with a match depends on the list.
//	  - label holds labels, with ; between them, and % and ; inside a label written as %25 and %3B. Labels of several
//	    lines of an entry add up.
//	  - status is active (or empty), disputed, suspended or withdrawn. If lines of an entry differ, the last of these
//	    in that order holds.
//	  - updated is when the source last changed the entry, as RFC 3339 has it, or empty. Only the lines of an entry that
//	    state the latest time of all are taken, those without one being the oldest: state it in every line of an entry
//	    or in none. Result.Superseded counts the others.
//
// A quoted field cannot hold a line break. What this format does not carry: votes, classification, and the times at
// which an entry was added and confirmed here.
//
// # The industry's formats
//
// What is common to them: a record is an entry with all its signatures. A part of a record that cannot be read is
// refused like a line, with the line and the number of the record; with Options.AllowSkips the rest of the record is
// taken. What is cut off in XML or JSON is refused as a whole. The newest record of a key wins, wherever in the file it
// stands. The classification is a label too, so that a policy can name it. PhotoDNA is kept; other hashes that
// hashmatch does not compute are counted in Result.Uncomputed. A record of which no hash is kept becomes a withdrawal
// if it is dated, because whatever the entry had before is no longer listed, and is left out if it is not: both are
// counted in Result.Remarks. Hashes named phash, dhash or ahash are of another program, and counted, not taken for ours.
// A vote against what its source lists makes the entry disputed.
//
//   - [NCMEC]: answers to /v2/entries, one or several. The key is ncmec, the ID of the member, and the ID. Members that
//     vote on a hash count once each, for and against. deletedImage and deletedVideo are withdrawals. Large fingerprints
//     that come as an address are counted. Videos have the label video.
//   - [VICS]: {"value": [MEDIA…]}, the media of cases, or a list of media. Options.Map has to say what each category
//     means. Media are numbered anew in each file and case, so that the ID is derived from the first digest. Numbers
//     and booleans may be strings. Flags become the labels distributed, victim-identified, offender-identified; a
//     series becomes series:NAME. A PhotoDNA value that a tenth of all files, or a thousand, have in common is of no
//     picture and left out.
//   - [ThreatExchange]: pages of threat_updates. The ID is the indicator's. Members are counted by their status and
//     their reactions HELPFUL and DISAGREE_WITH_TAGS, each once; their IDs are labels owner:ID. should_delete, or no
//     descriptor, is a withdrawal.
//   - [StopNCII]: pages of FetchHashes. The ID is derived from the hash. Blocked and NotBlocked are votes. Withdrawn and
//     Deleted are withdrawals, and a status that is not known makes the entry disputed. Regions are labels region:NAME;
//     case numbers are not kept.
//   - [ICSE]: the columns of its export, in any order, MD5 and Image ID required.
//   - [NSRL]: known files. It is read with Options.AllowList only, and AllowListOnly tells such a list from others.
//   - [HMA]: {"pdq": …, "note": …}, one or several, or a list of them. A note is a label.
//   - [Columns]: any other table; Options.Columns names its columns. Lines of one entry are one entry.
package format
