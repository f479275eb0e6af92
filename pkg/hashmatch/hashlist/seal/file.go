package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Writing says how WriteFile seals a snapshot. The zero Writing leaves it plain, as hashlist.WriteFile writes it.
type Writing struct {
	Key        *Key            // signs; nil: it is not signed
	List       string          // the name that is signed, by which configurations know the list
	Previous   uint64          // the serial of the snapshot that this one follows; 0: of none
	Now        time.Time       // when it is signed
	Recipients []age.Recipient // who can decrypt it; none: it is not encrypted
}

// WriteFile writes a list with the sections of others, as hashlist.WriteFile does, signed and encrypted.
func WriteFile(path string, list *hashlist.List, w Writing, extras ...hashlist.Extra) error {
	return hashlist.ReplaceFile(path, func(out io.Writer) error { return write(out, list, w, extras) })
}

func write(out io.Writer, list *hashlist.List, w Writing, extras []hashlist.Extra) error {
	plain := func(out io.Writer) error { return hashlist.Write(out, list, extras...) }
	if w.Key != nil {
		voucher, err := w.Key.voucher(Statement{
			List: w.List, Revision: list.Revision(), Serial: NextSerial(w.Previous, w.Now), Signed: w.Now,
		})
		if err != nil {
			return err
		}
		plain = func(out io.Writer) error { return hashlist.WriteVouched(out, list, voucher, extras...) }
	}
	if len(w.Recipients) == 0 {
		return plain(out)
	}
	encrypted, err := age.Encrypt(out, w.Recipients...)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := plain(encrypted); err != nil {
		return err
	}
	if err := encrypted.Close(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// Reading says what Open wants of a snapshot. The zero Reading takes any that is not encrypted.
type Reading struct {
	Identities []age.Identity // that decrypt
	Trust      Trust          // the keys of which one must have signed it; empty: no signature is required
	List       string         // with Trust: the name that must be signed
	Now        time.Time      // with Trust: signatures of more than a day after it are refused
	Last       Serial         // with Trust: what was in force last; the zero Serial: nothing was
}

// Open opens the snapshot file at path: encrypted or not, signed or not. With r.Trust nothing of it is used before its
// signature was found good, and the statement is what was signed; without, it is what the file says, or zero. A file that
// is encrypted is decrypted into memory; another is mapped, as hashlist.Map does.
func Open(path string, r Reading) (*hashlist.Snapshot, Statement, error) {
	snapshot, statement, err := r.open(path)
	if err != nil {
		// Those of package hashlist name the file already.
		if named := "snapshot " + path + ": "; !strings.HasPrefix(err.Error(), named) {
			err = fmt.Errorf("%s%w", named, err)
		}
		return nil, Statement{}, err
	}
	return snapshot, statement, nil
}

func (r *Reading) open(path string) (*hashlist.Snapshot, Statement, error) {
	var statement Statement
	var check func(hashlist.Vouched) error
	if len(r.Trust) > 0 {
		check = func(v hashlist.Vouched) (err error) {
			statement, err = r.Trust.verify(v, r.List, r.Now)
			return err
		}
	}
	data, encrypted, err := decryptFile(path, r.Identities)
	if err != nil {
		return nil, statement, err
	}
	var snapshot *hashlist.Snapshot
	if encrypted {
		snapshot, err = hashlist.FromBytesVouched(data, check)
	} else {
		snapshot, err = hashlist.MapVouched(path, check)
	}
	if err != nil {
		return nil, statement, err
	}
	if len(r.Trust) == 0 {
		statement, _ = StatementOf(snapshot)
		return snapshot, statement, nil
	}
	if statement.Revision != snapshot.List().Revision() {
		return nil, statement, fmt.Errorf("%w: its entries are not those of the revision that was signed", hashlist.ErrCorrupt)
	}
	return snapshot, statement, r.Last.admit(statement)
}

// intro is how a file begins that is encrypted.
const intro = "age-encryption.org/"

// Encrypted says whether a file is encrypted. What cannot be read is an error.
func Encrypted(path string) (bool, error) {
	if info, err := os.Stat(path); err != nil {
		return false, fmt.Errorf("snapshot: %w", err)
	} else if !info.Mode().IsRegular() {
		return false, nil // it is refused as such
	}
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("snapshot: %w", err)
	}
	defer file.Close()
	return begins(file)
}

func begins(file io.ReaderAt) (bool, error) {
	start := make([]byte, len(intro))
	if _, err := file.ReadAt(start, 0); err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("snapshot: %w", err)
	}
	return string(start) == intro, nil
}

