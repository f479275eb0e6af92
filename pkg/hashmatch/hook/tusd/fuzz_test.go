package tusd

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What the parser takes means the same to it as to anybody who reads JSON member by member, and only an upload of the
// store itself passes the check.
func FuzzEvent(f *testing.F) {
	for _, text := range []string{
		`{"Type":"pre-finish","Event":{"Upload":{"ID":"a","Size":5,"SizeIsDeferred":false,"Offset":5,"MetaData":{"filename":"x"},"IsPartial":false,"IsFinal":false,"PartialUploads":null,"Storage":{"InfoPath":"/store/a.info","Path":"/store/a","Type":"filestore"}},"HTTPRequest":{"Method":"PATCH","URI":"/files/a","RemoteAddr":"","Header":{}}}}`,
		`{"Type":"pre-create","Event":{"Upload":{"ID":"","Size":5,"Storage":null}}}`,
		`{"Type":"pre-finish","Event":{"Upload":{"ID":"a","Storage":{"Bucket":"b","Key":"k"}}}}`,
		`{"Type":"a","Type":"b","Event":{"Upload":{}}}`, `{"Type":null}`, `{`, ``, `[]`, `{"Event":{"Upload":{"ID":"\u0000"}}}`,
		`{"Type":"pre-finish","Event":{"Upload":{"ID":"..","Size":0,"Storage":{"Path":"/store/..","InfoPath":"/store/...info"}}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := parseEvent(body)
		if err != nil {
			return
		}
		var plain map[string]any
		if json.Unmarshal(body, &plain) != nil {
			t.Fatal("what was taken is no JSON object")
		}
		if text, _ := plain["Type"].(string); text != string(e.Type) {
			t.Fatalf("type %q, read as %q", text, e.Type)
		}
		inner, _ := plain["Event"].(map[string]any)
		upload, _ := inner["Upload"].(map[string]any)
		if id, _ := upload["ID"].(string); id != e.Upload.ID {
			t.Fatalf("ID %q, read as %q", id, e.Upload.ID)
		}
		if e.Upload.check([]string{"/store"}) != nil {
			return
		}
		id := e.Upload.ID
		if filepath.Dir(e.Upload.Storage.Path) != "/store" || filepath.Base(e.Upload.Storage.Path) != id ||
			strings.ContainsAny(id, "/\\\x00") || strings.HasPrefix(id, ".") || e.Upload.Size < 0 || len(id) > maxID {
			t.Fatalf("taken: %+v", e.Upload)
		}
	})
}

// A journal that is taken is one that this version writes.
func FuzzJournal(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"id":"a","step":"taking","action":"hold","time":"2026-01-02T03:04:05Z","late":false,"size":5,"upload":{"ID":"a"}}`,
		`{"version":1,"id":"a","step":"returned","action":"allow","time":"2026-01-02T03:04:05Z","late":true,"size":0,"upload":null}`,
		`{"version":2}`, `{"version":1,"id":"../a","step":"returning"}`, `{`, ``, `null`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := parseJournal(text)
		if err != nil {
			return
		}
		if j.Version != journalVersion || checkID(j.ID) != nil || j.Size < 0 {
			t.Fatalf("taken: %+v", j)
		}
		again, err := json.Marshal(j)
		if err != nil {
			return // what it holds for the application is no JSON any more: it cannot be saved, and stays held
		}
		if other, err := parseJournal(again); err != nil || other.Step != j.Step || other.ID != j.ID || !other.Time.Equal(j.Time) {
			t.Fatalf("%+v became %+v, %v", j, other, err)
		}
	})
}
