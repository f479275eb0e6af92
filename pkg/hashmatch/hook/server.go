package hook

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// ServerConfig is what a Server is made of. Only Handler is required.
type ServerConfig struct {
	Handler http.Handler
	// TLS has the certificates, and the authorities of client certificates where there are any; nil means none of it.
	// Its GetCertificate or GetConfigForClient can change certificates while the server runs.
	TLS               *tls.Config
	ReadHeaderTimeout time.Duration // from the first byte of a request to the end of its headers; 0 means DefaultReadHeaderTimeout
	ReadTimeout       time.Duration // between two reads of a body; 0 means DefaultReadTimeout
	IdleTimeout       time.Duration // between two requests; 0 means DefaultIdleTimeout
	RequestTimeout    time.Duration // for a whole request; 0 means DefaultRequestTimeout
	MaxConnections    int           // 0 means DefaultMaxConnections
	MaxHeaderBytes    int           // 0 means DefaultMaxHeaderBytes
	Logger            *slog.Logger  // nil means silence
}

// The defaults of ServerConfig.
const (
	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultReadTimeout       = 30 * time.Second
	DefaultIdleTimeout       = 2 * time.Minute
	DefaultRequestTimeout    = 5 * time.Minute
	DefaultMaxHeaderBytes    = 32 << 10
)

// Server serves a dialect that is HTTP/1.1. A request that comes slower than the timeouts is cut off, wherever it
// stops. When there are more than MaxConnections, the one that has longest been without a request in a handler makes
// room for the new one; if all have one, the new one waits. HTTP/2 is not offered: one connection is one request at a
// time, so that the bound on connections is one on requests.
//
// A handler that panics is answered with a problem. It is safe for concurrent use.
type Server struct {
	config ServerConfig
	http   *http.Server
	conns  connections
}

// NewServer returns a Server. Serve may be called for several listeners.
func NewServer(config ServerConfig) (*Server, error) {
	if config.Handler == nil {
		return nil, errors.New("server: no handler")
	}
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&config.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	fill(&config.ReadTimeout, DefaultReadTimeout)
	fill(&config.IdleTimeout, DefaultIdleTimeout)
	fill(&config.RequestTimeout, DefaultRequestTimeout)
	if config.MaxConnections <= 0 {
		config.MaxConnections = DefaultMaxConnections
	}
	if config.MaxHeaderBytes <= 0 {
		config.MaxHeaderBytes = DefaultMaxHeaderBytes
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.TLS != nil {
		config.TLS = config.TLS.Clone()
		config.TLS.NextProtos = []string{"http/1.1"}
		if config.TLS.MinVersion == 0 {
			config.TLS.MinVersion = tls.VersionTLS12
		}
	}
	s := &Server{config: config}
	s.conns.init(config.MaxConnections)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: config.ReadHeaderTimeout,
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    config.MaxHeaderBytes,
		Protocols:         protocols,
		ErrorLog:          log.New(discardable{config.Logger}, "", 0),
		ConnState:         s.conns.changed,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return s, nil
}

type connKey struct{}

// discardable passes what net/http complains of (handshakes that fail, mostly) on as debug messages.
type discardable struct{ logger *slog.Logger }

func (d discardable) Write(p []byte) (int, error) {
	d.logger.Debug("http", "message", string(p))
	return len(p), nil
}

// Serve accepts connections until Shutdown, and then returns ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	limited := &limitedListener{Listener: l, conns: &s.conns}
	var err error
	if s.config.TLS != nil {
		err = s.http.Serve(tls.NewListener(limited, s.config.TLS))
	} else {
		err = s.http.Serve(limited)
	}
	if errors.Is(err, http.ErrServerClosed) || s.conns.ended() {
		return ErrServerClosed
	}
	return err
}

// Connections returns how many connections there are.
func (s *Server) Connections() int { return s.conns.count() }

// Shutdown accepts no more, closes the connections that have no request, and waits for the others until ctx is done;
// then it closes them too and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.conns.close()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // what is left of them
	}
	return err
}

// handle bounds the time of one request and turns a panic into an answer.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		s.conns.busy(conn)
	}
	started := time.Now()
	control := http.NewResponseController(w)
	body := &timedBody{
		ReadCloser: r.Body, control: control, idle: s.config.ReadTimeout, end: started.Add(s.config.RequestTimeout),
	}
	body.extend(started)
	// The answer is short: what does not fit into the socket's buffer waits no longer than a read would.
	_ = control.SetWriteDeadline(body.end.Add(s.config.ReadTimeout))
	ctx, cancel := context.WithDeadline(r.Context(), body.end)
	defer cancel()
	timed := r.WithContext(ctx) // net/http looks at the body of its own request: whether a client waits for "100 Continue"
	if r.Body != nil && r.Body != http.NoBody {
		timed.Body = body
	}
	answer := &answerWriter{ResponseWriter: w}
	defer func() {
		failure := recover()
		if failure == nil {
			return
		}
		if failure == http.ErrAbortHandler {
			panic(failure)
		}
		s.config.Logger.Error("a request ended in a panic", "panic", failure, "stack", string(debug.Stack()))
		if answer.begun {
			panic(http.ErrAbortHandler)
		}
		WriteProblem(answer, problemInternal)
	}()
	s.config.Handler.ServeHTTP(answer, timed)
}

