package icap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// Config is what a Server is made of. Checker and Surface are required: without them every upload is blocked.
type Config struct {
	Checker hook.Checker
	// Surface returns the surface that the uploads are published on. It is asked once for each request, before its
	// body is read; if it returns an error, the request is blocked and the connection closed.
	Surface func() (hashmatch.Surface, error)
	// Services names the services that are answered: the path of the ICAP address, without slashes at its ends and
	// without its query. nil means DefaultServices; an empty slice that is not nil means any path.
	Services []string
	// ISTag returns a text that changes whenever the answer for the same upload may: with the lists' revisions and
	// the policy. Clients drop what they remember when it changes. nil means a constant.
	ISTag func() string

	MaxConnections int   // 0 means hook.DefaultMaxConnections
	MaxBytes       int64 // longest body, as sent and unpacked: a longer one is blocked whatever the policy says; 0 means DefaultMaxBytes
	MaxParts       int   // parts of one multipart body, fields included; 0 means DefaultMaxParts
	// MaxEcho is the longest body, in bytes, that is kept to be sent back to a client that takes no 204, and
	// EchoMemory how much is kept for all clients together. A clean upload beyond them is blocked, since it cannot be
	// sent back. 0 means DefaultMaxEcho and DefaultEchoMemory.
	MaxEcho    int64
	EchoMemory int64

	HeaderTimeout time.Duration // for the headers of a request, from its first byte; 0 means DefaultHeaderTimeout
	// ReadTimeout is how long a client may be silent within a body, or not read an answer. A body must also come at
	// MinRate at least, after a grace of ReadTimeout. 0 means DefaultReadTimeout.
	ReadTimeout time.Duration
	IdleTimeout time.Duration // between two requests; 0 means DefaultIdleTimeout

	Logger *slog.Logger // for what no Checker sees: malformed requests, refused surfaces; nil means silence
}

// The defaults of Config.
const (
	DefaultMaxBytes      = hashmatch.DefaultMaxDigestBytes
	DefaultMaxParts      = 1000
	DefaultMaxEcho       = 16 << 20
	DefaultEchoMemory    = 128 << 20
	DefaultHeaderTimeout = 30 * time.Second
	DefaultReadTimeout   = 2 * time.Minute
	DefaultIdleTimeout   = 2 * time.Minute
)

// MinRate is the slowest that a body may come, in bytes a second: that of a telephone with a poor connection.
const MinRate = 8 << 10

// DefaultServices are the names that clients use if nothing else is configured.
func DefaultServices() []string { return []string{"avscan", "scan", "reqmod", "respmod"} }

// Server answers ICAP requests. It is safe for concurrent use.
//
// Beside what the Checker holds, a connection takes 8 KiB, and up to 64 KiB of ICAP headers, 160 KiB of HTTP headers,
// 128 KiB of a form and 40 KiB to unpack while a request is read.
type Server struct {
	config  Config
	streams *hook.StreamServer
	echoed  atomic.Int64 // bytes kept to be sent back
}

// New returns a Server with its own copy of config.
func New(config Config) *Server {
	if config.Services == nil {
		config.Services = DefaultServices()
	}
	config.Services = slices.Clone(config.Services)
	if config.MaxConnections <= 0 {
		config.MaxConnections = hook.DefaultMaxConnections
	}
	setDefault(&config.MaxBytes, DefaultMaxBytes)
	setDefault(&config.MaxParts, DefaultMaxParts)
	setDefault(&config.MaxEcho, DefaultMaxEcho)
	setDefault(&config.EchoMemory, DefaultEchoMemory)
	setDefault(&config.HeaderTimeout, DefaultHeaderTimeout)
	setDefault(&config.ReadTimeout, DefaultReadTimeout)
	setDefault(&config.IdleTimeout, DefaultIdleTimeout)
	s := &Server{config: config}
	s.streams = &hook.StreamServer{Handle: s.converse, MaxConnections: config.MaxConnections, Logger: config.Logger}
	return s
}

func setDefault[T int | int64 | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Serve accepts connections until Shutdown, and then returns hook.ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.streams.Serve(l) }

// Shutdown accepts no more, closes the connections that wait for a request, and waits until the requests that were
// begun are answered or ctx is done; then it says that what they sent is held, closes their connections, a second later at
// most, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error { return s.streams.Shutdown(ctx) }

// Connections returns how many connections there are.
func (s *Server) Connections() int { return s.streams.Connections() }

// serves says whether a service of this name is answered.
func (s *Server) serves(name string) bool {
	return len(s.config.Services) == 0 || slices.Contains(s.config.Services, name)
}

// tagLength is the length of the longest ISTag that RFC 3507 allows, in bytes.
const tagLength = 32

// tag returns the ISTag: the configured text, or its digest if it is too long or holds what a quoted string cannot.
func (s *Server) tag() string {
	if s.config.ISTag == nil {
		return "hashmatch"
	}
	text := s.config.ISTag()
	if text != "" && len(text) <= tagLength && strings.IndexFunc(text, unfitForTag) < 0 {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:tagLength/2])
}

func unfitForTag(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

func (s *Server) log(message string, attributes ...any) {
	if s.config.Logger != nil {
		s.config.Logger.Warn("icap: "+message, attributes...)
	}
}
