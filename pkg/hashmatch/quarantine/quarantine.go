// Package quarantine keeps the content of matches, encrypted for people whose keys are not here: a service that is
// broken into gives away nothing that it kept. Content that did not match is never handed to it (see package gate).
//
//	Open -> Store    one file an item, encrypted with age for every recipient
//	        Run      deletes what has expired
//	Extract          the content again, for who has a key; on another machine at best
//
// A file's name is a digest of the item's ID and surface, never of the content. It is written under another name,
// synced and renamed, so that it is whole or not there.
package quarantine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Config is what a Store is made of. Directory and Recipients are required.
type Config struct {
	Directory  string        // made with mode 0700 if it is not there; refused if others have access
	Recipients []string      // age's public keys, age1…
	Expire     time.Duration // when content is deleted; 0 means DefaultExpire
	MaxBytes   int64         // of all files; 0 means DefaultMaxBytes
	Logger     *slog.Logger  // of deletions that fail; nil means silence
	now        func() time.Time
}

// The defaults of Config.
const (
	DefaultExpire   = 30 * 24 * time.Hour
	DefaultMaxBytes = 10 << 30
)

const (
	suffix    = ".age"
	temporary = ".new-"
)

// ErrFull is wrapped by the refusal to keep more than Config.MaxBytes.
var ErrFull = errors.New("the quarantine is full")

// Store keeps content. It implements gate.Quarantine and is safe for concurrent use. One process at a time uses a
// directory.
type Store struct {
	config     Config
	recipients []age.Recipient

	mu    sync.Mutex
	bytes int64            // of all files, those that are being written included
	sizes map[string]int64 // by file name
}

var _ gate.Quarantine = (*Store)(nil)

// Open opens the directory, deletes what a crash left half written, and counts what is kept.
func Open(config Config) (*Store, error) {
	if config.Directory == "" {
		return nil, errors.New("quarantine: no directory")
	}
	if config.Expire <= 0 {
		config.Expire = DefaultExpire
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	if config.now == nil {
		config.now = time.Now
	}
	s := &Store{config: config, sizes: make(map[string]int64)}
	for _, text := range config.Recipients {
		recipient, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("quarantine: recipient: %w", err)
		}
		s.recipients = append(s.recipients, recipient)
	}
	if len(s.recipients) == 0 {
		return nil, errors.New("quarantine: no recipient: nobody could read what is kept")
	}
	if err := os.MkdirAll(config.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	info, err := os.Stat(config.Directory)
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("quarantine: %s: its mode is %04o: others have access; chmod 700 it", config.Directory, info.Mode().Perm())
	}
	return s, s.count()
}

// count fills in what is there.
func (s *Store) count() error {
	entries, err := os.ReadDir(s.config.Directory)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, temporary) {
			if err := os.Remove(s.path(name)); err != nil {
				return fmt.Errorf("quarantine: %w", err)
			}
			continue
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(name, suffix) {
			continue // not ours
		}
		s.sizes[name] = info.Size()
		s.bytes += info.Size()
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.config.Directory, name) }

// fileName returns the name of an item's file.
func fileName(tenant, surface, item string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + surface + "\x00" + item))
	return hex.EncodeToString(sum[:]) + suffix
}

// Header is what stands before the content in a file.
type Header struct {
	Item    string            `json:"item"`
	Surface string            `json:"surface"`
	Tenant  string            `json:"tenant,omitempty"`
	Region  string            `json:"region,omitempty"`
	Time    time.Time         `json:"time"`
	Size    int64             `json:"size"` // of the content
	Format  string            `json:"format,omitempty"`
	Matches []hashmatch.Match `json:"matches"`
	Policy  string            `json:"policy"`
}

