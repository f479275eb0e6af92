package config

import (
	"errors"
	"fmt"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// Keys says with which keys the snapshots of the operator's lists are written and read. By which keys a list is judged
// stands with the list (List.Verify).
type Keys struct {
	Sign       string   `yaml:"sign"`       // the file of the private key; "": nothing is signed
	Recipients []string `yaml:"recipients"` // age1…; none: nothing is encrypted
	Identities []string `yaml:"identities"` // files of the age identities that decrypt
	Seen       string   `yaml:"seen"`       // the folder of the serials, see seal.Seen
}

// checkKeys checks keys, and that what they are needed for is stated.
func (c *Config) checkKeys() *Error {
	keys := c.Keys
	if keys == nil {
		keys = &Keys{}
	}
	for i := range keys.Recipients {
		if _, err := seal.ParseRecipients(keys.Recipients[i]); err != nil {
			return c.failAt(fmt.Sprintf("keys.recipients[%d]", i), "", "want the public key of an age identity: age1…")
		}
	}
	for i, l := range c.Lists {
		for j, file := range l.Verify {
			if file == "" {
				return c.failAt(fmt.Sprintf("lists[%d].verify[%d]", i, j), l.Name, "must be stated")
			}
		}
		if len(l.Verify) > 0 && keys.Seen == "" {
			return c.failAt("keys.seen", "", "must be stated, since list %q is verified: the folder in which the serials of snapshots are remembered", l.Name)
		}
	}
	return nil
}

// checkSealing warns of keys that cannot be used, and of snapshots that nobody signs or encrypts.
func (c *Config) checkSealing(k *checker) {
	for i, l := range c.Lists {
		if len(l.Verify) == 0 {
			continue
		}
		path := fmt.Sprintf("lists[%d].verify", i)
		if _, err := seal.ReadTrust(l.Verify...); err != nil {
			k.fatal(path, l.Name, "%v", err)
		}
	}
	for i, e := range c.Exchanges {
		l, err := c.List(e.List)
		if err == nil {
			_, err = c.sealing(l)
		}
		if err != nil {
			k.fatal(fmt.Sprintf("exchanges[%d]", i), e.List, "%v", err)
		}
	}
	if c.Keys == nil {
		return
	}
	if c.Keys.Sign != "" {
		if _, err := seal.ReadKey(c.Keys.Sign); err != nil {
			k.fatal("keys.sign", "", "%v", err)
		}
	}
	if _, err := seal.ReadIdentities(c.Keys.Identities...); err != nil {
		k.fatal("keys.identities", "", "%v", err)
	}
}

// Writing returns how the snapshot of the list of that name is to be written, as far as the configuration states it. The
// caller fills in Previous.
func (c *Config) Writing(name string, now time.Time) (seal.Writing, error) {
	w := seal.Writing{List: name, Now: now}
	if c.Keys == nil {
		return w, nil
	}
	var err error
	if c.Keys.Sign != "" {
		if w.Key, err = seal.ReadKey(c.Keys.Sign); err != nil {
			return w, fmt.Errorf("keys.sign: %w", err)
		}
	}
	if w.Recipients, err = seal.ParseRecipients(c.Keys.Recipients...); err != nil {
		return w, fmt.Errorf("keys.recipients: %w", err)
	}
	return w, nil
}

// Seen returns where the serials of lists are remembered; false if it is not stated.
func (c *Config) Seen() (seal.Seen, bool) {
	if c.Keys == nil || c.Keys.Seen == "" {
		return seal.Seen{}, false
	}
	return seal.Seen{Folder: c.Keys.Seen}, true
}

// Reading returns what is wanted of the snapshot of a list, with what is remembered of it.
func (c *Config) Reading(l List, now time.Time) (r seal.Reading, err error) {
	if c.Keys != nil {
		if r.Identities, err = seal.ReadIdentities(c.Keys.Identities...); err != nil {
			return r, fmt.Errorf("keys.identities: %w", err)
		}
	}
	if len(l.Verify) == 0 {
		return r, nil
	}
	r.List, r.Now = l.Name, now
	if r.Trust, err = seal.ReadTrust(l.Verify...); err != nil {
		return r, fmt.Errorf("verify: %w", err)
	}
	seen, ok := c.Seen()
	if !ok {
		return r, errors.New("verify: keys.seen is not stated")
	}
	r.Last, err = seen.Last(l.Name)
	return r, err
}

// notSnapshot is what is wrong with a list that is none, and must be a signed one.
func notSnapshot(r seal.Reading, err error) error {
	if len(r.Trust) > 0 && errors.Is(err, hashlist.ErrNotSnapshot) {
		return fmt.Errorf("%w: it is no snapshot", seal.ErrUnsigned)
	}
	return err
}

// record remembers the serials of lists that are put in force.
func (c *Config) record(files map[string]loaded) error {
	for _, l := range c.Lists {
		if len(l.Verify) == 0 || files[l.Name].aside != nil { // what serves in its place was recorded when it was put in force
			continue
		}
		seen, _ := c.Seen()
		if err := seen.Record(files[l.Name].signed); err != nil {
			return err
		}
	}
	return nil
}
