package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ListenOptions say who can reach a listener.
type ListenOptions struct {
	// UnixMode are the permissions of a unix socket; 0 means 0600. Nobody can connect before it has them.
	UnixMode fs.FileMode
	// Guarded says that the listener will speak TLS, or that every caller needs a token.
	Guarded bool
	// Insecure allows to listen beyond this machine although the listener is not guarded.
	Insecure bool
}

// The refusals of Listen.
var (
	ErrExposed   = errors.New("it can be reached from other machines, without TLS or tokens")
	ErrInUse     = errors.New("another process answers on it")
	ErrNotSocket = errors.New("there is a file that is no socket")
)

// Listen listens on a TCP address ("tcp", HOST:PORT) or a unix socket ("unix", PATH). It refuses, with an error that
// wraps ErrExposed, an address that other machines can reach unless the options allow it. A socket that an earlier
// process left behind is taken over if nobody answers on it; any other file at its path is left alone.
func Listen(network, address string, options ListenOptions) (net.Listener, error) {
	var l net.Listener
	var err error
	switch network {
	case "tcp", "tcp4", "tcp6":
		l, err = listenTCP(network, address, options)
	case "unix":
		l, err = listenUnix(address, options)
	default:
		err = errors.New("want tcp or unix")
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s %s: %w", network, address, err)
	}
	return l, nil
}

func listenTCP(network, address string, options ListenOptions) (net.Listener, error) {
	open := options.Guarded || options.Insecure
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); !open && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, ErrExposed
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if bound, ok := l.Addr().(*net.TCPAddr); !open && (!ok || !bound.IP.IsLoopback()) { // what "localhost" may mean
		l.Close()
		return nil, ErrExposed
	}
	return l, nil
}

// maxSocketPath is what every system can connect to: 104 bytes on BSD and macOS, with a zero byte at the end.
const maxSocketPath = 103

// listenUnix binds the socket in a folder that only this user can enter, sets its permissions, and only then moves it to
// its path: a umask would be the whole process's.
func listenUnix(path string, options ListenOptions) (net.Listener, error) {
	if path == "" || path[0] == '@' || path[0] == 0 {
		return nil, errors.New("want the path of a file: an abstract socket has no permissions")
	}
	if len(path) > maxSocketPath { // the temporary path may fit where this one does not
		return nil, fmt.Errorf("the path is longer than %d bytes: nobody could connect to it", maxSocketPath)
	}
	mode := options.UnixMode
	if mode == 0 {
		mode = 0o600
	}
	if mode&^0o777 != 0 {
		return nil, fmt.Errorf("mode %#o: want permissions only", uint32(mode))
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), ".s") // 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	temporary := filepath.Join(folder, "s")
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	bound.SetUnlinkOnClose(false) // of the temporary path
	l := &unixListener{UnixListener: bound, path: path}
	if err := os.Chmod(temporary, mode); err != nil {
		l.Close()
		return nil, err
	}
	if l.file, err = os.Lstat(temporary); err != nil {
		l.Close()
		return nil, err
	}
	if err := clearSocket(path); err != nil { // whatever came there meanwhile
		l.Close()
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// clearSocket returns nil if the path is free, or holds a socket on which nobody answers, which is then removed.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return ErrNotSocket
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return ErrInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInUse, err) // one that cannot be asked, or is too busy to answer
}

// unixListener removes its socket when it is closed, unless another one has taken its place.
type unixListener struct {
	*net.UnixListener
	path  string
	file  fs.FileInfo // nil while the socket is at its temporary path
	close sync.Once
}

func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *unixListener) Close() error {
	l.close.Do(func() {
		if l.file == nil {
			return
		}
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
			_ = os.Remove(l.path) // a socket that is left behind is taken over by the next process
		}
	})
	return l.UnixListener.Close()
}
