package config

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

func TestExchangeErrors(t *testing.T) {
	const lists = "lists: [{name: a, file: a.hml}, {name: b, file: b.hml}]\nexchanges:\n"
	const good = "  - {list: a, dialect: ncmec, address: \"https://exchange.example\", credentials: c}\n"
	if c := mustParse(t, lists+good); c.Exchanges[0].List != "a" {
		t.Errorf("%+v", c.Exchanges)
	}
	for text, want := range map[string]string{
		"  - {dialect: ncmec}":           "exchanges[0]: list: must be stated",
		"  - {list: c, dialect: ncmec}":  `3:12: exchanges[0]: list: "c": lists has none of this name`,
		good + good:                      `exchanges[1]: list: "a": another exchange fills this list`,
		"  - {list: a, dialect: gopher}": `exchanges[0]: dialect: "gopher": want one of`,
		"  - {list: a, dialect: ncmec}":  "exchanges[0]: credentials: must be stated",
		strings.Replace(good, "c}", "c, credentials_environment: C}", 1):              "credentials: both a file and variables",
		strings.Replace(good, "credentials: c", "credentials_environment: a-b", 1):    "credentials_environment: want the beginning",
		strings.Replace(good, "https", "http", 1):                                     "exchanges[0]: address: http://exchange.example: want https",
		strings.Replace(good, "ncmec", "threatexchange", 1):                           "exchanges[0]: group: threatexchange needs one",
		strings.Replace(good, "c}", "c, format: csv}", 1):                             "exchanges[0]: format: format and part belong to the dialect file",
		strings.Replace(good, "c}", "c, interval: 1000h}", 1):                         "exchanges[0]: interval: 1000h: want 0s to 720h",
		strings.Replace(good, "c}", "c, password: secret}", 1):                        `exchanges[0]: unknown key "password"`,
		"  - {list: a, dialect: file, address: \"https://a.example/\", format: vics}": "exchanges[0]: format: vics needs a mapping",
		"  - {list: a, dialect: file, address: \"https://a.example/\", format: gif}":  `exchanges[0]: format: unknown list format "gif"`,
	} {
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		_, err := Parse([]byte(lists + text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestSyncers syncs a list that is large enough to have its index with it, and loads what came of it.
func TestSyncers(t *testing.T) {
	server, err := fake.New(fake.Config{Dialect: "file", Seed: 1, Entries: 1200 + lookup.ImageFrom*10/9, Token: "synthetic"})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	folder := t.TempDir()
	path := filepath.Join(folder, "hashmatch.yaml")
	text := surface + "lists: [{name: a, file: a.hml}, {name: b, file: b.hml}]\nexchanges:\n" +
		"  - {list: a, dialect: file, address: \"" + listener.URL + "\", credentials: credentials}\n"
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(filepath.Join(folder, "credentials"), []byte("token=synthetic\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Syncers(SyncOptions{List: "b"}); err == nil {
		t.Error("a list that no exchange fills has one")
	}
	asked := 0
	syncers, err := c.Syncers(SyncOptions{Accept: func(list string, old, next *hashlist.List) error {
		if asked++; list != "a" || old != nil || next.Len() < lookup.ImageFrom {
			t.Errorf("%q", list)
		}
		return nil
	}})
	if err != nil || len(syncers) != 1 {
		t.Fatalf("%d, %v", len(syncers), err)
	}
	if _, err := syncers[0].Sync(t.Context()); err != nil || asked != 1 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	snapshot, err := hashlist.Map(filepath.Join(folder, "a.hml"))
	if err != nil {
		t.Fatal(err)
	}
	served, err := lookup.ServeSnapshot(t.Context(), "a", snapshot)
	if err != nil || served.Built() != "" {
		t.Errorf("%v, %v", served.Built(), err)
	}
	if checkpoint, err := exchange.ReadCheckpoint(snapshot); err != nil || checkpoint.Synced.IsZero() {
		t.Errorf("%+v, %v", checkpoint, err)
	}
	if different := fake.Differences(snapshot.List(), server.Truth()); different != nil {
		t.Errorf("%d differences", len(different))
	}
}
