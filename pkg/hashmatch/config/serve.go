package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Dialect names what a listener speaks.
type Dialect string

// The dialects.
const (
	DialectHTTP       Dialect = "http"        // the HTTP API
	DialectClamd      Dialect = "clamd"       // ClamAV's protocol
	DialectClamAVREST Dialect = "clamav-rest" // clamav-rest's HTTP API
	DialectICAP       Dialect = "icap"        // RFC 3507
	DialectPictRS     Dialect = "pictrs"      // raw bytes posted, the status is the answer
	DialectTusd       Dialect = "tusd"        // tusd's HTTP hooks
	DialectHMA        Dialect = "hma"         // Hasher-Matcher-Actioner's lookups
	DialectMetrics    Dialect = "metrics"     // Prometheus, health and readiness: no uploads
)

// Dialects returns every dialect, in a fixed order.
func Dialects() []Dialect {
	return []Dialect{DialectHTTP, DialectClamd, DialectClamAVREST, DialectICAP, DialectPictRS, DialectTusd, DialectHMA, DialectMetrics}
}

// Scopes returns what a token, or a caller without one, can be allowed to do.
func Scopes() []string { return []string{"scan", "lookup", "admin"} }

// Listener is one address on which hashmatch serve answers. Name, Dialect and Address must be stated.
type Listener struct {
	Name    string  `yaml:"name"`
	Dialect Dialect `yaml:"dialect"`
	Address string  `yaml:"address"` // HOST:PORT or unix:PATH
	Surface string  `yaml:"surface"` // "" for http and metrics only

	Anonymous []string `yaml:"anonymous"` // scopes of callers without a token
	Insecure  bool     `yaml:"insecure"`

	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	ClientCA    string `yaml:"client_ca"`
	UnixMode    string `yaml:"unix_mode"`

	StatusByVerdict bool     `yaml:"status_by_verdict"` // http
	Folders         []string `yaml:"folders"`           // clamd
	Store           string   `yaml:"store"`             // tusd
	Held            string   `yaml:"held"`              // tusd
	Forward         string   `yaml:"forward"`           // tusd
}

// Network returns what net.Listen takes: "tcp" or "unix", and the address.
func (l Listener) Network() (network, address string) {
	if path, found := strings.CutPrefix(l.Address, "unix:"); found {
		return "unix", path
	}
	return "tcp", l.Address
}

