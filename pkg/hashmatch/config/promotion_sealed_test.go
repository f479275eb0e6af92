package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// A list that is signed and encrypted is rolled back, although its serial is then lower than one that was in force, and
// comes back; what is kept of it is encrypted too; and its key can still be revoked.
func TestRollbackOfASealedList(t *testing.T) {
	g := newGuarded(t, "keys: {seen: seen, identities: [identity.txt]}\n")
	identity, err := age.GenerateX25519Identity()
	g.must(err)
	key, err := seal.NewKey()
	g.must(err)
	text, err := os.ReadFile(filepath.Join(g.dir, "c.yaml"))
	g.must(err)
	for name, content := range map[string]string{
		"identity.txt": identity.String() + "\n",
		"c.yaml":       strings.Replace(string(text), "{name: demo, file: list.csv}", "{name: demo, file: list.csv, verify: [lists.pub]}", 1),
	} {
		g.must(os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600))
	}
	trust := seal.Trust{{Key: key.Public()}}
	g.must(trust.Write(filepath.Join(g.dir, "lists.pub")))
	g.reread()
	serial := uint64(0)
	put := func(from, to int) {
		t.Helper()
		g.put(false, lines(from, to))
		list, err := ReadList(g.file(), "demo")
		g.must(err)
		w := seal.Writing{Key: key, List: "demo", Previous: serial, Now: time.Now(), Recipients: []age.Recipient{identity.Recipient()}}
		g.must(seal.WriteFile(g.file(), list, w))
		reading, err := g.config.Reading(g.config.Lists[0], time.Now())
		g.must(err)
		_, statement, err := seal.Open(g.file(), reading)
		g.must(err)
		serial = statement.Serial
	}
	put(0, 30)
	g.must(g.start())
	first := g.engine.Lists().Lists()[0].List().Revision()
	put(0, 35)
	g.must(g.reload())
	g.want("the second", []int{0, 34}, true, true)
	g.decide(promotion.Rollback, first)
	g.must(g.reload())
	g.want("rolled back", []int{0, 34}, true, false)
	g.must(g.start())
	g.want("rolled back, after a restart", []int{0, 34}, true, false)
	kept, err := os.ReadFile(g.store().Path(first))
	if err != nil || !bytes.HasPrefix(kept, []byte("age-encryption.org/")) {
		t.Errorf("what is kept is not encrypted: %v, %.20q", err, kept)
	}
	g.decide(promotion.Accept, g.engine.SetAside()[0].Revision)
	g.must(g.reload())
	g.want("accepted", []int{0, 34}, true, true)

	put(0, 3)
	g.must(g.reload())
	if g.aside() != "shrink" {
		t.Errorf("set aside for %q", g.aside())
	}
	g.want("set aside", []int{0, 34}, true, true)

	revoked, ok := trust.Revoke(key.Public().ID(), time.Now())
	if !ok {
		t.Fatal("no such key")
	}
	g.must(revoked.Write(filepath.Join(g.dir, "lists.pub")))
	if err := g.reload(); err == nil {
		t.Error("a list whose key is revoked is served anew")
	}
	if err := g.start(); err == nil {
		t.Error("after a restart, too")
	}
}