// Store keeps the content of one item. The same item again takes the place of what was kept of it.
func (s *Store) Store(ctx context.Context, r gate.Record, content []byte) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := fileName(r.Tenant, r.Surface, r.Item)
	header, err := json.Marshal(Header{
		Item: r.Item, Surface: r.Surface, Tenant: r.Tenant, Region: r.Region, Time: r.Time, Size: int64(len(content)),
		Format: r.Verdict.Media.Format, Matches: r.Verdict.Matches, Policy: r.Verdict.Policy,
	})
	if err != nil {
		return err
	}
	// age adds 16 bytes for each 64 KiB, and a header for the recipients.
	room := int64(len(header)+len(content)) + int64(len(content)/4096) + 1024*int64(1+len(s.recipients))
	if err := s.reserve(room); err != nil {
		return err
	}
	kept := int64(0)
	defer func() { s.settle(name, room, kept, err == nil) }()
	kept, err = s.write(name, header, content)
	return err
}

func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+n > s.config.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes", ErrFull, s.bytes, s.config.MaxBytes)
	}
	s.bytes += n
	return nil
}

// settle replaces what was reserved by what the file takes.
func (s *Store) settle(name string, reserved, kept int64, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= reserved
	if done {
		s.bytes += kept - s.sizes[name]
		s.sizes[name] = kept
	}
}

// write writes a file whole, or leaves what was there.
func (s *Store) write(name string, header, content []byte) (n int64, err error) {
	file, err := os.CreateTemp(s.config.Directory, temporary) // mode 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	encrypted, err := age.Encrypt(file, s.recipients...)
	if err != nil {
		return 0, err
	}
	for _, part := range [][]byte{header, []byte("\n"), content} {
		if _, err = encrypted.Write(part); err != nil {
			return 0, err
		}
	}
	if err = encrypted.Close(); err != nil {
		return 0, err
	}
	if err = file.Sync(); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err = file.Close(); err != nil {
		return 0, err
	}
	if err = os.Rename(file.Name(), s.path(name)); err != nil {
		return 0, err
	}
	return info.Size(), syncDirectory(s.config.Directory)
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}

// Delete deletes what is kept of an item. One of which nothing is kept is no error.
func (s *Store) Delete(tenant, surface, item string) error {
	return s.remove(fileName(tenant, surface, item))
}

func (s *Store) remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.bytes -= s.sizes[name]
	delete(s.sizes, name)
	return nil
}

// Run deletes what has expired, now and every few minutes, until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Minute)
	defer ticker.Stop()
	for {
		s.expire()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// expire deletes every file that is older than Expire. A file whose time lies ahead, since the clock was set back, is
// kept until its time has come and gone.
func (s *Store) expire() {
	s.mu.Lock()
	names := make([]string, 0, len(s.sizes))
	for name := range s.sizes {
		names = append(names, name)
	}
	s.mu.Unlock()
	for _, name := range names {
		info, err := os.Stat(s.path(name))
		if err == nil && s.config.now().Sub(info.ModTime()) < s.config.Expire {
			continue
		}
		if err := s.remove(name); err != nil && s.config.Logger != nil {
			s.config.Logger.Error("quarantine: what has expired could not be deleted", "error", err)
		}
	}
}

// Stats are the numbers of the moment.
type Stats struct {
	Files int
	Bytes int64
}

// Stats returns the numbers of the moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{len(s.sizes), s.bytes}
}

// maxHeader bounds the header of a file: a hundred matches take some 50 KiB.
const maxHeader = 1 << 20

// Extract reads a file with one of the identities: it returns the header, and writes the content to w.
func Extract(w io.Writer, file io.Reader, identities ...age.Identity) (Header, error) {
	var header Header
	plain, err := age.Decrypt(file, identities...)
	if err != nil {
		return header, err
	}
	var line bytes.Buffer
	var one [1]byte
	for {
		if _, err := io.ReadFull(plain, one[:]); err != nil {
			return header, fmt.Errorf("the header ends early: %w", err)
		}
		if one[0] == '\n' {
			break
		}
		if line.Len() == maxHeader {
			return header, errors.New("the header is too long")
		}
		line.WriteByte(one[0])
	}
	if err := json.Unmarshal(line.Bytes(), &header); err != nil {
		return header, fmt.Errorf("the header: %w", err)
	}
	n, err := io.Copy(w, plain)
	if err == nil && n != header.Size {
		err = fmt.Errorf("%d bytes of content, want %d", n, header.Size)
	}
	return header, err
}
