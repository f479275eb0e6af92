// Package clamd speaks the protocol of ClamAV's daemon, over TCP and over unix sockets, so that what asks clamd today
// asks hashmatch instead.
//
//	connection -> command -> upload (stream, descriptor or path) -> gate -> one reply -> close, unless in a session
//
// What it promises, whatever the client does:
//
//   - "OK" is said of an upload that the gate allowed and of which the last byte has come, and of nothing else.
//   - Every hold is "NAME FOUND", also those for the service's own state: many clients publish on "ERROR", and some on a
//     connection that closes without a word, so the server says something before it closes one on which it owes an
//     answer. The one exception is the limit MaxStreamBytes, which has ClamAV's own words.
//   - NAME is Hashmatch.Hold.REASON or Hashmatch.Block.Match, of letters and dots: it tells neither list nor distance.
//   - A connection takes one goroutine and a fixed buffer; every wait has a deadline.
//   - No file name, path or byte of an upload is logged or kept.
//
// The commands are PING, VERSION, VERSIONCOMMANDS, STATS, INSTREAM, IDSESSION and END; on unix sockets FILDES, and SCAN,
// CONTSCAN, MULTISCAN and ALLMATCHSCAN of regular files below Config.Folders. RELOAD, SELFCHECK and SHUTDOWN are refused.
package clamd

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// Config is what a Server is made of. Without Checker or Surface every upload is held.
type Config struct {
	Checker hook.Checker
	// Surface returns the declared surface that the listener is bound to, or why there is none. It is asked for each
	// upload, since a reload can change the answer.
	Surface func() (hashmatch.Surface, error)

	// Version is hashmatch's, as VERSION tells it; "" means "unknown".
	Version string
	// Lists returns a number that grows whenever the lists change, and when they last did: VERSION tells both, and
	// Discourse scans what it stores again when the number has grown. nil means 1 and the time of New.
	Lists func() (number int64, changed time.Time)
	Stats func() gate.Stats // for STATS; nil means zeros

	// Folders are those below which SCAN and its kin may read, as absolute paths; links are followed inside of one,
	// never out of it. Empty means no SCAN. They and FILDES are for unix sockets only.
	Folders []string
	// MaxStreamBytes is ClamAV's StreamMaxLength: the longest INSTREAM, which beyond it is answered with "INSTREAM size
	// limit exceeded. ERROR". 0 means none, and is what to choose: an upload that is too long for the Checker is
	// FOUND, whereas some clients publish on ERROR.
	MaxStreamBytes int64

	CommandTimeout time.Duration // for the first command to come, and for a reply to be taken; 0 means 30 s
	ReadTimeout    time.Duration // for the next bytes of a stream; 0 means 120 s
	IdleTimeout    time.Duration // between two commands of a session; 0 means 120 s
	// RequestTimeout bounds the time from the first byte of a stream to its last; 0 means 5 minutes. What comes after
	// it is still read, for as long again, and thrown away: a client that is cut off may send the rest as a new upload.
	RequestTimeout time.Duration
	MaxConnections int          // 0 means hook.DefaultMaxConnections
	Logger         *slog.Logger // nil means silence
}

// Server answers. It is safe for concurrent use, and can serve several listeners.
type Server struct {
	config Config
	stream hook.StreamServer
}

// New returns a Server. It copies config.
func New(config Config) *Server {
	config.Version = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("/|:", r) {
			return '-'
		}
		return r
	}, config.Version)
	if config.Version == "" {
		config.Version = "unknown"
	}
	if config.Lists == nil {
		made := time.Now()
		config.Lists = func() (int64, time.Time) { return 1, made }
	}
	if config.Stats == nil {
		config.Stats = func() gate.Stats { return gate.Stats{} }
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&config.CommandTimeout, 30*time.Second)
	fill(&config.ReadTimeout, 120*time.Second)
	fill(&config.IdleTimeout, 120*time.Second)
	fill(&config.RequestTimeout, 5*time.Minute)
	config.Folders = append([]string(nil), config.Folders...)
	s := &Server{config: config}
	s.stream = hook.StreamServer{Handle: s.handle, MaxConnections: config.MaxConnections, Logger: config.Logger}
	return s
}

// Serve accepts connections until Shutdown, and then returns hook.ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.stream.Serve(l) }

// Shutdown accepts no more, answers what is under way, and tells the connections that wait for a command that what they
// were about to send is held. When ctx is done it says the same where an answer is still owed, closes what is left, a
// second later at most, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error { return s.stream.Shutdown(ctx) }

// Connections returns how many connections there are.
func (s *Server) Connections() int { return s.stream.Connections() }
