package format

import (
	"bytes"
	"fmt"
	"strings"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Format is a file format. The zero Format is unknown.
type Format uint8

// The formats.
const (
	Unknown        Format = iota
	CSV                   // the project's own
	PytxText              // two columns
	PytxCSV               // five columns
	NCMEC                 // hash sharing v2, XML
	VICS                  // Project VIC 2.0, JSON
	ThreatExchange        // pages of threat_updates, JSON
	StopNCII              // pages of FetchHashes, JSON
	ICSE                  // columns between semicolons
	NSRL                  // NSRLFile.txt of version 2: known files, for allow-lists
	HMA                   // signals of a bank, JSON
	Columns               // CSV of which Options.Columns names the columns
	formatEnd
)

var formatNames = [formatEnd]string{"unknown", "csv", "pytx-text", "pytx-csv",
	"ncmec", "vics", "threatexchange", "stopncii", "icse", "nsrl", "hma", "columns"}

// Names returns the name of every format, as ParseFormat reads them.
func Names() []string { return append([]string(nil), formatNames[CSV:]...) }

// String returns the name that ParseFormat reads.
func (f Format) String() string {
	if f >= formatEnd {
		return formatNames[Unknown]
	}
	return formatNames[f]
}

// ParseFormat reads a format's name, one of Names; pytx is another name of pytx-text.
func ParseFormat(name string) (Format, error) {
	if name == "pytx" {
		return PytxText, nil
	}
	for f := CSV; f < formatEnd; f++ {
		if formatNames[f] == name {
			return f, nil
		}
	}
	return Unknown, fmt.Errorf("unknown list format %q: want %s", name, strings.Join(formatNames[CSV:], ", "))
}

// AllowListOnly reports whether a list of that Info holds known files, which only an allow-list may: as a list to
// block by it would stop what everyone has.
func AllowListOnly(info hashlist.Info) bool { return info.Source == NSRL.String() }

// HeadBytes is how much of a file's beginning Detect needs to see at most.
const HeadBytes = 64 << 10

// Detect tells the format of a file from its beginning, never from its name. Unknown means that no line of it is a
// known header or starts with a known kind of hash, and that it is none of the known XML and JSON. Columns is never
// detected.
func Detect(head []byte) Format {
	head = head[:min(len(head), HeadBytes)]
	head = bytes.TrimPrefix(head, byteOrderMark)
	switch start := bytes.TrimLeft(head, " \t\r\n"); {
	case len(start) == 0:
		return Unknown
	case start[0] == '<':
		if bytes.Contains(start, []byte("<queryResult")) && bytes.Contains(start, []byte(ncmecNamespace)) {
			return NCMEC
		}
		return Unknown
	case start[0] == '{' || start[0] == '[':
		return detectJSON(start)
	}
	first := true
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if first {
			for _, f := range []Format{CSV, PytxCSV, ICSE, NSRL} {
				if _, err := parseHeader(line, layouts[f]); err == nil {
					return f
				}
			}
			first = false
		}
		if fields := bytes.Fields(line); len(fields) == 2 && knownKind(fields[0]) {
			return PytxText
		}
	}
	return Unknown
}

// detectJSON tells the JSON formats apart by names that only one of them has.
func detectJSON(head []byte) Format {
	has := func(name string) bool { return bytes.Contains(head, []byte(name)) }
	switch {
	case has(`"hashRecords"`):
		return StopNCII
	case has("VICSDATAMODEL") || has(`"MediaID"`):
		return VICS
	case has(`"data"`) && has(`"indicator"`):
		return ThreatExchange
	}
	// A bank's signals have no name in common but that of the kind.
	_, after, found := bytes.Cut(head, []byte{'"'})
	name, _, closed := bytes.Cut(after, []byte{'"'})
	if found && closed && (knownKind(name) || string(name) == hmaNote) {
		return HMA
	}
	return Unknown
}
