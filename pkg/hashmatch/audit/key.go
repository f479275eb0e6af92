package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// GenerateKey returns a new key pair for heads.
func GenerateKey() (ed25519.PublicKey, ed25519.PrivateKey, error) {
	return ed25519.GenerateKey(rand.Reader)
}

// PublicKeySuffix is what the name of a public key file has behind that of its private key file.
const PublicKeySuffix = ".pub"

// WriteKeyFiles writes the private key to a new file that only its owner can read (PEM, PKCS #8), and the public key
// to a new file beside it (PEM, PKIX), whose name ends in PublicKeySuffix. It overwrites neither.
func WriteKeyFiles(path string, key ed25519.PrivateKey) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := writeNew(path, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: private}); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := writeNew(path+PublicKeySuffix, 0o644, &pem.Block{Type: "PUBLIC KEY", Bytes: public}); err != nil {
		return fmt.Errorf("audit: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

func writeNew(path string, mode os.FileMode, block *pem.Block) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(file, block)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// ErrKey is wrapped by the refusal of a key file.
var ErrKey = errors.New("key refused")

// ReadKey reads a private key file. One that others than its owner can read or write is refused.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	text, info, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	if othersCanRead(info) {
		return nil, fmt.Errorf("audit: %s: %w: others than its owner can read or write it: its mode must be 0600", path, ErrKey)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("audit: %s: %w: no PEM block of a private key in it", path, ErrKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("audit: %s: %w: not PKCS #8", path, ErrKey)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("audit: %s: %w: not an Ed25519 key", path, ErrKey)
	}
	return key, nil
}

// ReadPublicKeys reads a file of one public key or more, one PEM block each: of a log whose key was changed, all that
// it ever had.
func ReadPublicKeys(path string) ([]ed25519.PublicKey, error) {
	text, _, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("audit: %s: %w: a PEM block that is no public key", path, ErrKey)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("audit: %s: %w: not an Ed25519 public key", path, ErrKey)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("audit: %s: %w: no PEM block of a public key in it", path, ErrKey)
	}
	return keys, nil
}

// maxKeyFile is the length of the longest key file.
const maxKeyFile = 64 << 10

func readKeyFile(path string) ([]byte, os.FileInfo, error) {
	// Before it is opened: opening a named pipe can wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("audit: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("audit: %s: %w: not a regular file", path, ErrKey)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("audit: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("audit: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("audit: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, nil, fmt.Errorf("audit: %s: %w: longer than %d bytes", path, ErrKey, maxKeyFile)
	}
	return text, info, nil
}
