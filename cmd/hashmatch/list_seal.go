package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// identityFlags are those of a command that reads lists.
type identityFlags struct{ files []string }

func (f *identityFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.files, "identity", nil, "a file of age identities that decrypts an encrypted snapshot")
}

// read reads a list, which may be an encrypted snapshot.
func (f *identityFlags) read(path string) (*hashlist.List, error) {
	identities, err := seal.ReadIdentities(f.files...)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	list, err := config.ReadSealedList(path, "", seal.Reading{Identities: identities})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", printable(path), err)
	}
	return list, nil
}

// sealFlags are those of a command that writes a snapshot.
type sealFlags struct {
	identityFlags
	config  string
	key     string
	encrypt []string
	trust   []string
	plain   bool
}

func (f *sealFlags) add(cmd *cobra.Command) {
	f.identityFlags.add(cmd)
	cmd.Flags().StringVar(&f.config, "config", "", "take the keys of this configuration, and the name of the list whose file the snapshot is")
	cmd.Flags().StringVar(&f.key, "sign", "", "sign with this private key (see: hashmatch list key)")
	cmd.Flags().StringSliceVar(&f.trust, "trust", nil, "a file of public keys: what is there already must be signed with one (default: with the same key)")
	cmd.Flags().StringSliceVar(&f.encrypt, "encrypt", nil, "encrypt to this age recipient, age1…; several can each decrypt it")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "write it unsigned or unencrypted although it was not before")
}

// sealing is how one snapshot is read and written again.
type sealing struct {
	writing   seal.Writing
	reading   seal.Reading
	plain     bool
	encrypted bool // it is, and so it stays
	signed    bool
}

// open returns how the snapshot at path is sealed; name is what it is signed for where no configuration says so.
func (f *sealFlags) open(path, name string) (*sealing, error) {
	now := time.Now().UTC()
	s := &sealing{plain: f.plain, writing: seal.Writing{List: name, Now: now}}
	var err error
	if f.config != "" {
		if err := s.configure(f.config, path, now); err != nil {
			return nil, err
		}
	}
	if len(f.files) > 0 {
		if s.reading.Identities, err = seal.ReadIdentities(f.files...); err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
	}
	if f.key != "" {
		if s.writing.Key, err = seal.ReadKey(f.key); err != nil {
			return nil, fmt.Errorf("--sign: %w", err)
		}
	}
	if len(f.encrypt) > 0 {
		if s.writing.Recipients, err = seal.ParseRecipients(f.encrypt...); err != nil {
			return nil, fmt.Errorf("--encrypt: %w", err)
		}
	}
	if len(f.trust) > 0 {
		if s.reading.Trust, err = seal.ReadTrust(f.trust...); err != nil {
			return nil, fmt.Errorf("--trust: %w", err)
		}
	}
	return s, nil
}

// configure takes what a configuration says of the list whose file is at path.
func (s *sealing) configure(file, path string, now time.Time) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	for _, l := range c.Lists {
		if !samePath(l.File, path) {
			continue
		}
		if s.writing, err = c.Writing(l.Name, now); err == nil {
			s.reading, err = c.Reading(l, now)
		}
		return err
	}
	return fmt.Errorf("--config: %s is the file of none of its lists", printable(path))
}

// samePath compares paths of files that need not be there.
func samePath(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	if errX == nil && errY == nil && x == y {
		return true
	}
	at, errAt := os.Stat(a)
	bt, errBt := os.Stat(b)
	return errAt == nil && errBt == nil && os.SameFile(at, bt)
}

// take opens the snapshot that is to be written again, and notes how it is sealed. vouched says that its content goes
// into what is signed next, so that it must be signed itself: with one of the accepted keys or else with the same one.
func (s *sealing) take(path string, vouched bool) (*hashlist.Snapshot, error) {
	var err error
	if s.encrypted, err = seal.Encrypted(path); err != nil {
		return nil, err
	}
	reading := s.reading
	if !vouched {
		reading.Trust = nil
	} else if s.writing.Key != nil && len(reading.Trust) == 0 {
		reading.Trust = seal.Trust{{Key: s.writing.Key.Public()}}
		reading.Now = s.writing.Now
	}
	if reading.List == "" {
		reading.List = s.writing.List
	}
	snapshot, statement, err := seal.Open(path, reading)
	if err != nil {
		if errors.Is(err, seal.ErrUnsigned) {
			err = fmt.Errorf("%w: what is in it would be vouched for: look at it, then hashmatch list sign", err)
		}
		return nil, err
	}
	s.signed, s.writing.Previous = statement.Serial > 0, s.reading.Last.Serial
	if serial := statement.Serial; vouched || serial <= uint64(s.writing.Now.UnixMicro()) { // else anyone may have made it up
		s.writing.Previous = max(s.writing.Previous, serial)
	}
	if s.writing.List == "" {
		s.writing.List = snapshot.List().Info().Name
	}
	return snapshot, nil
}

