package seal

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Write(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	again, err := ReadKey(path)
	if err != nil || again.Public() != key.Public() {
		t.Fatal(err)
	}
	if err := key.Write(path); err == nil {
		t.Error("a key is overwritten")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(path); !errors.Is(err, ErrKeyFile) {
		t.Error("readable for others:", err)
	}
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(bad); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := ReadIdentities(bad); !errors.Is(err, ErrKeyFile) || text != "" && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("identities of %q: %v", text, err)
		}
	}
	if _, err := ReadKey(t.TempDir()); !errors.Is(err, ErrKeyFile) {
		t.Error("a folder:", err)
	}
}

func TestTrustText(t *testing.T) {
	want := Trust{
		{Key: newKey(1).Public()},
		{Key: newKey(2).Public(), From: now, Until: now.Add(time.Hour)},
		{Key: newKey(3).Public(), Revoked: now},
	}
	got, err := ParseTrust(append([]byte("# keys\n\n"), want.Text()...))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
	line := want[0].String()
	for _, bad := range []string{
		"", "# none\n", "ed25519", "ed25519 AAAA", "rsa " + line[8:], line + " until", line + " until yesterday", line + " until 2026-01-01",
		line + " never 2026-01-01T00:00:00Z", line + " from 2026-01-01T00:00:00Z from 2026-01-01T00:00:00Z", line + " from 0001-01-01T00:00:00Z",
	} {
		if _, err := ParseTrust([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRotateAndRevoke(t *testing.T) {
	one, two := newKey(1), newKey(2)
	path := filepath.Join(t.TempDir(), "lists.pub")
	if err := (Trust{{Key: one.Public()}}).Write(path); err != nil {
		t.Fatal(err)
	}
	trust, err := ReadTrust(path)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := trust.Rotate(two.Public(), now, time.Hour)
	if err != nil || !trust[0].Until.IsZero() {
		t.Fatal(err, "or it is changed in place")
	}
	judge := func(trust Trust, k *Key, when time.Time) error {
		t.Helper()
		w := writing(k)
		w.Now = when
		r := reading()
		r.Trust, r.Now = trust, when
		_, _, err := Open(file(t, list(t, 4), w), r)
		return err
	}
	for _, test := range []struct {
		trust Trust
		key   *Key
		after time.Duration
		want  error
	}{
		{trust, one, 0, nil}, {trust, two, 0, ErrForeign},
		{rotated, one, 0, nil}, {rotated, two, 0, nil}, {rotated, one, time.Hour, nil}, {rotated, two, time.Hour, nil},
		{rotated, one, 2 * time.Hour, ErrExpired}, {rotated, two, 2 * time.Hour, nil}, {rotated, two, -time.Hour, ErrExpired},
	} {
		if err := judge(test.trust, test.key, now.Add(test.after)); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if _, err := rotated.Rotate(one.Public(), now, time.Hour); err == nil {
		t.Error("a retired key comes back")
	}
	revoked, ok := rotated.Revoke(one.Public().ID(), now)
	if !ok {
		t.Fatal("not found")
	}
	// Another file that still has the key without a word does not bring it back.
	for _, trust := range []Trust{revoked, append(Trust{{Key: one.Public()}}, revoked...), append(revoked, Accepted{Key: one.Public()})} {
		if err := judge(trust, one, now.Add(-time.Hour)); !errors.Is(err, ErrRevoked) {
			t.Error("revoked, signed before:", err)
		}
		if err := judge(trust, one, now); !errors.Is(err, ErrRevoked) {
			t.Error("revoked:", err)
		}
		if err := judge(trust, two, now); err != nil {
			t.Error(err)
		}
	}
	if again, _ := revoked.Revoke(one.Public().ID(), now.Add(time.Hour)); !reflect.DeepEqual(again, revoked) {
		t.Error("revoked twice, the time is another")
	}
	if _, ok := revoked.Revoke("0000000000000000", now); ok {
		t.Error("a key that is not there is revoked")
	}
}

func TestSeen(t *testing.T) {
	seen := Seen{filepath.Join(t.TempDir(), "seen")}
	if last, err := seen.Last("a"); err != nil || last != (Serial{}) {
		t.Fatal(last, err)
	}
	at := func(list string, serial uint64) Statement {
		return Statement{List: list, Serial: serial, Revision: list0(t, int(serial)), Signed: now, Key: "0123456789abcdef"}
	}
	for _, step := range []struct {
		list   string
		serial uint64
		want   uint64
		refuse bool
	}{{"a", 5, 5, false}, {"a", 5, 5, false}, {"a", 7, 7, false}, {"a", 6, 7, true}, {"b/../c", 1, 1, false}, {"a", 8, 8, false}} {
		err := seen.Record(at(step.list, step.serial))
		if errors.Is(err, ErrReplayed) != step.refuse || err != nil && !step.refuse {
			t.Errorf("%+v: %v", step, err)
		}
		if last, err := seen.Last(step.list); err != nil || last.Serial != step.want || last.List != step.list {
			t.Errorf("%+v: remembered %+v, %v", step, last, err)
		}
	}
	if err := seen.Lower(at("a", 6)); err != nil {
		t.Fatal(err)
	}
	if err := seen.Record(at("a", 7)); err != nil {
		t.Error("after a roll-back:", err)
	}
	// What was damaged or put in the place of another does not count as nothing.
	other, err := os.ReadFile(seen.path("b/../c"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{nil, []byte("{}"), other, []byte("nonsense")} {
		if err := os.WriteFile(seen.path("a"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seen.Last("a"); err == nil {
			t.Errorf("%q counts as nothing", text)
		}
		if err := seen.Record(at("a", 9)); err == nil {
			t.Errorf("%q is overwritten", text)
		}
	}
}

func list0(t *testing.T, n int) [32]byte { return list(t, n).Revision() }

// FuzzTrust: a text is refused, or is read to what its text form reads to.
func FuzzTrust(f *testing.F) {
	f.Add([]byte(Accepted{Key: newKey(1).Public()}.String()))
	f.Add(Trust{{Key: newKey(2).Public(), From: now, Until: now.Add(time.Hour), Revoked: now}}.Text())
	f.Add([]byte("# nothing\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		trust, err := ParseTrust(text)
		if err != nil {
			return
		}
		again, err := ParseTrust(trust.Text())
		if err != nil || !reflect.DeepEqual(again, trust) {
			t.Fatalf("%v\n%v\n%v", err, trust, again)
		}
	})
}
