package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// sealedFolder is a folder with a configuration whose list "demo" must be signed.
type sealedFolder struct {
	t     *testing.T
	path  string
	key   *seal.Key
	other *seal.Key
}

func newSealedFolder(t *testing.T) *sealedFolder {
	f := &sealedFolder{t: t, path: t.TempDir()}
	var err error
	if f.key, err = seal.NewKey(); err == nil {
		f.other, err = seal.NewKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f.write("id.txt", id.String()+"\n")
	f.trust(seal.Accepted{Key: f.key.Public()})
	f.write("h.yaml", `surfaces:
  - {name: s, visibility: public, encrypted: false, not_image: hold}
lists:
  - {name: demo, file: demo.hml, verify: [lists.pub]}
keys: {identities: [id.txt], seen: seen, recipients: [`+id.Recipient().String()+`]}
`)
	return f
}

func (f *sealedFolder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *sealedFolder) trust(keys ...seal.Accepted) {
	f.t.Helper()
	f.write("lists.pub", string(seal.Trust(keys).Text()))
}

func (f *sealedFolder) load() *Config {
	f.t.Helper()
	c, err := Load(filepath.Join(f.path, "h.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// snapshot returns the bytes of a snapshot of n entries with that serial.
func (f *sealedFolder) snapshot(n int, serial uint64, w seal.Writing) string {
	f.t.Helper()
	var entries []hashmatch.Entry
	for i := range n {
		h := hashmatch.Hash{Kind: hashmatch.MD5, Bits: [32]byte{0: byte(i), 15: 1}}
		entries = append(entries, hashmatch.Entry{Key: hashmatch.EntryKey{ID: string(rune('a' + i))}, Signatures: []hashmatch.Signature{{Hash: h}}})
	}
	list, err := hashlist.New(slices.Values(entries))
	if err != nil {
		f.t.Fatal(err)
	}
	path := filepath.Join(f.t.TempDir(), "one")
	w.Now = time.UnixMicro(int64(serial))
	if err := seal.WriteFile(path, list, w); err != nil {
		f.t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// Whatever is wrong with a snapshot, it is refused for that at the start, and at a reload the one before goes on serving;
// what is right is put in force again afterwards.
func TestSealedAtStartAndReload(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		f := newSealedFolder(t)
		base := uint64(time.Now().Add(-time.Hour).UnixMicro())
		good := seal.Writing{Key: f.key, List: "demo"}
		if encrypted {
			w, err := f.load().Writing("demo", time.Now())
			if err != nil || len(w.Recipients) != 1 {
				t.Fatal(err)
			}
			good.Recipients = w.Recipients
		}
		foreign, other := good, good
		foreign.Key, other.List = f.other, "other"
		sound := f.snapshot(3, base, good)
		altered := []byte(sound)
		altered[len(altered)-1] ^= 1
		bad := map[string]struct {
			text string
			want error
		}{
			"foreign":      {f.snapshot(4, base+1, foreign), seal.ErrForeign},
			"another list": {f.snapshot(4, base+1, other), seal.ErrOtherList},
			"unsigned":     {f.snapshot(4, base+1, seal.Writing{}), seal.ErrUnsigned},
			"text":         {"entry,kind,hash,list,label,status\na,md5,00112233445566778899aabbccddeeff,,,\n", seal.ErrUnsigned},
			"altered":      {string(altered), nil},
			"truncated":    {sound[:len(sound)-3], nil},
			"future":       {f.snapshot(4, base+uint64(48*time.Hour.Microseconds()), good), seal.ErrFuture},
			"empty":        {"", nil},
		}
		for what, b := range bad {
			f.write("demo.hml", b.text)
			e, err := f.load().Open(t.Context(), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = e.LoadLists(t.Context())
			if err == nil || b.want != nil && !errors.Is(err, b.want) || !strings.Contains(err.Error(), `list "demo"`) {
				t.Errorf("encrypted %v, %s, at the start: %v", encrypted, what, err)
			}
			if e.Lists() != nil {
				t.Errorf("%s is served", what)
			}
			_ = e.Close()
		}
		bad["replayed"] = struct {
			text string
			want error
		}{f.snapshot(2, base-1, good), seal.ErrReplayed}

		f.write("demo.hml", sound)
		e, err := f.load().Open(t.Context(), OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.LoadLists(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries := func() int { return e.Lists().Lists()[0].List().Len() }
		for what, b := range bad {
			f.write("demo.hml", b.text)
			if err := e.Reload(t.Context(), f.load()); err == nil || b.want != nil && !errors.Is(err, b.want) {
				t.Errorf("encrypted %v, %s, at a reload: %v", encrypted, what, err)
			}
			if entries() != 3 {
				t.Errorf("after %s: %d entries", what, entries())
			}
		}
		f.write("demo.hml", f.snapshot(5, base+2, good))
		if err := e.Reload(t.Context(), f.load()); err != nil || entries() != 5 {
			t.Fatal(err, entries())
		}
		// What was in force then is older now, in another process too.
		f.write("demo.hml", sound)
		for range 2 {
			again, err := f.load().Open(t.Context(), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.LoadLists(t.Context()); !errors.Is(err, seal.ErrReplayed) {
				t.Errorf("replayed after a restart: %v", err)
			}
			_ = again.Close()
		}
		if err := e.Reload(t.Context(), f.load()); !errors.Is(err, seal.ErrReplayed) || entries() != 5 {
			t.Errorf("replayed: %v, %d entries", err, entries())
		}
		// An explicit roll-back, and the one that was rolled back after it.
		seen, _ := f.load().Seen()
		reading, err := f.load().Reading(f.load().Lists[0], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		reading.Last = seal.Serial{}
		_, statement, err := seal.Open(filepath.Join(f.path, "demo.hml"), reading)
		if err == nil {
			err = seen.Lower(statement)
		}
		if err == nil {
			err = e.Reload(t.Context(), f.load())
		}
		if err != nil || entries() != 3 {
			t.Errorf("rolled back: %v, %d entries", err, entries())
		}
	}
}

// A key that is revoked is so at the next reload, although the list's file is the same, and a rotated one is not.
func TestKeysChangeAtReload(t *testing.T) {
	f := newSealedFolder(t)
	base := uint64(time.Now().Add(-time.Hour).UnixMicro())
	f.write("demo.hml", f.snapshot(3, base, seal.Writing{Key: f.key, List: "demo"}))
	e, err := f.load().Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.LoadLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	rotated, err := seal.Trust{{Key: f.key.Public()}}.Rotate(f.other.Public(), time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	f.trust(rotated...)
	if err := e.Reload(t.Context(), f.load()); err != nil {
		t.Error("rotated:", err)
	}
	revoked, _ := rotated.Revoke(f.key.Public().ID(), time.Now())
	f.trust(revoked...)
	if err := e.Reload(t.Context(), f.load()); !errors.Is(err, seal.ErrRevoked) || e.Lists().Lists()[0].List().Len() != 3 {
		t.Error("revoked:", err)
	}
	f.write("demo.hml", f.snapshot(4, base+uint64(2*time.Hour.Microseconds()), seal.Writing{Key: f.other, List: "demo"}))
	if err := e.Reload(t.Context(), f.load()); err != nil || e.Lists().Lists()[0].List().Len() != 4 {
		t.Error("signed anew:", err)
	}
}

// If what is in force cannot be remembered, it is not put in force: an older one could come after it.
func TestSerialsMustBeKept(t *testing.T) {
	f := newSealedFolder(t)
	f.write("demo.hml", f.snapshot(3, uint64(time.Now().UnixMicro()), seal.Writing{Key: f.key, List: "demo"}))
	f.write("seen", "not a folder")
	e, err := f.load().Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.LoadLists(t.Context()); err == nil || e.Lists() != nil {
		t.Error("put in force:", err)
	}
}

func TestKeysAreChecked(t *testing.T) {
	surface := "surfaces:\n  - {name: s, visibility: public, encrypted: false, not_image: hold}\nlists:\n"
	for text, want := range map[string]string{
		"  - {name: a, file: f, verify: [k]}\n":                         `keys.seen: must be stated, since list "a" is verified`,
		"  - {name: a, file: f, verify: [\"\"]}\n":                      `lists[0] "a": verify[0]: must be stated`,
		"  - {name: a, file: f}\nkeys: {recipients: [age1x]}\n":         `keys.recipients[0]: want the public key`,
		"  - {name: a, file: f, verify: [k]}\nkeys: {recipients: []}\n": `keys.seen: must be stated`,
		"  - {name: a, file: f}\nkeys: {identity: x}\n":                 `unknown key "identity"`,
	} {
		if _, err := Parse([]byte(surface + text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	f := newSealedFolder(t)
	f.trust()
	if err := os.Chmod(filepath.Join(f.path, "id.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	warnings := f.load().Check()
	for _, want := range []string{"no key in it", "its mode must be 0600"} {
		if !slices.ContainsFunc(warnings, func(w Warning) bool { return w.Fatal && strings.Contains(w.Text, want) }) {
			t.Errorf("no warning %q in %v", want, warnings)
		}
	}
}
