package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/clamavrest"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hma"
	"example.org/hashmatch/pkg/hashmatch/hook/icap"
	"example.org/hashmatch/pkg/hashmatch/hook/pictrs"
	"example.org/hashmatch/pkg/hashmatch/hook/tusd"
)

// server is what serves one listener: hook.Server or that of a protocol which is no HTTP.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

// listener is one listener of the configuration, ready to listen.
type listener struct {
	config config.Listener
	server server
	tls    *tls.Config                     // for a protocol that is no HTTP; HTTP servers have their own
	run    func(ctx context.Context) error // beside the server; nil: nothing
	close  func() error                    // at the end; nil: nothing
	socket net.Listener                    // once it listens
}

// listen opens the socket.
func (l *listener) listen() error {
	network, address := l.config.Network()
	mode := uint64(0)
	if l.config.UnixMode != "" {
		var err error
		if mode, err = strconv.ParseUint(l.config.UnixMode, 8, 32); err != nil {
			return err
		}
	}
	socket, err := hook.Listen(network, address, hook.ListenOptions{
		UnixMode: os.FileMode(mode), Guarded: l.config.Certificate != "" || l.guarded(), Insecure: l.config.Insecure,
	})
	if err != nil {
		return err
	}
	if l.tls != nil {
		socket = tls.NewListener(socket, l.tls)
	}
	l.socket = socket
	return nil
}

// guarded says whether every caller needs a token.
func (l *listener) guarded() bool {
	switch l.config.Dialect {
	case config.DialectClamd, config.DialectICAP, config.DialectMetrics:
		return false
	}
	return len(l.config.Anonymous) == 0
}

// build makes the server of one listener.
func (s *Service) build(l config.Listener) (*listener, error) {
	built := &listener{config: l}
	security, err := s.tlsOf(l)
	if err != nil {
		return nil, err
	}
	serve := s.running.Serve
	log := s.log.With("listener", l.Name)
	surface := func() (hashmatch.Surface, error) { return s.engine.Surface(l.Surface) }
	switch l.Dialect {
	case config.DialectClamd:
		built.tls = security
		built.server = clamd.New(clamd.Config{
			Checker: s.gate, Surface: surface, Version: s.options.Version, Stats: s.gate.Stats, Folders: l.Folders,
			Lists:          func() (int64, time.Time) { return max(1, s.changes.Load()), time.Unix(s.changed.Load(), 0) },
			CommandTimeout: time.Duration(serve.HeaderTimeout), ReadTimeout: time.Duration(serve.ReadTimeout),
			IdleTimeout: time.Duration(serve.IdleTimeout), RequestTimeout: time.Duration(serve.RequestTimeout),
			MaxConnections: serve.MaxConnections, Logger: log,
		})
		return built, nil
	case config.DialectICAP:
		built.tls = security
		built.server = icap.New(icap.Config{
			Checker: s.gate, Surface: surface, ISTag: s.tag, MaxConnections: serve.MaxConnections,
			MaxBytes: int64(s.running.Limits.MaxDigestBytes), MaxParts: serve.MaxParts,
			HeaderTimeout: time.Duration(serve.HeaderTimeout), ReadTimeout: time.Duration(serve.ReadTimeout),
			IdleTimeout: time.Duration(serve.IdleTimeout), Logger: log,
		})
		return built, nil
	}
	handler, err := s.handler(l, built)
	if err != nil {
		return nil, err
	}
	built.server, err = hook.NewServer(hook.ServerConfig{
		Handler: handler, TLS: security, ReadHeaderTimeout: time.Duration(serve.HeaderTimeout), ReadTimeout: time.Duration(serve.ReadTimeout),
		IdleTimeout: time.Duration(serve.IdleTimeout), RequestTimeout: time.Duration(serve.RequestTimeout),
		MaxConnections: serve.MaxConnections, Logger: log,
	})
	return built, err
}

// tag changes with whatever may change the answer for the same upload.
func (s *Service) tag() string {
	return fmt.Sprintf("%d-%d-%s", s.changed.Load(), s.changes.Load(), s.engine.Policy().Revision())
}

