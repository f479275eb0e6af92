package hook

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode"
)

// Scope is something that a caller may do.
type Scope string

// The scopes. None includes another.
const (
	ScopeScan   Scope = "scan"   // send uploads
	ScopeLookup Scope = "lookup" // search hashes, see which lists there are and what matched
	ScopeAdmin  Scope = "admin"  // decide on held items, lift the breaker
)

// Scopes returns every scope, in a fixed order.
func Scopes() []Scope { return []Scope{ScopeScan, ScopeLookup, ScopeAdmin} }

// The limits of a tokens file.
const (
	maxTokensFile = 1 << 20
	maxTokens     = 1000 // each request is compared with all of them: 1000 take some 20 microseconds
)

// Token is one entry of a tokens file: a JSON array of them. It names a caller by exactly one of SHA256 and
// Certificate.
type Token struct {
	Name string `json:"name"` // of the caller, for logs and records; unique
	// SHA256 is the SHA-256 of the token in 64 hexadecimal digits. The token itself is not stored.
	SHA256 string `json:"sha256,omitempty"`
	// Certificate is the subject's common name, or a DNS, e-mail or URI name, of a client certificate. It counts only
	// if the listener's TLS configuration has verified the certificate.
	Certificate string   `json:"certificate,omitempty"`
	Scopes      []Scope  `json:"scopes"`             // at least one
	Surfaces    []string `json:"surfaces,omitempty"` // the surfaces that it is for; none means all
	Rate        float64  `json:"rate,omitempty"`     // requests a second, over all listeners; 0 means no limit
	Burst       int      `json:"burst,omitempty"`    // requests at once; 0 means Rate, rounded up
	Expires     string   `json:"expires,omitempty"`  // RFC 3339; "" means never
}

// Tokens are the callers that a service knows. A Tokens is immutable and safe for concurrent use.
type Tokens struct {
	path    string
	secrets []secret // by token
	names   map[string]*grant
	limits  *limits
}

type secret struct {
	hash  [sha256.Size]byte
	grant *grant
}

// grant is what one caller may do.
type grant struct {
	caller  Caller
	expires time.Time // zero: never
	limit   *bucket   // nil: none
}

// limits are the rate limiters of callers by name. They outlive a reload, which would be a way around them otherwise.
type limits struct {
	mu     sync.Mutex
	byName map[string]*bucket
}

// NewToken returns a random token (256 bits, in characters that a URL can hold) and what stands for it in a tokens
// file.
func NewToken() (token, hash string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	token = base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(sum[:])
}

// LoadTokens reads a tokens file. It refuses one that anybody but its owner can read, where the system has such
// permissions. In an empty one, or one with an empty array, there is no token, and none is valid.
func LoadTokens(path string) (*Tokens, error) {
	return loadTokens(path, &limits{byName: make(map[string]*bucket)})
}

// Reload reads the same file again; what callers have used of their rates stays used. With an error t stays as it is.
func (t *Tokens) Reload() (*Tokens, error) { return loadTokens(t.path, t.limits) }

// None returns the same file without a token in it, for when it is gone: Reload reads it again.
func (t *Tokens) None() *Tokens {
	return &Tokens{path: t.path, names: make(map[string]*grant), limits: t.limits}
}

// Len returns how many tokens there are.
func (t *Tokens) Len() int { return len(t.secrets) + len(t.names) }

func loadTokens(path string, limits *limits) (*Tokens, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	t, err := parseTokens(text, limits)
	if err != nil {
		return nil, fmt.Errorf("tokens: %s: %w", path, err)
	}
	t.path = path
	return t, nil
}

func readPrivate(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil { // before it is opened: opening a pipe waits for its writer
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode()&0o077 != 0:
		return nil, fmt.Errorf("%s: %w: mode %#o lets others in: want 0600", path, fs.ErrPermission, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(file, maxTokensFile+1))
	if err == nil && len(text) > maxTokensFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxTokensFile)
	}
	return text, err
}

func parseTokens(text []byte, limits *limits) (*Tokens, error) {
	var list []Token
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("[]")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("not a JSON array of tokens: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON array")
	}
	if list == nil {
		return nil, errors.New("not a JSON array of tokens")
	}
	if len(list) > maxTokens {
		return nil, fmt.Errorf("more than %d tokens", maxTokens)
	}
	t := &Tokens{names: make(map[string]*grant), limits: limits}
	known := make(map[string]bool)
	for i, token := range list {
		if err := t.add(token); err != nil {
			return nil, fmt.Errorf("token %d (%q): %w", i+1, token.Name, err)
		}
		if known[token.Name] {
			return nil, fmt.Errorf("token %d (%q): another one has this name", i+1, token.Name)
		}
		known[token.Name] = true
	}
	return t, nil
}