// Loopback reports whether only this machine can reach the listener.
func (l Listener) Loopback() bool {
	network, address := l.Network()
	if network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Serve holds the limits of hashmatch serve.
type Serve struct {
	Tokens         string   `yaml:"tokens"`
	Concurrency    int      `yaml:"concurrency" min:"0" max:"4096"` // 0 means one for each core
	Queue          int      `yaml:"queue" min:"1" max:"1000000"`
	QueueTimeout   Duration `yaml:"queue_timeout" min:"1ms" max:"10m"`
	Memory         Size     `yaml:"memory" min:"1MiB" max:"16TiB"`
	MaxConnections int      `yaml:"max_connections" min:"1" max:"1000000"`
	HeaderTimeout  Duration `yaml:"header_timeout" min:"100ms" max:"10m"`
	IdleTimeout    Duration `yaml:"idle_timeout" min:"100ms" max:"1h"`
	ReadTimeout    Duration `yaml:"read_timeout" min:"100ms" max:"1h"`
	RequestTimeout Duration `yaml:"request_timeout" min:"1s" max:"24h"`
	MaxParts       int      `yaml:"max_parts" min:"1" max:"10000"`
	DrainTimeout   Duration `yaml:"drain_timeout" min:"0s" max:"1h"`
	CheckInterval  Duration `yaml:"check_interval" min:"100ms" max:"1h"`
	WatchInterval  Duration `yaml:"watch_interval" min:"0s" max:"24h"`
	LogFormat      string   `yaml:"log_format"`
}

func (s Serve) withDefaults() Serve {
	fill := func(d *Duration, value time.Duration) {
		if *d == 0 {
			*d = Duration(value)
		}
	}
	if s.Queue == 0 {
		s.Queue = 256
	}
	if s.Memory == 0 {
		s.Memory = 512 << 20
	}
	if s.MaxConnections == 0 {
		s.MaxConnections = 1024
	}
	if s.MaxParts == 0 {
		s.MaxParts = 64
	}
	fill(&s.QueueTimeout, 5*time.Second)
	fill(&s.HeaderTimeout, 10*time.Second)
	fill(&s.IdleTimeout, 2*time.Minute)
	fill(&s.ReadTimeout, 30*time.Second)
	fill(&s.RequestTimeout, 5*time.Minute)
	fill(&s.DrainTimeout, 30*time.Second)
	fill(&s.CheckInterval, 5*time.Second)
	fill(&s.WatchInterval, 5*time.Second)
	if s.LogFormat == "" {
		s.LogFormat = "json"
	}
	return s
}

// Quarantine keeps the content of matches, encrypted for people whose key is not here.
type Quarantine struct {
	Directory  string   `yaml:"directory"`
	Recipients []string `yaml:"recipients"`
	Expire     Duration `yaml:"expire" min:"0s" max:"87600h"`
	MaxBytes   Size     `yaml:"max_bytes" min:"0B" max:"1024TiB"`
}

// Review is the database of items that a person decides on.
type Review struct {
	File           string   `yaml:"file"`
	Keep           Duration `yaml:"keep" min:"0s" max:"87600h"`
	Callback       string   `yaml:"callback"`
	CallbackSecret string   `yaml:"callback_secret"`
}

// Audit is the log of every answer.
type Audit struct {
	Directory    string   `yaml:"directory"`
	Sync         string   `yaml:"sync"`
	SegmentBytes Size     `yaml:"segment_bytes" min:"0B" max:"1TiB"`
	Key          string   `yaml:"key"`
	HeadInterval Duration `yaml:"head_interval" min:"0s" max:"24h"`
	HeadFile     string   `yaml:"head_file"`
	HeadSyslog   string   `yaml:"head_syslog"`
	HeadURL      string   `yaml:"head_url"`
}

// Breaker says when an alarm rises, and what becomes of an entry that floods.
type Breaker struct {
	File        string   `yaml:"file"`
	Window      Duration `yaml:"window" min:"0s" max:"168h"`
	MaxShare    int      `yaml:"max_share" min:"0" max:"100"` // percent
	MinUploads  int      `yaml:"min_uploads" min:"0" max:"1000000000"`
	MaxCount    int      `yaml:"max_count" min:"0" max:"1000000000"`
	EntryFactor int      `yaml:"entry_factor" min:"0" max:"1000000"`
	EntryMin    int      `yaml:"entry_min" min:"0" max:"1000000000"`
	Entry       string   `yaml:"entry"`
}

// Traces sends a trace of each upload to an OpenTelemetry collector.
type Traces struct {
	Endpoint string `yaml:"endpoint"`
	Percent  int    `yaml:"percent" min:"0" max:"100"` // 0 means 100
}

// checkService checks the listeners and the sections that go with them.
func (c *Config) checkService() *Error {
	names, addresses := make(map[string]bool), make(map[string]bool)
	for i := range c.Listeners {
		if failure := c.checkListener(i, names, addresses); failure != nil {
			return failure
		}
	}
	if !slices.Contains([]string{"json", "text"}, c.Serve.LogFormat) {
		return c.failAt("serve.log_format", "", "%q: want json or text", c.Serve.LogFormat)
	}
	if needed := 4 * c.Limits.MaxBytes; len(c.Listeners) > 0 && c.Serve.Memory < needed {
		return c.failAt("serve.memory", "", "%s: want at least four times limits.max_bytes, %s", c.Serve.Memory, needed)
	}
	if q := c.Quarantine; q != nil {
		switch {
		case q.Directory == "":
			return c.failAt("quarantine.directory", "", "must be stated")
		case len(q.Recipients) == 0:
			return c.failAt("quarantine.recipients", "", "must be stated: without one nobody could read what is kept")
		}
		for i, r := range q.Recipients {
			if !strings.HasPrefix(r, "age1") {
				return c.failAt(fmt.Sprintf("quarantine.recipients[%d]", i), "", "want the public key of an age identity: age1…")
			}
		}
	}
	if r := c.Review; r != nil {
		switch {
		case r.File == "":
			return c.failAt("review.file", "", "must be stated")
		case r.Callback != "" && r.CallbackSecret == "":
			return c.failAt("review.callback_secret", "", "must be stated with callback: the file of the secret that signs it")
		case r.Callback != "" && !isHTTP(r.Callback):
			return c.failAt("review.callback", "", "want http:// or https://")
		}
	}
	if a := c.Audit; a != nil {
		switch {
		case a.Directory == "":
			return c.failAt("audit.directory", "", "must be stated")
		case !slices.Contains([]string{"", "matches", "all", "none"}, a.Sync):
			return c.failAt("audit.sync", "", "%q: want matches, all or none", a.Sync)
		case a.Key == "" && (a.HeadFile != "" || a.HeadSyslog != "" || a.HeadURL != ""):
			return c.failAt("audit.key", "", "must be stated: heads are signed")
		case a.HeadURL != "" && !isHTTP(a.HeadURL):
			return c.failAt("audit.head_url", "", "want http:// or https://")
		}
	}
	if b := c.Breaker; b != nil {
		switch {
		case !slices.Contains([]string{"", "alarm", "hold", "suspend"}, b.Entry):
			return c.failAt("breaker.entry", "", "%q: want alarm, hold or suspend", b.Entry)
		case b.MaxShare == 0 && b.MaxCount == 0 && b.EntryFactor == 0:
			return c.failAt("breaker", "", "nothing to watch for: state max_share, max_count or entry_factor")
		}
	}
	if t := c.Traces; t != nil && !isHTTP(t.Endpoint) {
		return c.failAt("traces.endpoint", "", "want http:// or https://")
	}
	return nil
}

func isHTTP(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}

func (c *Config) checkListener(i int, names, addresses map[string]bool) *Error {
	l := c.Listeners[i]
	path := fmt.Sprintf("listeners[%d]", i)
	fail := func(key, format string, values ...any) *Error {
		return c.failAt(path+"."+key, l.Name, format, values...)
	}
	if reason := checkName(l.Name); reason != "" {
		return fail("name", "%s", reason)
	}
	if names[l.Name] {
		return fail("name", "another listener has this name")
	}
	names[l.Name] = true
	if !slices.Contains(Dialects(), l.Dialect) {
		return fail("dialect", "%q: want one of %v", l.Dialect, Dialects())
	}
	network, address := l.Network()
	if network == "tcp" {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return fail("address", "%q: want HOST:PORT or unix:PATH", l.Address)
		}
	} else if address == "" {
		return fail("address", "unix: without a path")
	}
	if _, port, _ := net.SplitHostPort(address); port != "0" || network == "unix" {
		if addresses[l.Address] {
			return fail("address", "%s: another listener has this address", l.Address)
		}
		addresses[l.Address] = true
	}
	switch {
	case l.Surface == "" && l.Dialect != DialectHTTP && l.Dialect != DialectMetrics && l.Dialect != DialectHMA:
		return fail("surface", "must be stated: requests of this dialect cannot name one")
	case l.Surface != "" && l.Dialect == DialectMetrics:
		return fail("surface", "metrics has none")
	}
	if l.Surface != "" {
		if _, err := c.Surface(l.Surface); err != nil {
			failure := fail("surface", "%v", err)
			failure.cause = hashmatch.ErrSurfaceRefused
			return failure
		}
	}
	if failure := c.checkAccess(l, fail); failure != nil {
		return failure
	}
	only := func(dialect Dialect, key string, stated bool) *Error {
		if stated && l.Dialect != dialect {
			return fail(key, "belongs to the dialect %s", dialect)
		}
		return nil
	}
	for _, failure := range []*Error{
		only(DialectHTTP, "status_by_verdict", l.StatusByVerdict), only(DialectClamd, "folders", len(l.Folders) > 0),
		only(DialectTusd, "store", l.Store != ""), only(DialectTusd, "held", l.Held != ""), only(DialectTusd, "forward", l.Forward != ""),
	} {
		if failure != nil {
			return failure
		}
	}
	switch {
	case l.Dialect == DialectTusd && l.Store == "":
		return fail("store", "must be stated: the folder in which tusd keeps uploads")
	case l.Dialect == DialectTusd && l.Held == "":
		return fail("held", "must be stated: a folder on the same file system for what may not be served")
	case len(l.Folders) > 0 && network != "unix":
		return fail("folders", "only on a unix socket: over TCP a caller must send the content")
	case l.Forward != "" && !isHTTP(l.Forward):
		return fail("forward", "want http:// or https://")
	}
	return nil
}

