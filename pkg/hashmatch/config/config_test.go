package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/policy"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/hashmatch.yaml anew")

// surface declares one surface, for texts that are about something else.
const surface = "surfaces:\n  - {name: s, visibility: public, encrypted: false, not_image: hold}\n"

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func printed(t testing.TB, c *Config) string {
	t.Helper()
	var text bytes.Buffer
	if err := c.Print(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestDocGolden shows any change of the documentation in a diff.
func TestDocGolden(t *testing.T) {
	golden := filepath.Join("testdata", "hashmatch.yaml")
	if *update {
		if err := os.WriteFile(golden, []byte(Doc()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), Doc()); diff != "" {
		t.Errorf("go test -update writes it anew; -want +got\n%s", diff)
	}
}

// TestExampleIsDocumented proves that the example in the documentation is Example, and that Example states all.
func TestExampleIsDocumented(t *testing.T) {
	example := Example()
	if failure := example.complete(); failure != nil {
		t.Fatal(failure)
	}
	if diff := cmp.Diff(example, mustParse(t, uncommented(t))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	checked := 0
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		eachField(v, func(key string, v reflect.Value, _ reflect.StructTag) {
			checked++
			if v.IsZero() && v.Kind() != reflect.Bool { // a switch that is off is shown
				t.Errorf("the example does not show %s", join(path, key))
			}
			if v.Kind() == reflect.Struct {
				walk(join(path, key), v)
			}
		})
	}
	walk("surfaces", reflect.ValueOf(Example().Declarations[0]))
	walk("lists", reflect.ValueOf(Example().Lists[0]))
	walk("labels", reflect.ValueOf(Example().Lists[0].Labels["disputed_source"]))
	walk("sources", reflect.ValueOf(Example().Lists[0].Sources["ncmec"]))
	if checked < 20 {
		t.Fatalf("%d fields", checked)
	}
}

// uncommented returns the documentation with its example in force.
func uncommented(t testing.TB) string {
	t.Helper()
	sign := regexp.MustCompile(`(?m)^#([^ ]| {2})`)
	if n := len(sign.FindAllString(Doc(), -1)); n < 40 {
		t.Fatalf("%d lines of example", n)
	}
	return sign.ReplaceAllString(Doc(), "$1")
}

// TestAboutIsComplete holds the comments against the fields, both ways.
func TestAboutIsComplete(t *testing.T) {
	want := map[string]bool{"": true}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		eachField(reflect.New(typ).Elem(), func(key string, v reflect.Value, _ reflect.StructTag) {
			at := join(path, key)
			want[at] = true
			switch typ := v.Type(); {
			case typ.Kind() == reflect.Struct:
				walk(at, typ)
			case typ.Kind() == reflect.Pointer && typ.Elem().Kind() == reflect.Struct:
				walk(at, typ.Elem())
			case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
				walk(at+"[]", typ.Elem())
			case typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct && path != "defaults":
				walk(at+".*", typ.Elem())
			}
		})
	}
	walk("", reflect.TypeFor[Config]())
	for key := range want { // those of one label or source are said once for both
		if strings.HasPrefix(key, "lists[].labels.*.actions.") || strings.HasPrefix(key, "lists[].sources.*.actions.") {
			delete(want, key)
		}
	}
	for _, code := range hashmatch.FailureCodes() {
		want["failures."+string(code)] = true
	}
	delete(want, "failures.not_image")
	for _, note := range policy.Notes() {
		want["notes."+string(note)] = true
	}
	if len(want) < 60 {
		t.Fatalf("%d keys", len(want))
	}
	for key := range want {
		if about[key] == "" {
			t.Errorf("%q is not explained", key)
		}
	}
	for key := range about {
		if !want[key] {
			t.Errorf("%q is explained, but there is no such key", key)
		}
	}
}

// TestDefaultsAreThoseOfTheOthers proves that no default is stated twice.
func TestDefaultsAreThoseOfTheOthers(t *testing.T) {
	c := Default()
	if got, want := c.Limits.Media(), (media.Limits{}).WithDefaults(); got != want {
		t.Errorf("media: %+v, want %+v", got, want)
	}
	if c.Limits.MaxBytes != hashmatch.DefaultMaxBytes || c.Limits.MaxDigestBytes != hashmatch.DefaultMaxDigestBytes ||
		time.Duration(c.Limits.Timeout) != hashmatch.DefaultTimeout {
		t.Errorf("scanner: %+v", c.Limits)
	}
	bare, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Policy()
	if err != nil {
		t.Fatal(err)
	}
	if p.Revision() != bare.Revision() {
		t.Error("the default policy is not the policy's own")
	}
}

func TestPublic(t *testing.T) {
	for _, answer := range []hashmatch.Action{hashmatch.Allow, hashmatch.Hold, hashmatch.Block} {
		c := Public(answer)
		surfaces, err := c.Surfaces()
		if err != nil || len(surfaces) != 1 || surfaces[0].Name() != "public" {
			t.Fatalf("%v, %v", surfaces, err)
		}
		p, err := c.Policy()
		if err != nil {
			t.Fatal(err)
		}
		d := p.Decide(hashmatch.Findings{Surface: surfaces[0], Failures: []hashmatch.Failure{{Code: hashmatch.NotImage}}})
		if d.Action != answer {
			t.Errorf("not an image: %s, want %s", d.Action, answer)
		}
	}
}

// TestErrors holds the words of every error, with the place in the text that it names.
func TestErrors(t *testing.T) {
	list := func(rest string) string {
		return surface + "lists:\n  - name: iwf\n    file: a.csv\n    " + rest + "\n"
	}
	for _, test := range []struct{ text, want string }{
		{"", "nothing is stated"},
		{"# nothing\n", "nothing is stated"},
		{"- a\n", "1:1: want keys and values, not a list"},
		{"a\n", `1:1: want keys and values, not the text "a"`},
		{"decryption_key: x\n", `1:1: unknown key "decryption_key": want one of surfaces, lists, defaults, failures, notes, dihedral, exact, views, limits, workers, guards, keys, exchanges, listeners, serve, quarantine, review, feedback, audit, breaker, traces`},
		{"limits:\n  max_byte: 1\n", `2:3: limits: unknown key "max_byte": want one of max_bytes, max_digest_bytes, max_pixels, max_side, max_frames, max_total_pixels, max_scans, timeout, memory`},
		{list("treshold: 1"), `6:5: lists[0] "iwf": unknown key "treshold": want one of name, file, role, shadow, max_age, verify, kinds, thresholds, quality_floor, actions, views, labels, sources`},
		{list("thresholds: {pdq: 300}"), `6:23: lists[0] "iwf": thresholds.pdq: 300: want 0 to 64`},
		{list("thresholds: {pdq: 0x10}"), `6:23: lists[0] "iwf": thresholds.pdq: 0x10: want a whole number in decimal digits`},
		{list("thresholds: {pdq: 010}"), `6:23: lists[0] "iwf": thresholds.pdq: 010: want a whole number in decimal digits`},
		{list("thresholds: {pdq: 99999999999999999999}"), `6:23: lists[0] "iwf": thresholds.pdq: want a whole number, not the text "99999999999999999999"`},
		{list("thresholds: {pdq: 3.5}"), `6:23: lists[0] "iwf": thresholds.pdq: want a whole number, not 3.5`},
		{list("thresholds: {pdq: true}"), `6:23: lists[0] "iwf": thresholds.pdq: want a whole number, not true`},
		{list("thresholds: {pqd: 31}"), `6:18: lists[0] "iwf": thresholds: unknown kind of hash "pqd"`},
		{list("thresholds: {md5: 0}"), `6:23: lists[0] "iwf": thresholds.md5: a digest matches whole or not at all: it has no threshold`},
		{list("thresholds:"), `6:17: lists[0] "iwf": thresholds: want keys and values, not nothing`},
		{list("kinds: pdq"), `6:12: lists[0] "iwf": kinds: want a list, not the text "pdq"`},
		{list("kinds: []"), `6:12: lists[0] "iwf": kinds: want one kind at least`},
		{list("kinds: [pdq, md5, pdq]"), `6:23: lists[0] "iwf": kinds[2]: pdq is stated twice`},
		{list("kinds: [pdq, photodna]"), `6:18: lists[0] "iwf": kinds[1]: "photodna": unknown kind of hash "photodna"`},
		{list("kinds: [[pdq]]"), `6:13: lists[0] "iwf": kinds[0]: want one word, not a list`},
		{list("role: deny"), `6:11: lists[0] "iwf": role: "deny": want block or allow`},
		{list("role: 1"), `6:11: lists[0] "iwf": role: want text, not 1: put it in quotes: "1"`},
		{list("role: {allow: yes}"), `6:12: lists[0] "iwf": role: want text, not keys and values`},
		{list("quality_floor: 101"), `6:20: lists[0] "iwf": quality_floor: 101: want 0 to 100`},
		{list("actions: {near: maybe}"), `6:21: lists[0] "iwf": actions.near: "maybe": unknown action "maybe": want allow, hold or block`},
		{list("actions: {near: }"), `6:20: lists[0] "iwf": actions.near: want one word, not nothing`},
		{list("labels: {a.b: {thresholds: {pdq: 65}}}"), `6:38: lists[0] "iwf": labels.a.b.thresholds.pdq: 65: want 0 to 64`},
		{list("name: b"), `6:5: mapping key "name" already defined at [4:5]`},
		{surface + "lists:\n  - name: iwf\n", `4:5: lists[0] "iwf": file: must be stated`},
		{surface + "lists:\n  - file: iwf\n", `4:5: lists[0]: name: must be stated`},
		{surface + "lists:\n  - {file: a, name: i/f}\n", `4:21: lists[0] "i/f": name: "i/f": want letters, digits and, after the first, - _ or .`},
		{surface + "lists:\n  - {name: a, file: a}\n  - {name: a, file: b}\n", `5:12: lists[1] "a": name: another list has this name`},
		{surface + "  - {name: s, visibility: public, encrypted: false, not_image: hold}\n", `3:12: surfaces[1] "s": name: another surface has this name`},
		{"surfaces: [{name: " + strings.Repeat("x", 65) + ", visibility: public}]\n", `1:19: surfaces[0] "` + strings.Repeat("x", 65) + `": name: longer than 64 characters`},
		{"surfaces:\n  - {name: s, tenant: a b}\n", `2:23: surfaces[0] "s": tenant: "a b": want letters, digits and, after the first, - _ or .`},
		{"surfaces:\n  - name: dm\n    visibility: private\n    encrypted: false\n    not_image: hold\n", `2:5: surfaces[0] "dm": surface refused: "dm" is not declared public (visibility: "private")`},
		{"surfaces:\n  - name: dm\n    encrypted: false\n    not_image: hold\n", `2:5: surfaces[0] "dm": surface refused: "dm" is not declared public (visibility: "")`},
		{"surfaces:\n  - name: dm\n    visibility: public\n    encrypted: true\n    not_image: hold\n", `2:5: surfaces[0] "dm": surface refused: "dm" is encrypted`},
		{"surfaces:\n  - name: dm\n    visibility: public\n    not_image: hold\n", `2:5: surfaces[0] "dm": surface refused: "dm" does not state encrypted: false`},
		{"surfaces:\n  - name: s\n    visibility: public\n    encrypted: false\n", `2:5: surfaces[0] "s": not_image: must be stated: allow, hold or block`},
		{"surfaces:\n  - name: s\n    encrypted: no\n", `3:16: surfaces[0] "s": encrypted: want true or false, not the text "no"`},
		{"surfaces:\n  - name: s\n    encrypted: \"false\"\n", `3:16: surfaces[0] "s": encrypted: want true or false, not the text "false"`},
		{"surfaces:\n  - name: 1\n", `2:11: surfaces[0]: name: want text, not 1: put it in quotes: "1"`},
		{"surfaces:\n  - name: s\n    decryption_key: k\n", `3:5: surfaces[0] "s": unknown key "decryption_key": want one of name, tenant, region, visibility, encrypted, not_image, shadow, failures, notes, dihedral, exact, views`},
		{"surfaces: [{name: s, visibility: public, encrypted: false, not_image: hold, failures: {not_image: allow}}]\n", `1:99: surfaces[0] "s": failures.not_image: each surface states its own answer, as not_image`},
		{"surfaces: [{name: s, visibility: public, encrypted: false, not_image: hold, dihedral: [md5]}]\n", `1:87: surfaces[0] "s": dihedral: only perceptual kinds are taken of turned pictures`},
		{"defaults: {thresholds: {phash: 11}}\n", `1:32: defaults.thresholds.phash: 11: want 0 to 10`},
		{"defaults: {labels: {\"a]b\": {thresholds: {phash: 11}}}}\n", `1:49: defaults.labels.a]b.thresholds.phash: 11: want 0 to 10`},
		{"defaults: {role: allow}\n", `1:12: defaults: unknown key "role": want one of kinds, thresholds, quality_floor, actions, views, labels, sources`},
		{"failures: {not_image: hold}\n", `1:23: failures.not_image: each surface states its own answer, as not_image`},
		{"failures: {broken: hold}\n", `1:20: failures.broken: unknown failure code`},
		{"notes: {not_ready: allow}\n", `1:20: notes.not_ready: allow: want hold or block, for nothing was searched`},
		{"dihedral: [sha1]\n", `1:11: dihedral: only perceptual kinds are taken of turned pictures`},
		{"limits: {max_bytes: 0}\n", `1:21: limits.max_bytes: 0B: want 1KiB to 4GiB`},
		{"limits: {max_bytes: 1.5GiB}\n", `1:21: limits.max_bytes: "1.5GiB": want a size such as 64MiB or 500kB`},
		{"limits: {max_bytes: 5GiB}\n", `1:21: limits.max_bytes: 5GiB: want 1KiB to 4GiB`},
		{"limits: {max_bytes: 1GiB}\n", `1:10: limits.max_digest_bytes: 512MiB: want at least max_bytes, 1GiB`},
		{"limits: {max_pixels: 0}\n", `1:22: limits.max_pixels: 0: want 1 to 1000000000`},
		{"limits: {max_pixels: 500000000}\n", `1:10: limits.max_total_pixels: 400000000: want at least max_pixels, 500000000`},
		{"limits: {timeout: 10}\n", `1:19: limits.timeout: "10": want a duration with its unit, such as 10s or 500ms`},
		{"limits: {timeout: 2h}\n", `1:19: limits.timeout: 2h: want 10ms to 1h`},
		{"limits: {memory: 1MiB}\n", `1:18: limits.memory: 1MiB: want 64MiB to 16TiB`},
		{"workers: {processes: -1}\n", `1:22: workers.processes: -1: want 0 to 1024`},
		{"workers: {memory: 0B}\n", `1:19: workers.memory: 0B: want 64MiB to 64GiB`},
		{"limits: {}\nlimits: {}\n", `2:1: mapping key "limits" already defined at [1:1]`},
		{"---\nlimits: {}\n---\nlimits: {}\n", `3:1: a second document: want one`},
		{"limits: {}\n---\n", `2:1: a second document: want one`},
		{"limits: &a {}\n", `1:9: anchors and aliases are not used here: state the value in each place`},
		{"limits: *a\n", `1:9: anchors and aliases are not used here: state the value in each place`},
		{"limits:\n  <<: {}\n", `2:3: anchors and aliases are not used here: state the value in each place`},
		{"limits: !!map {}\n", `1:9: tags are not used here`},
		{"%YAML 1.2\n---\nlimits: {}\n", `1:1: directives are not used here`},
		{"? limits\n: {}\n", `1:1: keys after "?" are not used here`},
		{"true: {}\n", `1:1: a key that is not plain text: put it in quotes`},
		{"limits: [\n", "1:9: sequence end token ']' not found"},
		{"limits:\n\ttimeout: 1s\n", "2:1: found character '\t' that cannot start any token"},
		{"limits: " + strings.Repeat("[", 17), "1:25: nested too deep"},
		{strings.Repeat("- ", 17), "1:33: nested too deep"},
		{"a: [" + strings.Repeat("1,", maxTokens) + "]", fmt.Sprintf("1:%d: more than 20000 values and signs", maxTokens+2)},
		{strings.Repeat("#", MaxBytes+1), "longer than 1MiB"},
		{"limits: {}\na: \x00", "2:4: character U+0000"},
		{"\ufefflimits: {}\n", "1:1: character U+FEFF"},
		{"a: é\xff", "1:5: not UTF-8"},
	} {
		c, err := Parse([]byte(test.text))
		if err == nil || err.Error() != test.want || c != nil {
			t.Errorf("%.80q\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestRefusalOfASurfaceIsTold(t *testing.T) {
	_, err := Parse([]byte("surfaces: [{name: dm, visibility: private, encrypted: true, not_image: hold}]"))
	if !errors.Is(err, hashmatch.ErrSurfaceRefused) {
		t.Errorf("%v", err)
	}
	for _, d := range []Declaration{
		{Name: "dm"}, {Name: "dm", Visibility: hashmatch.Private, Encrypted: new(false)},
		{Name: "dm", Visibility: hashmatch.Public}, {Name: "dm", Visibility: hashmatch.Public, Encrypted: new(true)},
	} {
		d.NotImage = new(hashmatch.Hold)
		c := &Config{Declarations: []Declaration{d}}
		if s, err := c.Surface("dm"); !errors.Is(err, hashmatch.ErrSurfaceRefused) || s.Declared() {
			t.Errorf("%+v: %v", d, err)
		}
		if all, err := c.Surfaces(); !errors.Is(err, hashmatch.ErrSurfaceRefused) || all != nil {
			t.Errorf("%+v: %v", d, err)
		}
		if err := c.Print(new(bytes.Buffer)); !errors.Is(err, hashmatch.ErrSurfaceRefused) {
			t.Errorf("%+v: printed: %v", d, err)
		}
	}
}

func TestSurfaceCarriesTenantAndRegion(t *testing.T) {
	c := mustParse(t, "surfaces: [{name: a, tenant: x, region: eu, visibility: public, encrypted: false, not_image: hold}]")
	s, err := c.Surface("a")
	if err != nil || s.Tenant() != "x" || s.Region() != "eu" || !s.Declared() {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestPolicyOfFile follows each rule of a file into the policy.
func TestPolicyOfFile(t *testing.T) {
	c := mustParse(t, `
surfaces:
  - {name: a, visibility: public, encrypted: false, not_image: block, failures: {corrupt: block}, dihedral: []}
  - {name: b, visibility: public, encrypted: false, not_image: allow}
lists:
  - name: l
    file: l.csv
    kinds: [pdq, md5]
    thresholds: {pdq: 20}
    quality_floor: 60
    actions: {near: block}
    labels:
      x: {thresholds: {pdq: 40}, actions: {near: hold}}
  - {name: ok, file: ok.csv, role: allow, thresholds: {pdq: 5}}
defaults:
  thresholds: {phash: 3}
failures: {truncated: allow}
notes: {low_quality: hold}
dihedral: [pdq, dhash]
`)
	p, err := c.Policy()
	if err != nil {
		t.Fatal(err)
	}
	a, errA := c.Surface("a")
	b, errB := c.Surface("b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for i, reach := range []struct{ got, want int }{
		{p.Reach(a, "l", hashmatch.PDQ, 60), 40},
		{p.Reach(a, "l", hashmatch.PDQ, 59), -1},
		{p.Reach(a, "l", hashmatch.PHash, 60), -1},
		{p.Reach(a, "l", hashmatch.SHA1, 60), -1},
		{p.Reach(a, "ok", hashmatch.PDQ, 60), 5},
		{p.Reach(a, "ok", hashmatch.PHash, 60), -1},
		{p.Reach(a, "ok", hashmatch.SHA1, 60), 0},
		{p.Reach(a, "unnamed", hashmatch.PHash, 60), 3},
		{p.Reach(a, "unnamed", hashmatch.PDQ, 60), 31},
	} {
		if reach.got != reach.want {
			t.Errorf("reach %d: %d, want %d", i, reach.got, reach.want)
		}
	}
	if p.Dihedral(a) != 0 || p.Dihedral(b) != hashmatch.SetOf(hashmatch.PDQ, hashmatch.DHash) {
		t.Errorf("dihedral: %v, %v", p.Dihedral(a).Kinds(), p.Dihedral(b).Kinds())
	}
	match := hashmatch.Match{List: "l", Entry: "e", Kind: hashmatch.PDQ, Distance: 20}
	labelled := match
	labelled.Labels = []string{"x"}
	for i, test := range []struct {
		findings hashmatch.Findings
		want     hashmatch.Action
	}{
		{hashmatch.Findings{Surface: a, Failures: []hashmatch.Failure{{Code: hashmatch.NotImage}}}, hashmatch.Block},
		{hashmatch.Findings{Surface: b, Failures: []hashmatch.Failure{{Code: hashmatch.NotImage}}}, hashmatch.Allow},
		{hashmatch.Findings{Surface: a, Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt}}}, hashmatch.Block},
		{hashmatch.Findings{Surface: b, Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt}}}, hashmatch.Hold},
		{hashmatch.Findings{Surface: b, Failures: []hashmatch.Failure{{Code: hashmatch.Truncated}}}, hashmatch.Allow},
		{hashmatch.Findings{Surface: b, Notes: []hashmatch.Note{hashmatch.LowQuality}}, hashmatch.Hold},
		{hashmatch.Findings{Surface: b, Matches: []hashmatch.Match{match}}, hashmatch.Block},
		{hashmatch.Findings{Surface: b, Matches: []hashmatch.Match{labelled}}, hashmatch.Hold},
	} {
		if d := p.Decide(test.findings); d.Action != test.want {
			t.Errorf("case %d: %s, want %s", i, d.Action, test.want)
		}
	}
	again := mustParse(t, printed(t, c))
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("printed and read again: -want +got\n%s", diff)
	}
	q, err := again.Policy()
	if err != nil || q.Revision() != p.Revision() {
		t.Errorf("another revision after printing: %v", err)
	}
}

// TestFormDoesNotMatter proves that the policy's revision looks at what is stated, not at how.
func TestFormDoesNotMatter(t *testing.T) {
	one, err := mustParse(t, surface+"failures: {corrupt: block, empty: block}\n# words\n").Policy()
	if err != nil {
		t.Fatal(err)
	}
	other, err := mustParse(t, "failures:\n    empty:   \"block\"\n    corrupt: 'block'\n    truncated: hold\n"+surface).Policy()
	if err != nil {
		t.Fatal(err)
	}
	if one.Revision() != other.Revision() {
		t.Error("two revisions")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hashmatch.yaml")
	absolute := filepath.Join(dir, "elsewhere.csv")
	text := surface + "lists:\n  - {name: a, file: lists/a.csv}\n  - {name: b, file: " + fmt.Sprintf("%q", absolute) + "}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{c.Lists[0].File, c.Lists[1].File}; !slices.Equal(got, []string{filepath.Join(dir, "lists", "a.csv"), absolute}) {
		t.Errorf("%q", got)
	}
	if err := os.WriteFile(path, []byte("limits:\n  max: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":2:3: limits: unknown key \"max\"") {
		t.Errorf("%v", err)
	}
	if _, err := Load(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder was read")
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"good.csv": "x", "empty.csv": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "hashmatch.yaml")
	if err := os.WriteFile(path, []byte(`
surfaces:
  - {name: s, visibility: public, encrypted: false, not_image: allow, failures: {corrupt: allow}, dihedral: []}
  - {name: t, visibility: public, encrypted: false, not_image: hold, failures: {timed_out: hold}}
lists:
  - {name: a, file: good.csv}
  - name: b
    file: missing.csv
    kinds: [pdq, phash]
    thresholds: {pdq: 40}
    quality_floor: 20
    actions: {exact: allow, near: block}
    labels: {x: {thresholds: {pdq: 50}, actions: {near: allow}}, y: {actions: {near: hold}}}
  - {name: c, file: empty.csv, role: allow, thresholds: {pdq: 3}}
  - {name: d, file: ., quality_floor: 80}
defaults:
  thresholds: {phash: 8}
  labels: {y: {actions: {near: block}}}
failures: {timed_out: allow}
dihedral: [phash]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Check() {
		line := strings.ReplaceAll(w.String(), dir, "DIR")
		if w.Fatal {
			line = "fatal: " + line
		}
		got = append(got, line)
	}
	want := []string{
		`surfaces[0] "s": not_image: allow: videos, PDFs, archives and documents are published without a look at the pictures in them`,
		`surfaces[0] "s": failures.corrupt: allow: uploads that could not be scanned in full are published`,
		`surfaces[0] "s": dihedral: without pdq, turned and mirrored copies are not found by it`,
		`fatal: lists[1] "b": file: stat DIR/missing.csv: no such file or directory`,
		`lists[1] "b": kinds: no digest among them: a listed file that cannot be decoded is not found`,
		`lists[1] "b": thresholds.pdq: 40: more false matches than at 31`,
		`lists[1] "b": quality_floor: 20: below 50 flat pictures match each other`,
		`lists[1] "b": actions.exact: allow: listed files are published, and only reported`,
		`lists[1] "b": actions.near: block: a near match can be another picture, and nobody looks at it`,
		`lists[1] "b": labels.x.thresholds.pdq: 50: more false matches than at 31`,
		`lists[1] "b": labels.x.actions.near: allow: near matches are published, and only reported`,
		`fatal: lists[2] "c": file: DIR/empty.csv: empty`,
		`lists[2] "c": thresholds.pdq: 3: pictures near to an allowed one are published even where they are near to a listed one`,
		`fatal: lists[3] "d": file: DIR: not a regular file`,
		`lists[3] "d": quality_floor: 80: above 50 more pictures are searched by their digests only`,
		`defaults.thresholds.phash: 8: more false matches than at 6`,
		`defaults.labels.y.actions.near: block: a near match can be another picture, and nobody looks at it`,
		`failures.timed_out: allow: uploads that could not be scanned in full are published`,
		`dihedral: without pdq, turned and mirrored copies are not found by it`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	got = nil
	for _, w := range Default().Check() {
		if !w.Fatal {
			t.Errorf("a default is warned of: %s", w)
		}
		got = append(got, w.String())
	}
	want = []string{"surfaces: none is declared: nothing may be scanned", "lists: none to act on: every upload would be held"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestScalars(t *testing.T) {
	sizes := 0
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1KiB": 1024, "1kB": 1000, "2MB": 2e6, "3GB": 3e9,
		"1TB": 1e12, "1TiB": 1 << 40, "9223372036854775807": math.MaxInt64,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != want {
			t.Errorf("%q is written %s", text, got)
		}
		sizes++
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1e3", "64M", "64mib", "0x10", "9223372036854775808", "8388608TiB", "1 2"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
		sizes++
	}
	if sizes != 23 {
		t.Fatalf("%d sizes", sizes)
	}
	for text, want := range map[string]string{"10s": "10s", "60s": "1m", "3600s": "1h", "90m": "1h30m", "1500ms": "1.5s", "0s": "0s", "100m1s": "1h40m1s"} {
		var got Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// TestHandMade proves that a configuration made in Go is completed, checked and left alone.
func TestHandMade(t *testing.T) {
	c := &Config{Lists: []List{{Name: "l", File: "l.csv"}}, Dihedral: []hashmatch.Kind{}}
	text := printed(t, c)
	if c.Lists[0].Role != "" || c.Limits.MaxBytes != 0 || c.Failures != nil {
		t.Errorf("printing changed it: %+v", c)
	}
	back := mustParse(t, text)
	if back.Lists[0].Role != policy.BlockList || back.Dihedral == nil || len(back.Dihedral) != 0 {
		t.Errorf("%s", text)
	}
	for _, wrong := range []*Config{
		{Limits: Limits{MaxBytes: -1}},
		{Lists: []List{{Name: "l"}}},
		{Lists: []List{{Name: "l", File: "x", Role: "deny"}}},
		{Workers: Workers{Processes: 2000}},
		{Failures: map[hashmatch.FailureCode]hashmatch.Action{"x": hashmatch.Hold}},
	} {
		var out bytes.Buffer
		if err := wrong.Print(&out); err == nil || out.Len() > 0 {
			t.Errorf("%+v was printed: %v", wrong, err)
		}
	}
	if _, err := (&Config{Failures: map[hashmatch.FailureCode]hashmatch.Action{"x": hashmatch.Hold}}).Policy(); err == nil {
		t.Error("an unknown failure code has a policy")
	}
}

// TestAwkwardText proves that text which YAML could take for something else survives printing.
func TestAwkwardText(t *testing.T) {
	awkward := []string{"true", "No", "null", "~", "1", "0x1", "1e3", ".", "..", "-", "- a", "a: b", "#", "a #b", "", " a ", "é", "😀",
		"\"", "'", "\\", "a\nb", "\t", "&a", "*a", "!a", "{", "[", "%", "@", "`", "|", ">", "?", "=", "<<", "2001-01-01", "10s", ".inf", "y", "a]b", "\u0085x"}
	c := &Config{}
	for _, text := range awkward {
		if text == "" {
			continue // a label has a name
		}
		c.Lists = append(c.Lists, List{Name: fmt.Sprint("l", len(c.Lists)), File: "x/" + text,
			Rules: Rules{Labels: map[string]Label{text: {Actions: Actions{Near: new(hashmatch.Block)}}}}})
		c.Lists = append(c.Lists, List{Name: fmt.Sprint("l", len(c.Lists)), File: text})
	}
	back := mustParse(t, printed(t, c))
	if failure := c.complete(); failure != nil {
		t.Fatal(failure)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestCostIsBounded reads the texts that cost the parser most within the bounds of size and depth.
func TestCostIsBounded(t *testing.T) {
	if raceDetector {
		t.Skip("the cost is that without the race detector")
	}
	var keys, deep strings.Builder
	for i := range maxTokens / 3 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	for i := 0; deep.Len()+i < MaxBytes; i++ {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	texts := map[string]string{
		"keys": keys.String(), "deep": deep.String(), "blank": strings.Repeat("\n", MaxBytes),
		"brackets": strings.Repeat("[", MaxBytes), "braces": strings.Repeat("{a: ", MaxBytes/4),
		"dashes": strings.Repeat("- ", MaxBytes/2), "quoted": `a: "` + strings.Repeat("x", MaxBytes-5) + `"`,
		"comments": strings.Repeat("#\n", MaxBytes/2), "words": "a: " + strings.Repeat("x ", MaxBytes/2-2),
		"block": "a: |\n" + strings.Repeat("  x\n", MaxBytes/4-2), "colons": strings.Repeat("a: ", MaxBytes/3),
		"open quote": `"` + strings.Repeat("\\", MaxBytes-1),
	}
	for name, text := range texts {
		if len(text) > MaxBytes {
			t.Fatalf("%s: %d bytes", name, len(text))
		}
		started := time.Now()
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken for a configuration", name)
		}
		took := time.Since(started)
		t.Logf("%s: %s", name, took)
		if took > time.Minute {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// FuzzRoundTrip proves that no text panics, that every error is an *Error, and that what is accepted prints to what
// is read back as the same configuration with the same policy.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(surface))
	f.Add([]byte("lists:\n  - name: a\n    file: \"x\\ty\"\n    labels: {\"a b\": {thresholds: {pdq: 1}, actions: {near: allow}}}\n"))
	f.Add([]byte("lists: [{name: a, file: a, role: allow, kinds: [pdq, md5], thresholds: {pdq: 0}}]\n"))
	f.Add([]byte("defaults: {kinds: [pdq], labels: {x: {thresholds: {pdq: 64}}}, quality_floor: 0}\ndihedral: []\n"))
	f.Add([]byte("limits: {max_bytes: 1kB, timeout: 1m1s}\nworkers: {processes: 3, memory: 1GB}\nnotes: {low_quality: block}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		c, err := Parse(text)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || wrong.Reason == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		out := printed(t, c)
		again, err := Parse([]byte(out))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		p, err := c.Policy()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := again.Policy(); err != nil || p.Revision() != q.Revision() {
			t.Fatalf("another policy: %v", err)
		}
		c.Check()
	})
}