func (t *Tokens) add(token Token) error {
	g, err := newGrant(token)
	if err != nil {
		return err
	}
	switch {
	case (token.SHA256 == "") == (token.Certificate == ""):
		return errors.New("want either sha256 or certificate")
	case token.Certificate != "":
		if t.names[token.Certificate] != nil {
			return errors.New("another one has this certificate")
		}
		t.names[token.Certificate] = g
	default:
		digest, err := hex.DecodeString(token.SHA256)
		if err != nil || len(digest) != sha256.Size {
			return errors.New("sha256: want 64 hexadecimal digits")
		}
		s := secret{grant: g}
		copy(s.hash[:], digest)
		if slices.ContainsFunc(t.secrets, func(other secret) bool { return other.hash == s.hash }) {
			return errors.New("another one has this sha256")
		}
		if s.hash == sha256.Sum256(nil) {
			return errors.New("sha256: of an empty token")
		}
		t.secrets = append(t.secrets, s)
	}
	if token.Rate > 0 {
		g.limit = t.limits.of(token)
	}
	return nil
}

// newGrant checks what a token says of its caller.
func newGrant(token Token) (*grant, error) {
	if token.Name == "" || len(token.Name) > 128 {
		return nil, errors.New("name: want 1 to 128 bytes")
	}
	for _, r := range token.Name {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return nil, errors.New("name: a character that cannot be printed")
		}
	}
	if len(token.Scopes) == 0 {
		return nil, errors.New("scopes: none")
	}
	for _, scope := range token.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return nil, fmt.Errorf("scopes: %q: want scan, lookup or admin", scope)
		}
	}
	if slices.Contains(token.Surfaces, "") {
		return nil, errors.New("surfaces: one without a name")
	}
	if token.Rate < 0 || token.Rate > 1e9 || token.Burst < 0 || token.Burst > 1e9 {
		return nil, errors.New("rate and burst: want 0 to 1000000000")
	}
	if token.Rate == 0 && token.Burst > 0 {
		return nil, errors.New("burst: without a rate")
	}
	g := &grant{caller: Caller{
		Name: token.Name, scopes: slices.Clone(token.Scopes), surfaces: slices.Clone(token.Surfaces),
	}}
	if token.Expires != "" {
		var err error
		if g.expires, err = time.Parse(time.RFC3339, token.Expires); err != nil {
			return nil, fmt.Errorf("expires: %q: want the form 2027-01-31T12:00:00Z", token.Expires)
		}
	}
	return g, nil
}

// of returns the bucket of a token: the one that it had before the reload, with the rate that it has now.
func (l *limits) of(token Token) *bucket {
	burst := float64(token.Burst)
	if burst == 0 {
		burst = math.Max(1, math.Ceil(token.Rate))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, found := l.byName[token.Name]
	if !found {
		b = &bucket{left: burst}
		l.byName[token.Name] = b
	}
	b.set(token.Rate, burst)
	return b
}

// bucket is a token bucket: burst requests at once, and rate more each second.
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	left        float64
	last        time.Time // when left was counted; zero before the first request
}

func (b *bucket) set(rate, burst float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate, b.burst, b.left = rate, burst, min(b.left, burst)
}

// take takes one request. If there is none left it takes nothing and returns how long to wait for one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last).Seconds(); b.last.IsZero() || passed < 0 { // the clock was set back
		b.last = now
	} else {
		b.left, b.last = min(b.burst, b.left+passed*b.rate), now
	}
	if b.left >= 1 {
		b.left--
		return 0
	}
	return time.Duration(math.Min((1-b.left)/b.rate, 3600) * float64(time.Second))
}

// byToken returns what the holder of a token may do; nil if nobody holds it. It compares with every token, so that the
// time that it takes tells nothing.
func (t *Tokens) byToken(token string) *grant {
	hash := sha256.Sum256([]byte(token))
	var found *grant
	for i := range t.secrets {
		if subtle.ConstantTimeCompare(hash[:], t.secrets[i].hash[:]) == 1 {
			found = t.secrets[i].grant
		}
	}
	return found
}