// timedBody gives each read of a body its deadline.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	end     time.Time // of the whole request
	set     time.Time // when the deadline was set last
}

func (b *timedBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > b.idle/16 { // a system call less for most reads
		b.extend(now)
	}
	return b.ReadCloser.Read(p)
}

func (b *timedBody) extend(now time.Time) {
	deadline := now.Add(b.idle)
	if deadline.After(b.end) {
		deadline = b.end
	}
	b.set = now
	_ = b.control.SetReadDeadline(deadline) // a writer that cannot is none of a connection: nothing to wait for
}

// answerWriter remembers whether an answer has begun.
type answerWriter struct {
	http.ResponseWriter
	begun bool
}

func (w *answerWriter) WriteHeader(status int) {
	w.begun = w.begun || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// connections are those of one server. Each has a slot; those without a request in a handler are in idle, longest
// first.
type connections struct {
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	idle *list.List                 // of *limitedConn
	all  map[net.Conn]*limitedConn  // by what net/http calls the connection: a *tls.Conn, for one
	of   map[net.Conn]*list.Element // by the same
}

func (c *connections) init(limit int) {
	c.slots, c.closed = make(chan struct{}, limit), make(chan struct{})
	c.idle, c.all, c.of = list.New(), make(map[net.Conn]*limitedConn), make(map[net.Conn]*list.Element)
}

func (c *connections) close() { c.once.Do(func() { close(c.closed) }) }

func (c *connections) ended() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *connections) count() int { return len(c.slots) }

// take waits for a slot, making room if it can. It returns false when the server shuts down.
func (c *connections) take() bool {
	for {
		select {
		case <-c.closed:
			return false
		case c.slots <- struct{}{}:
			return true
		default:
		}
		if c.evict() { // its slot is free
			continue
		}
		select {
		case <-c.closed:
			return false
		case c.slots <- struct{}{}:
			return true
		case <-time.After(20 * time.Millisecond): // one may have ended its request, and be idle
		}
	}
}

// grace is how long a connection may be without a request before it has to make room: the request of one that has just
// been accepted is on its way.
const grace = 100 * time.Millisecond

// evict closes the connection that has longest been without a request.
func (c *connections) evict() bool {
	c.mu.Lock()
	front := c.idle.Front()
	if front == nil || time.Since(front.Value.(*limitedConn).since) < grace {
		c.mu.Unlock()
		return false
	}
	conn := front.Value.(*limitedConn)
	c.idle.Remove(front)
	delete(c.of, conn.known)
	c.mu.Unlock()
	conn.Close()
	return true
}

// changed is told of the states of connections by net/http.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		one := c.all[conn]
		if one == nil {
			if one = limitedOf(conn); one == nil {
				return
			}
			one.known = conn
			c.all[conn] = one
		}
		if c.of[conn] == nil {
			one.since = time.Now()
			c.of[conn] = c.idle.PushBack(one)
		}
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
		delete(c.all, conn)
	}
}

// busy says that a request has come over a connection: it is not closed to make room.
func (c *connections) busy(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(conn)
}

func (c *connections) forget(conn net.Conn) {
	if element := c.of[conn]; element != nil {
		c.idle.Remove(element)
		delete(c.of, conn)
	}
}

// limitedListener gives each connection that it accepts a slot.
type limitedListener struct {
	net.Listener
	conns *connections
}

func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.conns.take() {
		conn.Close()
		return nil, net.ErrClosed
	}
	return &limitedConn{Conn: conn, conns: l.conns}, nil
}

type limitedConn struct {
	net.Conn
	conns *connections
	known net.Conn  // what net/http calls it
	since time.Time // since when it has been without a request
	once  sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.conns.slots })
	return err
}

// CloseWrite lets net/http end its side first, so that an answer is not lost to what the client still sends.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func limitedOf(conn net.Conn) *limitedConn {
	if wrapped, ok := conn.(*tls.Conn); ok {
		conn = wrapped.NetConn()
	}
	limited, _ := conn.(*limitedConn)
	return limited
}