// handler makes the handler of a dialect over HTTP.
func (s *Service) handler(l config.Listener, built *listener) (http.Handler, error) {
	if l.Dialect == config.DialectMetrics {
		return s.watching(), nil
	}
	log := s.log.With("listener", l.Name)
	auth, err := hook.NewAuth(s.access(l))
	if err != nil {
		return nil, err
	}
	s.auths = append(s.auths, auth)
	surface := func() (hashmatch.Surface, error) { return s.engine.Surface(l.Surface) }
	caller := func(r *http.Request) string { return hook.CallerOf(r.Context()).Name }
	rules := func() hashmatch.Policy { _, p := s.engine.Rules(); return p }
	var handler http.Handler
	switch l.Dialect {
	case config.DialectHTTP:
		api := hook.APIConfig{
			Checker: s.gate, Surfaces: s.engine.Surface, Auth: auth, Surface: l.Surface, Hasher: s.engine.Scanner,
			Lists: s.engine.Lists, Policy: rules, Ready: s.judging, Status: s.status,
			MaxBytes: int64(s.running.Limits.MaxDigestBytes), MaxParts: s.running.Serve.MaxParts,
			StatusByVerdict: l.StatusByVerdict, Logger: log,
		}
		if s.review != nil {
			api.Review = queue{s.review}
		}
		if s.breaker != nil {
			api.Breaker = breaker{s}
		}
		return hook.NewAPI(api) // it asks auth itself: its endpoints need different scopes
	case config.DialectHMA:
		return hma.New(hma.Config{
			Checker: s.gate, Surface: surface, Hasher: s.engine.Scanner, Lists: s.engine.Lists, Policy: rules, Ready: s.ready.Ready,
			Authorize: func(r *http.Request) (hook.Caller, error) { return auth.Authorize(r, hook.ScopeLookup) },
			MaxBytes:  int64(s.running.Limits.MaxDigestBytes), Logger: log,
		})
	case config.DialectClamAVREST:
		handler = clamavrest.New(clamavrest.Config{
			Checker: s.gate, Surface: surface, MaxParts: s.running.Serve.MaxParts, Caller: caller,
			Version: s.options.Version, Ready: s.judging, Stats: s.gate.Stats, Logger: log,
		})
	case config.DialectPictRS:
		handler = pictrs.New(pictrs.Config{Checker: s.gate, Surface: surface, Caller: caller, Logger: log})
	case config.DialectTusd:
		uploads, err := tusd.New(tusd.Config{
			Checker: s.gate, Surface: surface, Ready: s.judging, Store: l.Store, Held: l.Held, Forward: l.Forward, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		built.run, built.close = uploads.Run, uploads.Close
		s.uploads = append(s.uploads, heldUploads{l.Surface, uploads})
		handler = uploads
	default:
		return nil, fmt.Errorf("no server for the dialect %q", l.Dialect)
	}
	return auth.Require(forSurface(l.Surface, handler), hook.ScopeScan), nil
}

// forSurface refuses callers whose token is for other surfaces.
func forSurface(surface string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hook.CallerOf(r.Context()).MayUse(surface) {
			hook.WriteRefusal(w, hook.ErrForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// access says who may use a listener.
func (s *Service) access(l config.Listener) hook.AuthConfig {
	c := hook.AuthConfig{Tokens: s.tokens}
	for _, scope := range l.Anonymous {
		c.Anonymous = append(c.Anonymous, hook.Scope(scope))
	}
	if l.ClientCA != "" {
		c.Certified = []hook.Scope{hook.ScopeScan}
	}
	return c
}

// certificate is a key pair, and the authorities of client certificates, that are read again when their files change.
type certificate struct {
	files  config.Listener
	config atomic.Pointer[tls.Config]
}

func (c *certificate) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	switch c.files.Dialect {
	case config.DialectClamd, config.DialectICAP:
	default:
		out.NextProtos = []string{"h2", "http/1.1"}
	}
	if c.files.ClientCA != "" {
		text, err := os.ReadFile(c.files.ClientCA)
		if err != nil {
			return nil, err
		}
		out.ClientCAs = x509.NewCertPool()
		if !out.ClientCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("client_ca: no certificate in it")
		}
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}

// tlsOf returns the TLS configuration of a listener; nil if it has none.
func (s *Service) tlsOf(l config.Listener) (*tls.Config, error) {
	if l.Certificate == "" {
		return nil, nil
	}
	if info, err := os.Stat(l.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("key: its mode is %04o: everybody can read it; chmod 600 it", info.Mode().Perm())
	}
	c := &certificate{files: l}
	first, err := c.load()
	if err != nil {
		return nil, err
	}
	c.config.Store(first)
	s.certificates = append(s.certificates, c)
	out := first.Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config.Load(), nil }
	return out, nil
}
