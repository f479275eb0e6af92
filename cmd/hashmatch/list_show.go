package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// shownEntry is an entry as list show and list diff print it.
type shownEntry struct {
	Entry          string           `json:"entry"`
	Source         string           `json:"source"`
	Member         string           `json:"member"`
	ID             string           `json:"id"`
	Status         hashmatch.Status `json:"status"`
	Classification string           `json:"classification"`
	Labels         []string         `json:"labels"`
	Signatures     []shownSignature `json:"signatures"`
	Added          *time.Time       `json:"added"`
	Updated        *time.Time       `json:"updated"`
	Synced         *time.Time       `json:"synced"`
}

type shownSignature struct {
	Kind     string `json:"kind"` // or the scheme of an opaque one
	Bits     int    `json:"bits"`
	Hash     string `json:"hash,omitempty"` // left out unless it is asked for
	Positive uint32 `json:"positive"`
	Negative uint32 `json:"negative"`
}

// showEntry returns how an entry is printed, its hashes only if they are asked for.
func showEntry(e *hashmatch.Entry, hashes bool) shownEntry {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	s := shownEntry{
		Entry: e.Key.String(), Source: e.Key.Source, Member: e.Key.Member, ID: e.Key.ID, Status: e.Status,
		Classification: e.Classification, Labels: append([]string{}, e.Labels...), Signatures: []shownSignature{},
		Added: at(e.Added), Updated: at(e.Updated), Synced: at(e.Synced),
	}
	for i := range e.Signatures {
		signature := &e.Signatures[i]
		one := shownSignature{Positive: signature.Votes.Positive, Negative: signature.Votes.Negative}
		if signature.Scheme == "" {
			one.Kind, one.Bits = signature.Hash.Kind.String(), signature.Hash.Kind.Bits()
			if hashes {
				one.Hash = signature.Hash.Hex()
			}
		} else {
			one.Kind, one.Bits = signature.Scheme, 8*len(signature.Opaque)
			if hashes {
				one.Hash = hex.EncodeToString([]byte(signature.Opaque))
			}
		}
		s.Signatures = append(s.Signatures, one)
	}
	return s
}

// print writes the entry as text, each line after indent.
func (s *shownEntry) print(w io.Writer, indent string) error {
	or := func(text, none string) string {
		if text == "" {
			return none
		}
		return printable(text)
	}
	at := func(t *time.Time) string {
		if t == nil {
			return "not stated"
		}
		return t.Format(time.RFC3339)
	}
	var labels []string
	for _, label := range s.Labels {
		labels = append(labels, printable(label))
	}
	for _, row := range [][2]string{
		{"entry", printable(s.Entry)}, {"source", or(s.Source, "not stated")}, {"member", or(s.Member, "not stated")},
		{"id", printable(s.ID)}, {"status", s.Status.String()}, {"class", or(s.Classification, "none")},
		{"labels", or(strings.Join(labels, ", "), "none")},
		{"added", at(s.Added)}, {"updated", at(s.Updated)}, {"synced", at(s.Synced)},
	} {
		if _, err := fmt.Fprintf(w, "%s%-9s %s\n", indent, row[0], row[1]); err != nil {
			return err
		}
	}
	for _, signature := range s.Signatures {
		value := fmt.Sprintf("(%d bits, masked)", signature.Bits)
		if signature.Hash != "" {
			value = signature.Hash
		}
		votes := ""
		if signature.Positive > 0 || signature.Negative > 0 {
			votes = fmt.Sprintf("  votes +%d -%d", signature.Positive, signature.Negative)
		}
		if _, err := fmt.Fprintf(w, "%s%-9s %s %s%s\n", indent, "hash", printable(signature.Kind), value, votes); err != nil {
			return err
		}
	}
	return nil
}

func newListShow() *cobra.Command {
	var identities identityFlags
	var output string
	var hashes bool
	cmd := &cobra.Command{
		Use:   "show LIST ENTRY",
		Short: "Explain where an entry came from",
		Long: `Explain where an entry came from: its source, member and ID there, labels, votes, status, and when it was added, changed
and confirmed. ENTRY is its name, as verdicts have it (ID or SOURCE/MEMBER/ID), or one of its hashes, as KIND:HEX (or
SCHEME:HEX, as photodna:…): then every entry is shown that has exactly this one.

Its hashes are masked unless --hashes is given. Exit codes: 0 shown, 1 there is no such entry, 2 wrong usage or list.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			found, err := findEntries(list, args[1])
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return exit(exitMatched, errors.New("no such entry in the list"))
			}
			for i, ordinal := range found {
				entry := list.Entry(ordinal)
				shown := showEntry(&entry, hashes)
				if output == "json" {
					err = json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
				} else {
					if i > 0 {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					err = shown.print(cmd.OutOrStdout(), "")
				}
				if err != nil {
					return exit(exitUnwritten, err)
				}
			}
			return nil
		},
	}
	identities.add(cmd)
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	cmd.Flags().BoolVar(&hashes, "hashes", false, "show its hashes")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

// findEntries returns the ordinals of the entries that text names: by their key, or, if there is none of that name, by
// a hash. What it says of a text never quotes it: it may be a hash.
func findEntries(list *hashlist.List, text string) ([]uint32, error) {
	key, err := hashmatch.ParseEntryKey(text)
	if err == nil {
		if ordinal, ok := list.Find(key); ok {
			return []uint32{ordinal}, nil
		}
	}
	name, digits, isHash := strings.Cut(text, ":")
	if !isHash {
		if err != nil {
			return nil, errors.New("ENTRY: want ID, SOURCE/MEMBER/ID or KIND:HEX")
		}
		return nil, nil
	}
	var found []uint32
	take := func(ordinal uint32) {
		if len(found) == 0 || found[len(found)-1] != ordinal {
			found = append(found, ordinal)
		}
	}
	if kind, err := hashmatch.ParseKind(strings.ToLower(name)); err == nil {
		wanted, err := hashmatch.ParseHex(kind, digits)
		if err != nil {
			return nil, fmt.Errorf("ENTRY: %s: %w", kind, err)
		}
		for h, ordinal := range list.Signatures() {
			if h == wanted {
				take(ordinal)
			}
		}
		return found, nil
	}
	if list.OpaqueCounts()[strings.ToLower(name)] == 0 {
		return nil, nil
	}
	value, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("ENTRY: the signature is not hexadecimal")
	}
	for signature, ordinal := range list.OpaqueSignatures() {
		if signature.Scheme == strings.ToLower(name) && signature.Opaque == string(value) {
			take(ordinal)
		}
	}
	return found, nil
}
