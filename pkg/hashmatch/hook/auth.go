package hook

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Caller is who sent a request, and what they may do. The zero Caller is nobody and may do nothing.
type Caller struct {
	Name     string // of the token or certificate; "" for a caller who had to state none
	scopes   []Scope
	surfaces []string
}

// May reports whether the caller has the scope.
func (c Caller) May(scope Scope) bool { return slices.Contains(c.scopes, scope) }

// MayUse reports whether the caller's token is for the surface.
func (c Caller) MayUse(surface string) bool {
	return len(c.surfaces) == 0 || slices.Contains(c.surfaces, surface)
}

// CallerOf returns the caller of a request that passed Auth.Require, from the request's context.
func CallerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

type callerKey struct{}

// AuthConfig says who may use a listener.
type AuthConfig struct {
	Tokens *Tokens // nil: nobody has a token
	// Anonymous are the scopes of a caller who states neither token nor certificate; none means that everybody must.
	// ScopeAdmin is refused.
	Anonymous []Scope
	// Certified are the scopes of a caller with a verified client certificate that no token names; none means that
	// such a caller is treated as if it had none. ScopeAdmin is refused.
	Certified []Scope

	now func() time.Time
}

// Auth decides who may do what on a listener. It is safe for concurrent use.
type Auth struct {
	config AuthConfig
	tokens atomic.Pointer[Tokens]
}

// NewAuth returns an Auth.
func NewAuth(config AuthConfig) (*Auth, error) {
	for _, scopes := range [][]Scope{config.Anonymous, config.Certified} {
		for _, scope := range scopes {
			if scope != ScopeScan && scope != ScopeLookup {
				return nil, fmt.Errorf("auth: scope %q without a token: want scan or lookup", scope)
			}
		}
	}
	config.Anonymous, config.Certified = slices.Clone(config.Anonymous), slices.Clone(config.Certified)
	if config.now == nil {
		config.now = time.Now
	}
	a := &Auth{config: config}
	a.tokens.Store(config.Tokens)
	return a, nil
}

// Swap puts other tokens in force, for requests that begin from now on. nil means that nobody has a token.
func (a *Auth) Swap(t *Tokens) { a.tokens.Store(t) }

// The refusals of Authorize.
var (
	ErrUnauthenticated = errors.New("a token or client certificate that is valid must be stated")
	ErrForbidden       = errors.New("the caller may not do this")
)

// scopeError is the refusal of a known caller who lacks a scope. It is ErrForbidden.
type scopeError struct{ wanted []Scope }

func (e *scopeError) Error() string {
	text := make([]string, len(e.wanted))
	for i, scope := range e.wanted {
		text[i] = string(scope)
	}
	return "the caller's token needs the scope " + strings.Join(text, " or ")
}

func (e *scopeError) Is(target error) bool { return target == ErrForbidden }

// RateError is the refusal of a caller who asks too often.
type RateError struct{ RetryAfter time.Duration }

func (e *RateError) Error() string { return "the caller asks too often" }

// Authorize returns the caller of a request that wants the scope; or an error that wraps ErrUnauthenticated or
// ErrForbidden, or a *RateError. It reads the headers only. Of several scopes the caller needs one.
//
// A token comes as "Authorization: Bearer TOKEN" or, from clients that can only put a user into the URL, as the
// password of Basic authentication, whose user is ignored. A token that is stated must be valid, also where a caller
// without one could pass.
func (a *Auth) Authorize(r *http.Request, scopes ...Scope) (Caller, error) {
	g, err := a.grant(r)
	switch {
	case err != nil:
		return Caller{}, err
	case !slices.ContainsFunc(scopes, g.caller.May):
		if g.caller.Name == "" {
			return Caller{}, ErrUnauthenticated // a token may help
		}
		return Caller{}, &scopeError{scopes}
	case g.limit == nil:
		return g.caller, nil
	}
	if wait := g.limit.take(a.config.now()); wait > 0 {
		return Caller{}, &RateError{RetryAfter: wait}
	}
	return g.caller, nil
}

// grant returns what the request's caller may do.
func (a *Auth) grant(r *http.Request) (*grant, error) {
	tokens := a.tokens.Load()
	if stated := r.Header.Values("Authorization"); len(stated) > 0 {
		token, ok := tokenOf(r)
		if !ok || len(stated) > 1 || tokens == nil {
			return nil, ErrUnauthenticated
		}
		return a.valid(tokens.byToken(token))
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.PeerCertificates) > 0 {
		certificate := r.TLS.PeerCertificates[0]
		if tokens != nil {
			for _, name := range certificateNames(certificate) {
				if g := tokens.names[name]; g != nil {
					return a.valid(g)
				}
			}
		}
		if len(a.config.Certified) > 0 {
			return &grant{caller: Caller{Name: certified(certificate), scopes: a.config.Certified}}, nil
		}
	}
	return &grant{caller: Caller{scopes: a.config.Anonymous}}, nil
}

func (a *Auth) valid(g *grant) (*grant, error) {
	if g == nil || !g.expires.IsZero() && !a.config.now().Before(g.expires) {
		return nil, ErrUnauthenticated
	}
	return g, nil
}

// certificateNames are those by which a tokens file can name a certificate.
func certificateNames(c *x509.Certificate) []string {
	names := slices.Concat([]string{c.Subject.CommonName}, c.DNSNames, c.EmailAddresses)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// certified names the holder of a certificate that no token names; never as a token would.
func certified(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" || gate.CheckID(name) != nil {
		name = c.SerialNumber.Text(16)
	}
	return "certificate " + name
}

func tokenOf(r *http.Request) (string, bool) {
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(token)
		return token, token != ""
	}
	_, password, ok := r.BasicAuth()
	return password, ok && password != ""
}

// Require returns a handler that passes requests of callers with one of the scopes on to next, with the caller in their
// context. The refusals are problems (RFC 9457): 401, 403, which names the scope, or 429 with Retry-After. None says which
// part of what was stated was wrong, and none has read the body.
func (a *Auth) Require(next http.Handler, scopes ...Scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Authorize(r, scopes...)
		if err != nil {
			WriteRefusal(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// WriteRefusal answers a request that Authorize refused with err.
func WriteRefusal(w http.ResponseWriter, err error) {
	var limited *RateError
	var lacking *scopeError
	switch {
	case errors.As(err, &lacking):
		WriteProblem(w, problemForbidden.with(lacking.Error()))
	case errors.As(err, &limited):
		seconds := max(1, int(math.Ceil(min(limited.RetryAfter.Seconds(), 3600))))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		WriteProblem(w, problemRate)
	case errors.Is(err, ErrForbidden):
		WriteProblem(w, problemForbidden)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="hashmatch"`)
		WriteProblem(w, problemUnauthenticated)
	}
}
