package hook

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// harmless is a policy to which every list is an allow-list.
type harmless struct{ near }

func (harmless) Decide(hashmatch.Findings) hashmatch.Decision {
	return hashmatch.Decision{Action: hashmatch.Allow}
}

// PhotoDNA signatures are compared exactly, in either form, beside hashes; nothing of them is repeated, and a list
// without any does not make silence an allow.
func TestMatchOpaque(t *testing.T) {
	signature := bytes.Repeat([]byte{3, 250}, hashlist.PhotoDNABytes/2)
	l, err := hashlist.New(func(yield func(hashmatch.Entry) bool) {
		for _, e := range []struct {
			id     string
			status hashmatch.Status
		}{{"a", hashmatch.Active}, {"b", hashmatch.Disputed}} {
			yield(hashmatch.Entry{Key: hashmatch.EntryKey{ID: e.id}, Status: e.status, Signatures: []hashmatch.Signature{
				{Hash: hashAt(0)}, {Scheme: hashlist.PhotoDNA, Opaque: string(signature)},
			}})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	served, err := lookup.Serve(t.Context(), "industry", l)
	if err != nil {
		t.Fatal(err)
	}
	set, err := lookup.NewSet(served)
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, func(c *APIConfig) { c.Lists = func() *lookup.Set { return set } })
	other := bytes.Clone(signature)
	other[0] ^= 1
	ask := func(s *service, hashes ...string) (a MatchAnswer, body string) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"surface": "uploads", "hashes": hashes})
		if err != nil {
			t.Fatal(err)
		}
		got := s.send(t, "lookup", "POST", "/v1/match", string(text), "Content-Type", "application/json")
		if err := json.Unmarshal([]byte(got.body), &a); err != nil || got.status != 200 {
			t.Fatalf("%v: %s", err, got.body)
		}
		return a, got.body
	}
	a, body := ask(s, "photodna:"+base64.StdEncoding.EncodeToString(signature), hashAt(0).String(),
		"photodna:"+hex.EncodeToString(signature), "photodna:"+base64.StdEncoding.EncodeToString(other))
	if len(a.Results) != 1 || a.Results[0].Query != hashAt(0) || len(a.Opaque) != 3 {
		t.Fatalf("%+v", a)
	}
	for i, want := range []struct{ hash, matches int }{{0, 2}, {2, 2}, {3, 0}} {
		o := a.Opaque[i]
		if o.Hash != want.hash || len(o.Matches) != want.matches || o.Scheme != "photodna" || strings.Join(o.Searched, " ") != "industry" {
			t.Errorf("%+v", o)
		}
		if (o.Action == hashmatch.Hold) != (want.matches > 0) || want.matches == 0 && o.Action != hashmatch.Allow {
			t.Errorf("action %v", o.Action)
		}
	}
	if strings.Contains(body, base64.StdEncoding.EncodeToString(signature)[:20]) || strings.Contains(body, hex.EncodeToString(signature)[:20]) {
		t.Errorf("the signature is repeated: %s", body)
	}
	a, _ = ask(newService(t, nil), "photodna:"+hex.EncodeToString(signature))
	if len(a.Results) != 0 || len(a.Opaque) != 1 || a.Opaque[0].Action != hashmatch.Hold || len(a.Opaque[0].Searched) != 0 {
		t.Errorf("nothing was searched: %+v", a)
	}
	// Where only an allow-list holds any, nothing was searched that could have matched.
	alone := newService(t, func(c *APIConfig) {
		c.Lists = func() *lookup.Set { return set }
		c.Policy = func() hashmatch.Policy { return harmless{} }
	})
	if a, _ = ask(alone, "photodna:"+hex.EncodeToString(other)); len(a.Opaque) != 1 || a.Opaque[0].Action != hashmatch.Hold || len(a.Opaque[0].Searched) != 0 {
		t.Errorf("an allow-list alone: %+v", a)
	}
	for _, bad := range []string{"photodna:", "photodna:AAAA", "photodna:" + strings.Repeat("00", 144), "photodna:" + strings.Repeat("x", 288)} {
		got := s.send(t, "lookup", "POST", "/v1/match", `{"surface":"uploads","hashes":["`+bad+`"]}`, "Content-Type", "application/json")
		if got.problem() != "bad-hash" {
			t.Errorf("%.20s: %s", bad, got.body)
		}
	}
}