// maxContent is the length of the longest content that is decrypted, that of about 90 million entries with their index.
const maxContent = 16 << 30

// decryptFile returns the content of an encrypted file. It takes the memory of that, once its length was found genuine.
func decryptFile(path string, identities []age.Identity) (data []byte, encrypted bool, err error) {
	if encrypted, err = Encrypted(path); err != nil || !encrypted {
		return nil, encrypted, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, true, fmt.Errorf("snapshot: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, true, fmt.Errorf("snapshot: %w", err)
	}
	if encrypted, err = begins(file); err == nil && !encrypted {
		err = hashlist.ErrChanged // it was replaced in between; who asks again sees the new one
	}
	if err != nil {
		return nil, true, err
	}
	data, err = decrypt(file, info.Size(), identities)
	return data, true, err
}

// decrypt decrypts a file of that size on all cores.
func decrypt(in io.ReaderAt, size int64, identities []age.Identity) ([]byte, error) {
	if len(identities) == 0 {
		return nil, fmt.Errorf("%w: no identity is named", ErrEncrypted)
	}
	plain, length, err := age.DecryptReaderAt(in, size, identities...)
	var foreign *age.NoIdentityMatchError
	switch {
	case errors.As(err, &foreign):
		return nil, ErrEncrypted
	case err != nil: // the last piece of what is cut off is just a wrong one
		return nil, fmt.Errorf("%w: its encryption: it was cut off or altered", hashlist.ErrChecksum)
	case length > maxContent:
		return nil, fmt.Errorf("%w: %d bytes encrypted, at most %d are decrypted", hashlist.ErrCorrupt, length, int64(maxContent))
	}
	const part = 4 << 20 // a multiple of the 64 KiB that are authenticated at a time
	data := make([]byte, length)
	settle(data)
	parts := (length + part - 1) / part
	var next atomic.Int64
	var failed atomic.Bool
	var workers sync.WaitGroup
	for range min(int64(runtime.GOMAXPROCS(0)), parts) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < parts && !failed.Load(); i = next.Add(1) - 1 {
				p := data[i*part : min((i+1)*part, length)]
				if n, err := plain.ReadAt(p, i*part); n < len(p) || err != nil && err != io.EOF {
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	if failed.Load() {
		return nil, fmt.Errorf("%w: its encryption: it was altered, or cannot be read", hashlist.ErrChecksum)
	}
	return data, nil
}

// ReadIdentities reads files of age identities (AGE-SECRET-KEY-1…, one a line). One that others than its owner can read
// is refused.
func ReadIdentities(paths ...string) ([]age.Identity, error) {
	var all []age.Identity
	for _, path := range paths {
		text, err := readSecret(path)
		if err != nil {
			return nil, err
		}
		identities, err := age.ParseIdentities(bytes.NewReader(text))
		if err != nil { // it may quote the line, which is the secret
			return nil, fmt.Errorf("seal: %s: %w: not a file of age identities", path, ErrKeyFile)
		}
		all = append(all, identities...)
	}
	return all, nil
}

// ParseRecipients reads the public keys of age identities (age1…).
func ParseRecipients(texts ...string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, text := range texts {
		recipient, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("seal: recipient %q: want the public key of an age identity: age1…", text)
		}
		all = append(all, recipient)
	}
	return all, nil
}

// CanDecrypt returns an error unless one of the identities decrypts what is encrypted to the recipients. It tries it. Where
// there are no recipients, nothing is encrypted.
func CanDecrypt(recipients []age.Recipient, identities []age.Identity) error {
	if len(recipients) == 0 {
		return nil
	}
	if len(identities) == 0 {
		return fmt.Errorf("%w: no identity is named", ErrEncrypted)
	}
	var text bytes.Buffer
	encrypted, err := age.Encrypt(&text, recipients...)
	if err == nil {
		err = encrypted.Close()
	}
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if _, err := age.Decrypt(&text, identities...); err != nil {
		return ErrEncrypted
	}
	return nil
}
