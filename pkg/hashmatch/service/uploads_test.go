package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An upload of tusd that a person releases goes back to where it is served from; one that is confirmed does not.
func TestReleaseOfAnUpload(t *testing.T) {
	d := newDir(t)
	r := start(t, d)
	content := testdata(t, "uploads", "near-resized.jpg")
	for _, id := range []string{"released", "confirmed"} {
		path := filepath.Join(d.file("store"), id)
		upload := map[string]any{
			"ID": id, "Size": len(content), "Offset": len(content), "MetaData": map[string]string{},
			"Storage": map[string]string{"Type": "filestore", "Path": path, "InfoPath": path + ".info"},
		}
		info, err := json.Marshal(upload)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{path: content, path + ".info": info} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		event := fmt.Sprintf(`{"Type":"pre-finish","Event":{"Upload":%s,"HTTPRequest":{"Method":"PATCH","URI":"/%s"}}}`, info, id)
		if _, text := r.request(t, "tusd", "POST", "/", []byte(event), "Content-Type", "application/json"); !strings.Contains(text, "403") {
			t.Fatalf("%s: %s, want a refusal", id, text)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("%s is still in the store: %v", id, err)
		}
	}
	for id, decision := range map[string]string{"confirmed": "confirm", "released": "release"} {
		status, text := r.request(t, "api", "POST", "/v1/review/tusd%2F"+id+"/"+decision, []byte(`{"reason":"seen"}`),
			"Authorization", "Bearer "+d.token, "Content-Type", "application/json")
		if status/100 != 2 {
			t.Fatalf("%s: %d %s", id, status, text)
		}
	}
	released := filepath.Join(d.file("store"), "released")
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(released); err == nil && string(text) == string(content) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the released upload did not come back")
		}
	}
	for until := time.Now().Add(time.Minute); r.review.Stats().Undelivered != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("a decision is told of for ever")
		}
	}
	if _, err := os.Stat(filepath.Join(d.file("store"), "confirmed")); !os.IsNotExist(err) {
		t.Errorf("the confirmed upload is back: %v", err)
	}
}
