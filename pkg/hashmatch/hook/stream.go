package hook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Checker answers for uploads: a *gate.Gate.
type Checker interface {
	Check(ctx context.Context, u gate.Upload) (gate.Outcome, error)
}

// Surfaces returns the declared surface of a name, or an error that wraps hashmatch.ErrSurfaceRefused. It is asked for
// each upload, since a reload of the configuration can change the answer.
type Surfaces func(name string) (hashmatch.Surface, error)

// DefaultMaxConnections is how many connections a StreamServer holds where nothing else is stated.
const DefaultMaxConnections = 1024

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("the server was shut down")

// StreamServer serves a protocol that is no HTTP: one goroutine a connection, at most MaxConnections of them. A
// connection beyond that waits to be accepted. It is safe for concurrent use; its fields must not change after Serve.
type StreamServer struct {
	// Handle speaks the protocol until the conversation ends; the connection is closed when it returns. It sets its
	// own deadlines. ctx is done when the server shuts down: Handle then finishes the command that it is at, and
	// begins none. It says with Owe when a client waits for an answer, and writes through Say. A panic ends the
	// connection, not the server.
	Handle         func(ctx context.Context, conn net.Conn)
	MaxConnections int          // 0 means DefaultMaxConnections
	Logger         *slog.Logger // nil means silence

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]*spoken
	idle      map[net.Conn]bool
	closed    bool
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
	slots     chan struct{}
}

func (s *StreamServer) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.listeners == nil {
		if s.MaxConnections <= 0 {
			s.MaxConnections = DefaultMaxConnections
		}
		s.listeners, s.conns = make(map[net.Listener]struct{}), make(map[net.Conn]*spoken)
		s.idle = make(map[net.Conn]bool)
		s.slots = make(chan struct{}, s.MaxConnections)
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
	return true
}

// Serve accepts connections until Shutdown, and then returns ErrServerClosed. It closes l.
func (s *StreamServer) Serve(l net.Listener) error {
	defer l.Close()
	if !s.start() {
		return ErrServerClosed
	}
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	pause := time.Duration(0)
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return ErrServerClosed
		}
		conn, err := l.Accept()
		if err != nil {
			<-s.slots
			if s.ctx.Err() != nil {
				return ErrServerClosed
			}
			var netError net.Error
			if errors.As(err, &netError) && netError.Timeout() || isTemporary(err) {
				pause = min(max(5*time.Millisecond, 2*pause), time.Second) // out of descriptors, for one
				select {
				case <-time.After(pause):
				case <-s.ctx.Done():
				}
				continue
			}
			return err
		}
		pause = 0
		if !s.admit(conn) {
			<-s.slots
			conn.Close()
			return ErrServerClosed
		}
		go s.serve(conn)
	}
}

func isTemporary(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "accept" && !errors.Is(err, net.ErrClosed)
}

func (s *StreamServer) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = new(spoken)
	s.running.Add(1)
	return true
}

func (s *StreamServer) serve(conn net.Conn) {
	defer func() {
		if r := recover(); r != nil && s.Logger != nil {
			s.Logger.Error("a connection ended in a panic", "panic", r)
		}
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		delete(s.idle, conn)
		s.mu.Unlock()
		<-s.slots
		s.running.Done()
	}()
	s.Handle(s.ctx, conn)
}

// Idle says whether a connection waits for its next command: Shutdown closes it then at once. Handle calls it with
// true before it waits, and with false when the first byte has come. It returns false if the server shuts down.
func (s *StreamServer) Idle(conn net.Conn, idle bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[conn] = idle
	return !s.closed
}

// Connections returns how many connections there are.
func (s *StreamServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// spoken is what is said on one connection, by Handle or by Shutdown.
type spoken struct {
	mu   sync.Mutex
	owed string // what Shutdown says if Handle does not answer in time; "" means that no answer is owed
	over bool   // Shutdown has said it
}

// Owe says that an answer is owed on a connection, and what Shutdown says in its place if Handle has not given it when the
// time is over: many clients take a connection that closes without a word for a pass. "" means that none is owed.
func (s *StreamServer) Owe(conn net.Conn, instead string) {
	if said := s.spoken(conn); said != nil {
		said.mu.Lock()
		said.owed = instead
		said.mu.Unlock()
	}
}

// Say has write write to a connection, and nobody else while it does. With answered it is the answer that was owed. It
// returns ErrServerClosed, without a call of write, if Shutdown has answered.
func (s *StreamServer) Say(conn net.Conn, answered bool, write func() error) error {
	said := s.spoken(conn)
	if said == nil {
		return write()
	}
	said.mu.Lock()
	defer said.mu.Unlock()
	if said.over {
		return ErrServerClosed
	}
	if answered {
		said.owed = ""
	}
	return write()
}

func (s *StreamServer) spoken(conn net.Conn) *spoken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[conn]
}

// lastWords is how long Shutdown takes, after its time, to say what is owed and have it read.
const lastWords = time.Second

// lastWord says what is owed on a connection, and waits for the client to take it: closing with bytes unread would reset
// the connection, and the client could lose the answer.
func lastWord(conn net.Conn, said *spoken) {
	end := time.Now().Add(lastWords)
	_ = conn.SetWriteDeadline(end) // also of what Handle is writing
	said.mu.Lock()
	owed := said.owed
	said.owed, said.over = "", true
	if owed != "" {
		_, _ = io.WriteString(conn, owed) // a client that is gone has no answer
	}
	said.mu.Unlock()
	if owed == "" {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	b := make([]byte, 32<<10)
	for time.Now().Before(end) {
		_ = conn.SetReadDeadline(end) // Handle may set another
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

// Shutdown accepts no more, closes the connections that wait for a command, and waits for the others until ctx is
// done; then it says on each what is owed (see Owe), closes it, a second later at most, and returns the error of ctx.
func (s *StreamServer) Shutdown(ctx context.Context) error {
	if !s.start() {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for l := range s.listeners {
		l.Close()
	}
	for conn := range s.conns {
		if s.idle[conn] {
			conn.Close()
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := maps.Clone(s.conns)
	s.mu.Unlock()
	var saying sync.WaitGroup
	for conn, said := range left {
		closing := time.AfterFunc(lastWords, func() { conn.Close() })
		saying.Go(func() {
			lastWord(conn, said)
			closing.Stop()
			conn.Close()
		})
	}
	saying.Wait()
	<-done
	return ctx.Err()
}
