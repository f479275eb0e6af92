package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// checkService returns what would stop a service: the files and folders that it reads or makes at its start. It opens
// files to read them, and makes nothing.
func checkService(c *config.Config) []config.Warning {
	var found []config.Warning
	trouble := func(where string, err error) {
		if err != nil {
			found = append(found, config.Warning{Where: where, Text: err.Error(), Fatal: true})
		}
	}
	if c.Serve.Tokens != "" {
		_, err := hook.LoadTokens(c.Serve.Tokens)
		trouble("serve.tokens", err)
	}
	for i, l := range c.Listeners {
		where := fmt.Sprintf("listeners[%d] %q: ", i, l.Name)
		if network, path := l.Network(); network == "unix" {
			trouble(where+"address", folderOf(path))
		}
		if l.Certificate != "" {
			trouble(where+"certificate", checkCertificate(l))
		}
		for i, folder := range l.Folders {
			trouble(fmt.Sprintf("%sfolders[%d]", where, i), isFolder(folder))
		}
		if l.Dialect == config.DialectTusd {
			trouble(where+"store", isFolder(l.Store))
			trouble(where+"held", private(l.Held, folderOf(l.Held)))
		}
	}
	if a := c.Audit; a != nil {
		if a.Key != "" {
			_, err := audit.ReadKey(a.Key)
			trouble("audit.key", err)
		}
		trouble("audit.directory", canMake(a.Directory))
		if a.HeadFile != "" {
			trouble("audit.head_file", folderOf(a.HeadFile))
		}
	}
	if r := c.Review; r != nil {
		trouble("review.file", private(r.File, folderOf(r.File)))
		if r.Callback != "" {
			trouble("review.callback_secret", checkSecret(r.CallbackSecret))
		}
	}
	if q := c.Quarantine; q != nil {
		for i, recipient := range q.Recipients {
			_, err := age.ParseX25519Recipient(recipient)
			trouble(fmt.Sprintf("quarantine.recipients[%d]", i), err)
		}
		trouble("quarantine.directory", private(q.Directory, canMake(q.Directory)))
	}
	if b := c.Breaker; b != nil && b.File != "" {
		trouble("breaker.file", folderOf(b.File))
	}
	return found
}

// isFolder says what is wrong with a folder that has to be there.
func isFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: not a folder", path)
	}
	return err
}

// folderOf says what is wrong with the folder of a file that is going to be made.
func folderOf(path string) error { return isFolder(filepath.Dir(path)) }

// canMake says why a folder could not be made with those above it: the nearest that is there is none.
func canMake(path string) error {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		err := isFolder(at)
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return err
		}
	}
}

// private adds to what was found of a file or folder that others have access to it, if it is there.
func private(path string, err error) error {
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: its mode is %04o: others have access; chmod go= it", path, info.Mode().Perm())
	}
	return nil
}

func checkSecret(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	case info.Size() < review.MinSecret:
		return fmt.Errorf("%s: a secret of %d bytes: want %d at least", path, info.Size(), review.MinSecret)
	}
	return private(path, readable(path))
}

func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

func checkCertificate(l config.Listener) error {
	if _, err := tls.LoadX509KeyPair(l.Certificate, l.Key); err != nil {
		return err
	}
	if info, err := os.Stat(l.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("%s: its mode is %04o: everybody can read it; chmod 600 it", l.Key, info.Mode().Perm())
	}
	if l.ClientCA == "" {
		return nil
	}
	text, err := os.ReadFile(l.ClientCA)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s: no certificate in it", l.ClientCA)
	}
	return nil
}
