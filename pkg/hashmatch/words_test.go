package hashmatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKindsAreWhole(t *testing.T) {
	wantBits := map[string]int{"pdq": 256, "phash": 64, "dhash": 64, "ahash": 64, "phash256": 256, "dhash256": 256,
		"ahash256": 256, "md5": 128, "sha1": 160, "sha256": 256}
	all := Kinds()
	if len(all) != len(wantBits) {
		t.Fatalf("%d kinds, want %d", len(all), len(wantBits))
	}
	for _, k := range all {
		if k.Bits() != wantBits[k.String()] {
			t.Errorf("%s: %d bits, want %d", k, k.Bits(), wantBits[k.String()])
		}
		if back, err := ParseKind(k.String()); err != nil || back != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, back, err)
		}
	}
	for _, k := range []Kind{0, kindEnd, 255} {
		if k.Valid() || k.Bits() != 0 || k.Digest() || k.String() != "invalid" {
			t.Errorf("kind %d passes for a valid one", uint8(k))
		}
		if _, err := k.MarshalText(); err == nil {
			t.Errorf("kind %d: no error", uint8(k))
		}
	}
	if s := SetOf(all...); len(s.Kinds()) != len(all) || s.Perceptual()|s.Digests() != s || s.Perceptual()&s.Digests() != 0 {
		t.Errorf("the set of all kinds does not fall into perceptual kinds and digests: %v", s.Kinds())
	}
	if s := SetOf(0, kindEnd, 200); s != 0 || s.Has(200) {
		t.Errorf("invalid kinds got into a set: %b", s)
	}
}

func TestHashTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(Kinds()).Draw(t, "kind")
		b := rapid.SliceOfN(rapid.Byte(), kind.Bits()/8, kind.Bits()/8).Draw(t, "bytes")
		h, err := NewHash(kind, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseHash(h.String())
		if err != nil || back != h {
			t.Fatalf("%v became %v, %v", h, back, err)
		}
		if upper, err := ParseHex(kind, strings.ToUpper(h.Hex())); err != nil || upper != h {
			t.Fatalf("upper case: %v, %v", upper, err)
		}
		bit := rapid.IntRange(0, kind.Bits()-1).Draw(t, "bit")
		other := h
		other.Bits[bit/8] ^= 0x80 >> (bit % 8)
		if d := h.Distance(other); d != 1 {
			t.Fatalf("one bit changed, distance %d", d)
		}
	})
}

func TestHashRefusesWhatIsNoHash(t *testing.T) {
	hex63, hex64 := strings.Repeat("a", 63), strings.Repeat("a", 64)
	cases := map[string]string{
		"pdq:" + hex63:                 "63 hex digits, want 64",
		"pdq:" + hex64 + "a":           "65 hex digits, want 64",
		"pdq:" + hex63 + "g":           "not hexadecimal",
		"photodna:" + hex64:            `unknown kind of hash "photodna"`,
		hex64:                          "not of the form KIND:HEX",
		"md5:" + hex64:                 "64 hex digits, want 32",
		"pdq:" + hex64[:62] + "\u00e9": "not hexadecimal",
	}
	for text, want := range cases {
		if h, err := ParseHash(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseHash(%q) = %v, %v; want an error with %q", text, h, err, want)
		}
	}
	if _, err := NewHash(MD5, make([]byte, 15)); err == nil {
		t.Error("15 bytes passed for an MD5")
	}
	a, _ := ParseHex(MD5, hex64[:32])
	b, _ := ParseHex(PDQ, hex64)
	if a.Distance(b) != -1 {
		t.Error("hashes of two kinds have a distance")
	}
	if text := "PDQ:" + hex64; b.String() != strings.ToLower(text) {
		t.Errorf("%s is written %s", text, b)
	}
}

func TestEntryKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := EntryKey{rapid.String().Draw(t, "source"), rapid.String().Draw(t, "member"),
			rapid.StringN(1, -1, -1).Draw(t, "id")}
		back, err := ParseEntryKey(key.String())
		if err != nil || back != key {
			t.Fatalf("%+v became %+v, %v (text %q)", key, back, err, key)
		}
	})
	for _, text := range []string{"", "a/b", "a/b/", "a/b/c/d"} {
		if key, err := ParseEntryKey(text); err == nil {
			t.Errorf("%q passed as %+v", text, key)
		}
	}
}

func TestOnlyPublicUnencryptedSurfacesExist(t *testing.T) {
	yes, no := true, false
	good, err := DeclareSurface(SurfaceDeclaration{Name: "avatars", Visibility: Public, Encrypted: &no, Tenant: "t", Region: "eu"})
	if err != nil || !good.Declared() || good.Name() != "avatars" || good.Tenant() != "t" || good.Region() != "eu" {
		t.Fatalf("a public, unencrypted surface was refused: %v", err)
	}
	refused := []SurfaceDeclaration{
		{},
		{Visibility: Public, Encrypted: &no},
		{Name: "dm", Visibility: Private, Encrypted: &no},
		{Name: "dm", Encrypted: &no},
		{Name: "dm", Visibility: "PUBLIC", Encrypted: &no},
		{Name: "dm", Visibility: Public},
		{Name: "dm", Visibility: Public, Encrypted: &yes},
	}
	for _, d := range refused {
		s, err := DeclareSurface(d)
		if !errors.Is(err, ErrSurfaceRefused) || s.Declared() {
			t.Errorf("%+v: %v, declared %v; want a refusal", d, err, s.Declared())
		}
	}
}

func TestTheZeroActionHolds(t *testing.T) {
	var a Action
	if a != Hold || a.String() != "hold" || Action(77).String() != "hold" {
		t.Errorf("zero action %q, invalid action %q: want hold", a, Action(77))
	}
	order := []Action{Allow, Hold, Block}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Stricter(b), order[max(i, j)]; got != want {
				t.Errorf("%s with %s gives %s, want %s", a, b, got, want)
			}
		}
		if back, err := ParseAction(a.String()); err != nil || back != a {
			t.Errorf("ParseAction(%q) = %v, %v", a, back, err)
		}
	}
	if a, err := ParseAction("Allow"); err == nil || a != Hold {
		t.Errorf("ParseAction(Allow) = %v, %v; want hold and an error", a, err)
	}
	if Action(77).Stricter(Allow) != Action(77) || Allow.Stricter(Action(77)).String() != "hold" {
		t.Error("an invalid action is weaker than hold")
	}
}

func TestStatusText(t *testing.T) {
	n := 0
	for s := Active; s <= Withdrawn; s++ {
		n++
		var back Status
		text, err := s.MarshalText()
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("status %d reads back as %d", s, back)
		}
	}
	if n != 4 {
		t.Fatalf("%d statuses, want 4", n)
	}
	if _, err := ParseStatus("revived"); err == nil {
		t.Error("an unknown status passed")
	}
	if _, err := Status(9).MarshalText(); err == nil {
		t.Error("an invalid status was written")
	}
}

func TestFailureKeepsItsCode(t *testing.T) {
	wrapped := fmt.Errorf("reading: %w", &Failure{ChangedWhileRead, "size"})
	if f := AsFailure(wrapped, Unreadable); f.Code != ChangedWhileRead || f.Detail != "size" {
		t.Errorf("got %+v", f)
	}
	if f := AsFailure(errors.New("input/output error"), Unreadable); f.Code != Unreadable || f.Detail != "input/output error" {
		t.Errorf("got %+v", f)
	}
	codes := map[FailureCode]bool{}
	for _, c := range FailureCodes() {
		codes[c] = true
	}
	if len(codes) != 12 {
		t.Errorf("%d failure codes, want 12", len(codes))
	}
}

func TestViewLeavesItsDefaultsOut(t *testing.T) {
	for want, v := range map[string]View{
		`{}`: {},
		`{"orientation":"stored","background":"black","dihedral":"flip_y"}`: {Orientation: StoredOrientation, Background: BlackBackground, Dihedral: FlipY},
	} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}
