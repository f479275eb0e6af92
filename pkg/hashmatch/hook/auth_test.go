package hook

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func tokensFile(t testing.TB, list ...Token) string {
	t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loadedTokens(t testing.TB, list ...Token) *Tokens {
	t.Helper()
	tokens, err := LoadTokens(tokensFile(t, list...))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func newAuth(t testing.TB, config AuthConfig) *Auth {
	t.Helper()
	auth, err := NewAuth(config)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

func asking(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/scan", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestNewTokenIsFound(t *testing.T) {
	token, hash := NewToken()
	other, _ := NewToken()
	if token == other || len(token) < 40 || hash != hashOf(token) {
		t.Fatalf("%q %q", token, hash)
	}
	tokens := loadedTokens(t, Token{Name: "app", SHA256: strings.ToUpper(hash), Scopes: []Scope{ScopeScan}})
	if g := tokens.byToken(token); g == nil || g.caller.Name != "app" {
		t.Error("the token is not found")
	}
	if tokens.byToken(other) != nil || tokens.byToken("") != nil || tokens.byToken(hash) != nil {
		t.Error("a token that is none is found")
	}
}

func TestAuthorize(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	tokens := loadedTokens(t,
		Token{Name: "app", SHA256: hashOf("a"), Scopes: []Scope{ScopeScan}, Surfaces: []string{"avatars"}},
		Token{Name: "people", SHA256: hashOf("p"), Scopes: []Scope{ScopeLookup, ScopeAdmin}},
		Token{Name: "old", SHA256: hashOf("o"), Scopes: []Scope{ScopeScan}, Expires: "2026-04-30T00:00:00Z"},
		Token{Name: "new", SHA256: hashOf("n"), Scopes: []Scope{ScopeScan}, Expires: "2026-05-02T00:00:00Z"},
		Token{Name: "node", Certificate: "node.example.org", Scopes: []Scope{ScopeScan}},
	)
	verified := func(cn string, chains bool) *tls.ConnectionState {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(77), DNSNames: []string{"other.example.org"}}
		s := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		if chains {
			s.VerifiedChains = [][]*x509.Certificate{{c}}
		}
		return s
	}
	for name, c := range map[string]struct {
		config AuthConfig
		header []string
		tls    *tls.ConnectionState
		scope  Scope
		want   string
		err    error
	}{
		"token":                      {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer a"}, scope: ScopeScan, want: "app"},
		"scheme in lower case":       {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "bearer a"}, scope: ScopeScan, want: "app"},
		"basic":                      {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Basic eDph"}, scope: ScopeScan, want: "app"},
		"no scope":                   {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer a"}, scope: ScopeAdmin, err: ErrForbidden},
		"admin is no scan":           {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer p"}, scope: ScopeScan, err: ErrForbidden},
		"unknown":                    {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer x"}, scope: ScopeScan, err: ErrUnauthenticated},
		"empty":                      {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer "}, scope: ScopeScan, err: ErrUnauthenticated},
		"twice":                      {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer a", "Authorization", "Bearer a"}, scope: ScopeScan, err: ErrUnauthenticated},
		"nothing":                    {config: AuthConfig{Tokens: tokens}, scope: ScopeScan, err: ErrUnauthenticated},
		"nothing, anonymous":         {config: AuthConfig{Tokens: tokens, Anonymous: []Scope{ScopeScan}}, scope: ScopeScan},
		"anonymous without scope":    {config: AuthConfig{Tokens: tokens, Anonymous: []Scope{ScopeScan}}, scope: ScopeLookup, err: ErrUnauthenticated},
		"wrong token, anonymous":     {config: AuthConfig{Tokens: tokens, Anonymous: []Scope{ScopeScan}}, header: []string{"Authorization", "Bearer x"}, scope: ScopeScan, err: ErrUnauthenticated},
		"token where there are none": {config: AuthConfig{Anonymous: []Scope{ScopeScan}}, header: []string{"Authorization", "Bearer a"}, scope: ScopeScan, err: ErrUnauthenticated},
		"expired":                    {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer o"}, scope: ScopeScan, err: ErrUnauthenticated},
		"not yet expired":            {config: AuthConfig{Tokens: tokens}, header: []string{"Authorization", "Bearer n"}, scope: ScopeScan, want: "new"},
		"certificate":                {config: AuthConfig{Tokens: tokens}, tls: verified("node.example.org", true), scope: ScopeScan, want: "node"},
		"certificate, unverified":    {config: AuthConfig{Tokens: tokens}, tls: verified("node.example.org", false), scope: ScopeScan, err: ErrUnauthenticated},
		"certificate nobody named":   {config: AuthConfig{Tokens: tokens}, tls: verified("x", true), scope: ScopeScan, err: ErrUnauthenticated},
		"any certificate":            {config: AuthConfig{Tokens: tokens, Certified: []Scope{ScopeScan}}, tls: verified("app", true), scope: ScopeScan, want: "certificate app"},
		"odd certificate":            {config: AuthConfig{Certified: []Scope{ScopeScan}}, tls: verified("a\nb", true), scope: ScopeScan, want: "certificate 4d"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.now = func() time.Time { return now }
			r := asking(c.header...)
			r.TLS = c.tls
			caller, err := newAuth(t, c.config).Authorize(r, c.scope)
			if !errors.Is(err, c.err) || caller.Name != c.want {
				t.Errorf("%q, %v; want %q, %v", caller.Name, err, c.want, c.err)
			}
			if err != nil && (len(caller.scopes) > 0 || caller.May(c.scope)) {
				t.Errorf("refused, and may %v", caller.scopes)
			}
		})
	}
	caller := tokens.byToken("a").caller
	if !caller.MayUse("avatars") || caller.MayUse("posts") || !tokens.byToken("p").caller.MayUse("posts") {
		t.Error("the surfaces of a token are not those that it states")
	}
	for _, config := range []AuthConfig{{Anonymous: []Scope{ScopeAdmin}}, {Certified: []Scope{ScopeAdmin}}, {Anonymous: []Scope{"x"}}} {
		if _, err := NewAuth(config); err == nil {
			t.Errorf("%v without a token", config)
		}
	}
}

func TestRefusalsTellNothing(t *testing.T) {
	tokens := loadedTokens(t, Token{Name: "app", SHA256: hashOf("a"), Scopes: []Scope{ScopeLookup}, Rate: 1})
	reached := 0
	h := newAuth(t, AuthConfig{Tokens: tokens}).Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }), ScopeScan)
	bodies := map[string]bool{}
	for _, header := range [][]string{nil, {"Authorization", "Bearer x"}, {"Authorization", "Basic eDp4"}, {"Authorization", "?"}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, asking(header...))
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %d %v", header, w.Code, w.Header())
		}
		bodies[w.Body.String()] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the refusals differ: %v", bodies)
	}
	w := httptest.NewRecorder() // a caller who is known may learn what the token lacks
	h.ServeHTTP(w, asking("Authorization", "Bearer a"))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "needs the scope scan") || reached != 0 {
		t.Errorf("%d %s, reached %d", w.Code, w.Body, reached)
	}
}

// What was used of a rate stays used over a reload, and a changed rate counts at once.
func TestRate(t *testing.T) {
	now := time.Unix(1e9, 0)
	path := tokensFile(t, Token{Name: "app", SHA256: hashOf("a"), Scopes: []Scope{ScopeScan}, Rate: 2, Burst: 3})
	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	auth := newAuth(t, AuthConfig{Tokens: tokens, now: func() time.Time { return now }})
	passed := func() (n int) {
		for range 10 {
			if _, err := auth.Authorize(asking("Authorization", "Bearer a"), ScopeScan); err == nil {
				n++
			} else if limited := new(RateError); !errors.As(err, &limited) || limited.RetryAfter <= 0 || limited.RetryAfter > time.Second {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := passed(); n != 3 {
		t.Errorf("%d requests at once, want the burst of 3", n)
	}
	now = now.Add(time.Second)
	if n := passed(); n != 2 {
		t.Errorf("%d requests after a second, want 2", n)
	}
	again, err := tokens.Reload()
	if err != nil {
		t.Fatal(err)
	}
	auth.Swap(again)
	if n := passed(); n != 0 {
		t.Errorf("%d requests after a reload, want none", n)
	}
	now = now.Add(-time.Hour)
	if n := passed(); n != 0 {
		t.Errorf("%d requests after the clock was set back, want none", n)
	}
	now = now.Add(time.Second)
	if n := passed(); n != 2 {
		t.Errorf("%d requests a second after that, want 2", n)
	}
	w := httptest.NewRecorder()
	auth.Require(http.NotFoundHandler(), ScopeScan).ServeHTTP(w, asking("Authorization", "Bearer a"))
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	auth.Swap(nil)
	if _, err := auth.Authorize(asking("Authorization", "Bearer a"), ScopeScan); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a token that was withdrawn: %v", err)
	}
}

func TestTokensFileRefused(t *testing.T) {
	h := hashOf("a")
	for name, text := range map[string]string{
		"no array": `{}`, "null": `null`, "cut off": `[{"name":"a"`, "more": `[] []`,
		"unknown key":    `[{"name":"a","sha256":"` + h + `","scopes":["scan"],"scope":"x"}]`,
		"the token":      `[{"name":"a","sha256":"secret","scopes":["scan"]}]`,
		"no name":        `[{"sha256":"` + h + `","scopes":["scan"]}]`,
		"odd name":       `[{"name":"a\nb","sha256":"` + h + `","scopes":["scan"]}]`,
		"neither":        `[{"name":"a","scopes":["scan"]}]`,
		"both":           `[{"name":"a","sha256":"` + h + `","certificate":"x","scopes":["scan"]}]`,
		"no scope":       `[{"name":"a","sha256":"` + h + `"}]`,
		"unknown scope":  `[{"name":"a","sha256":"` + h + `","scopes":["all"]}]`,
		"rate":           `[{"name":"a","sha256":"` + h + `","scopes":["scan"],"rate":-1}]`,
		"burst":          `[{"name":"a","sha256":"` + h + `","scopes":["scan"],"burst":5}]`,
		"expires":        `[{"name":"a","sha256":"` + h + `","scopes":["scan"],"expires":"tomorrow"}]`,
		"empty surface":  `[{"name":"a","sha256":"` + h + `","scopes":["scan"],"surfaces":[""]}]`,
		"name twice":     `[{"name":"a","sha256":"` + h + `","scopes":["scan"]},{"name":"a","certificate":"x","scopes":["scan"]}]`,
		"sha256 twice":   `[{"name":"a","sha256":"` + h + `","scopes":["scan"]},{"name":"b","sha256":"` + strings.ToUpper(h) + `","scopes":["admin"]}]`,
		"of nothing":     `[{"name":"a","sha256":"` + hashOf("") + `","scopes":["scan"]}]`,
		"too many":       "[" + strings.Repeat(`{"name":"a","certificate":"c","scopes":["scan"]},`, maxTokens) + `{"name":"z","certificate":"z","scopes":["scan"]}]`,
		"far too long":   "[" + strings.Repeat(" ", maxTokensFile) + "]",
		"certificate x2": `[{"name":"a","certificate":"x","scopes":["scan"]},{"name":"b","certificate":"x","scopes":["scan"]}]`,
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTokens(path); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), h) {
			t.Errorf("%s: the error shows the hash: %v", name, err)
		}
	}
	path := tokensFile(t, Token{Name: "a", SHA256: h, Scopes: []Scope{ScopeScan}})
	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTokens(path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("mode %#o: %v", mode, err)
		}
		if _, err := tokens.Reload(); err == nil {
			t.Errorf("mode %#o: reloaded", mode)
		}
	}
	if _, err := LoadTokens(t.TempDir()); err == nil {
		t.Error("a folder")
	}
	if _, err := LoadTokens(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Who empties the file, or loses it, has revoked every token.
func TestNoToken(t *testing.T) {
	path := tokensFile(t, Token{Name: "a", SHA256: hashOf("a"), Scopes: []Scope{ScopeScan}, Rate: 0.001})
	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	auth := newAuth(t, AuthConfig{Tokens: tokens, Anonymous: []Scope{ScopeScan}})
	ask := func(token string) error {
		_, err := auth.Authorize(asking("Authorization", "Bearer "+token), ScopeScan)
		return err
	}
	if err := ask("a"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", " \n", "[]", " [ ]\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		empty, err := tokens.Reload()
		if err != nil || empty.Len() != 0 {
			t.Fatalf("%q: %v", text, err)
		}
		if auth.Swap(empty); !errors.Is(ask("a"), ErrUnauthenticated) {
			t.Errorf("%q: the token is valid still", text)
		}
	}
	auth.Swap(tokens.None())
	if !errors.Is(ask("a"), ErrUnauthenticated) {
		t.Error("no file: the token is valid still")
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := tokens.None().Reload()
	if err != nil {
		t.Fatal(err)
	}
	auth.Swap(again)
	var limited *RateError
	if err := ask("a"); !errors.As(err, &limited) { // what was used of its rate stays used
		t.Errorf("with the file again: %v", err)
	}
}

// A caller who is known is told what the token lacks; one who is not, nothing.
func TestScopeIsNamed(t *testing.T) {
	auth := newAuth(t, AuthConfig{Tokens: loadedTokens(t, Token{Name: "a", SHA256: hashOf("a"), Scopes: []Scope{ScopeScan}})})
	h := auth.Require(http.NotFoundHandler(), ScopeAdmin, ScopeLookup)
	for token, want := range map[string]string{"a": "needs the scope admin or lookup", "b": "a valid token"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, asking("Authorization", "Bearer "+token))
		if !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "scope") != (token == "a") {
			t.Errorf("%s: %d %s", token, w.Code, w.Body)
		}
	}
}

// FuzzTokens: no tokens file makes a panic, a caller without a scope, or one without a name.
func FuzzTokens(f *testing.F) {
	f.Add(`[{"name":"app","sha256":"` + hashOf("a") + `","scopes":["scan"],"rate":100,"burst":200,"surfaces":["avatars"],"expires":"2027-01-01T00:00:00Z"}]`)
	f.Add(`[{"name":"a","certificate":"x","scopes":["admin"],"rate":1e-300}]`)
	f.Add(`[{}]`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := parseTokens([]byte(text), &limits{byName: make(map[string]*bucket)})
		if err != nil {
			return
		}
		grants := []*grant{}
		for _, s := range tokens.secrets {
			grants = append(grants, s.grant)
		}
		for _, g := range tokens.names {
			grants = append(grants, g)
		}
		if tokens.Len() != len(grants) || len(grants) == 0 && strings.Contains(text, "{") {
			t.Fatalf("%d tokens of %d callers", tokens.Len(), len(grants))
		}
		for _, g := range grants {
			if g.caller.Name == "" || len(g.caller.scopes) == 0 {
				t.Fatalf("%+v", g.caller)
			}
			if g.limit != nil {
				for i := range 3 {
					if wait := g.limit.take(time.Unix(int64(i), 0)); wait < 0 || wait > time.Hour {
						t.Fatal(wait)
					}
				}
			}
		}
		if tokens.byToken("") != nil {
			t.Fatal("the empty token is one")
		}
	})
}

func BenchmarkByToken(b *testing.B) {
	var list []Token
	for i := range maxTokens {
		list = append(list, Token{Name: fmt.Sprint(i), SHA256: hashOf(fmt.Sprint(i)), Scopes: []Scope{ScopeScan}})
	}
	tokens := loadedTokens(b, list...)
	for b.Loop() {
		if tokens.byToken("500") == nil {
			b.Fatal("not found")
		}
	}
}