// write writes the snapshot, sealed as the flags and the configuration say, and not less than it was.
func (s *sealing) write(path string, list *hashlist.List, extras ...hashlist.Extra) error {
	switch {
	case s.encrypted && len(s.writing.Recipients) == 0 && !s.plain:
		return fmt.Errorf("%s: it is encrypted, and would not be any more: --encrypt, or else --plain", printable(path))
	case s.signed && s.writing.Key == nil && !s.plain:
		return fmt.Errorf("%s: it is signed, and would not be any more: --sign, or else --plain", printable(path))
	case s.writing.Key != nil && s.writing.List == "":
		return errors.New("--sign: for which list? --name says so, or --config")
	}
	if err := seal.WriteFile(path, list, s.writing, extras...); err != nil {
		return exit(exitUnwritten, fmt.Errorf("%s: %w", printable(path), err))
	}
	return nil
}

// existing is the list at path that an import goes on from, checked in full; an error that wraps os.ErrNotExist if there
// is none.
func (s *sealing) existing(path string) (*hashlist.List, error) {
	encrypted, err := seal.Encrypted(path)
	if err != nil {
		return nil, err
	}
	if !encrypted && s.writing.Key == nil && len(s.reading.Trust) == 0 {
		snapshot, err := hashlist.Map(path) // for its serial only
		if err != nil {
			return nil, err
		}
		_, s.signed = seal.StatementOf(snapshot)
		return hashlist.Open(path)
	}
	snapshot, err := s.take(path, true)
	if err != nil {
		return nil, err
	}
	return again(snapshot.List())
}

// again reads a list as it would be read from its file, with everything computed and checked that a snapshot's checksums
// only vouch for.
func again(list *hashlist.List) (*hashlist.List, error) {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(hashlist.Write(writer, list)) }()
	read, err := hashlist.Read(reader)
	reader.CloseWithError(err) // ends the writer, if it was not read to the end
	return read, err
}

func newListSign() *cobra.Command {
	var flags sealFlags
	var name string
	cmd := &cobra.Command{
		Use:   "sign --sign KEY SNAPSHOT",
		Short: "Sign a snapshot, and encrypt it",
		Long: `Sign a snapshot, and encrypt it, in its place: whoever has the public key knows by it that the snapshot is the one
that was signed here, of this list, and that no newer one was served before. Its content is checked in full, and vouched
for as it is, whoever signed it before: hashmatch list info and list diff show what is in it.

With --config, the keys and the list's name are those of the configuration; --sign and --encrypt override them.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			s, err := flags.open(path, name)
			if err != nil {
				return err
			}
			if s.writing.Key == nil && !s.plain {
				return errors.New("list sign: --sign: with which key? (see: hashmatch list key)")
			}
			snapshot, err := s.take(path, false)
			if err == nil {
				_, err = again(snapshot.List())
			}
			if err != nil {
				return fmt.Errorf("%s: %w", printable(path), err)
			}
			extras, err := copied(snapshot)
			if err != nil {
				return fmt.Errorf("%s: %w", printable(path), err)
			}
			if err := s.write(path, snapshot.List(), extras...); err != nil {
				return err
			}
			return s.report(cmd.OutOrStdout(), path, snapshot.List())
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "the name of the list, by which configurations know it (default: the one in the snapshot)")
	return cmd
}

// report says how a snapshot was written.
func (s *sealing) report(out io.Writer, path string, list *hashlist.List) error {
	text := "not signed"
	if s.writing.Key != nil {
		text = fmt.Sprintf("signed for %q with key %s, serial %d", s.writing.List, s.writing.Key.Public().ID(),
			seal.NextSerial(s.writing.Previous, s.writing.Now))
	}
	if n := len(s.writing.Recipients); n > 0 {
		text += fmt.Sprintf(", encrypted to %d", n)
	}
	_, err := fmt.Fprintf(out, "%s: %d entries, revision %s, %s\n", printable(path), list.Len(), list.Revision(), text)
	return err
}

// copied returns the sections beside a list in memory of their own: the file that they are in is about to be replaced.
func copied(snapshot *hashlist.Snapshot) (extras []hashlist.Extra, err error) {
	err = snapshot.Memory().Use(func() {
		for _, extra := range snapshot.Extras() {
			extras = append(extras, hashlist.Extra{Name: extra.Name, Parts: [][]byte{bytes.Clone(extra.Parts[0])}})
		}
	})
	return extras, err
}

// newIdentity returns the text of a file with a new age identity, and its recipient.
func newIdentity() (text []byte, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", err
	}
	return fmt.Appendf(nil, "# public key: %s\n%s\n", id.Recipient(), id), id.Recipient().String(), nil
}
