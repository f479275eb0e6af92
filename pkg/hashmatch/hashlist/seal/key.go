package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// ErrKeyFile is wrapped by the refusal of a file of keys.
var ErrKeyFile = errors.New("key file refused")

// Key signs snapshots. It is safe for concurrent use.
type Key struct{ private ed25519.PrivateKey }

// NewKey returns a new key.
func NewKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Key{private}, nil
}

// Public returns the public key.
func (k *Key) Public() PublicKey { return PublicKey(k.private.Public().(ed25519.PublicKey)) }

// PublicKey is an Ed25519 public key. It is comparable.
type PublicKey [ed25519.PublicKeySize]byte

// ID names the key for people: the first 16 hexadecimal digits of its SHA-256.
func (p PublicKey) ID() string {
	sum := sha256.Sum256(p[:])
	return hex.EncodeToString(sum[:8])
}

// Write writes the key to a new file that only its owner can read (PEM, PKCS #8). It overwrites none.
func (k *Key) Write(path string) error {
	body, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return WriteNew(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: body}))
}

// ReadKey reads a file that Write wrote. One that others than its owner can read or write is refused.
func ReadKey(path string) (*Key, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("seal: %s: %w: no PEM block of a private key in it", path, ErrKeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("seal: %s: %w: not PKCS #8", path, ErrKeyFile)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("seal: %s: %w: not an Ed25519 key", path, ErrKeyFile)
	}
	return &Key{private}, nil
}

// WriteNew writes a file that must not be there yet, and forces it to disk.
func WriteNew(path string, mode fs.FileMode, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("seal: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// readSecret reads a file that only its owner may be able to read.
func readSecret(path string) ([]byte, error) {
	text, info, err := readSmall(path)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("seal: %s: %w: others than its owner can read or write it: its mode must be 0600", path, ErrKeyFile)
	}
	return text, err
}

// maxKeyFile is the length of the longest key file.
const maxKeyFile = 64 << 10

func readSmall(path string) ([]byte, fs.FileInfo, error) {
	// Before it is opened: opening a named pipe can wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("seal: %s: %w: not a regular file", path, ErrKeyFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, nil, fmt.Errorf("seal: %s: %w: longer than %d bytes", path, ErrKeyFile, maxKeyFile)
	}
	return text, info, nil
}