// checkAccess checks who can reach a listener.
func (c *Config) checkAccess(l Listener, fail func(key, format string, values ...any) *Error) *Error {
	network, _ := l.Network()
	tls := l.Certificate != "" || l.Key != ""
	for i, scope := range l.Anonymous {
		if !slices.Contains(Scopes()[:2], scope) {
			return fail(fmt.Sprintf("anonymous[%d]", i), "%q: want scan or lookup; administration always takes a token", scope)
		}
	}
	carriesTokens := l.Dialect == DialectHTTP || l.Dialect == DialectHMA || l.Dialect == DialectClamAVREST ||
		l.Dialect == DialectPictRS || l.Dialect == DialectTusd
	switch {
	case (l.Certificate == "") != (l.Key == ""):
		return fail("certificate", "certificate and key go together")
	case l.ClientCA != "" && !tls:
		return fail("client_ca", "wants a certificate and a key")
	case tls && network == "unix":
		return fail("certificate", "a unix socket has no TLS")
	case l.UnixMode != "" && network != "unix":
		return fail("unix_mode", "belongs to a unix socket")
	case l.UnixMode != "" && !octal(l.UnixMode):
		return fail("unix_mode", "%q: want octal digits in quotes, such as \"0660\"", l.UnixMode)
	case !l.Loopback() && !l.Insecure && !tls && (!carriesTokens || c.Serve.Tokens == "" || len(l.Anonymous) > 0):
		return fail("address", "%s can be reached from other machines: state a certificate, or insecure: true if the network keeps strangers out", l.Address)
	case carriesTokens && c.Serve.Tokens == "" && len(l.Anonymous) == 0 && l.ClientCA == "":
		return fail("anonymous", "nobody could use it: state serve.tokens, a client_ca, or the scopes of callers without a token")
	}
	return nil
}

func octal(text string) bool {
	if len(text) < 3 || len(text) > 4 {
		return false
	}
	return strings.Trim(text, "01234567") == ""
}

// resolve makes the paths in c relative to a folder absolute or relative to the working folder.
func (c *Config) resolve(folder string) {
	join := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	for i := range c.Lists {
		join(&c.Lists[i].File)
		for j := range c.Lists[i].Verify {
			join(&c.Lists[i].Verify[j])
		}
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if path, found := strings.CutPrefix(l.Address, "unix:"); found {
			join(&path)
			l.Address = "unix:" + path
		}
		for _, path := range []*string{&l.Certificate, &l.Key, &l.ClientCA, &l.Store, &l.Held} {
			join(path)
		}
		for i := range l.Folders {
			join(&l.Folders[i])
			if absolute, err := filepath.Abs(l.Folders[i]); err == nil { // callers name files by absolute paths
				l.Folders[i] = absolute
			}
		}
	}
	if c.Keys != nil {
		join(&c.Keys.Sign)
		join(&c.Keys.Seen)
		for i := range c.Keys.Identities {
			join(&c.Keys.Identities[i])
		}
	}
	for i := range c.Exchanges {
		join(&c.Exchanges[i].Credentials)
	}
	join(&c.Guards.Clean)
	join(&c.Guards.Folder)
	join(&c.Serve.Tokens)
	if c.Quarantine != nil {
		join(&c.Quarantine.Directory)
	}
	if c.Review != nil {
		join(&c.Review.File)
		join(&c.Review.CallbackSecret)
	}
	if c.Feedback != nil {
		join(&c.Feedback.Folder)
	}
	if c.Audit != nil {
		join(&c.Audit.Directory)
		join(&c.Audit.Key)
		join(&c.Audit.HeadFile)
	}
	if c.Breaker != nil {
		join(&c.Breaker.File)
	}
}
