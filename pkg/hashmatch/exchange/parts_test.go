package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{List: "l", File: "l.hml", Dialect: NCMEC, Address: "https://exchange.example/base", Credentials: testCredentials[NCMEC]}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"no name":              func(c *Config) { c.List = "" },
		"no file":              func(c *Config) { c.File = "" },
		"dialect":              func(c *Config) { c.Dialect = "gopher" },
		"want https":           func(c *Config) { c.Address = "http://exchange.example" },
		"do not belong":        func(c *Config) { c.Address = "https://u:" + url.QueryEscape(secretPassword) + "@exchange.example" },
		"a query":              func(c *Config) { c.Address = "https://exchange.example/?a=b" },
		"a fragment":           func(c *Config) { c.Address = "https://exchange.example/#a" },
		"want https://HOST":    func(c *Config) { c.Address = "exchange.example" },
		"wants user":           func(c *Config) { c.Credentials = testCredentials[StopNCII] },
		"they have none":       func(c *Config) { c.Credentials = Credentials{} },
		"control character":    func(c *Config) { c.Credentials.Password = "a\nb" },
		"a colon":              func(c *Config) { c.Credentials.User = "a:b" },
		"group: threat":        func(c *Config) { c.Group = "1" },
		"others have none":     func(c *Config) { c.Dialect, c.Credentials = ThreatExchange, testCredentials[ThreatExchange] },
		"wants token, they":    func(c *Config) { c.Dialect, c.Group = ThreatExchange, "1" },
		"or token, or user an": func(c *Config) { c.Dialect, c.Credentials = File, testCredentials[StopNCII] },
	} {
		c := good
		change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		silent(t, "an error", fmt.Sprint(err))
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://a.example": true, "https://10.0.0.1:8443/x": true, "http://127.0.0.1:80": true, "http://localhost/": true, "http://[::1]:1": true,
		"http://127.0.0.1.evil.example": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false, "http://localhost.example": false,
		"//a": false, "": false, "https:a": false, "https://": false, "http://0x7f.1/": false, "https://a\x00b": false,
	} {
		if err := CheckAddress(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "credentials")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("# made up\n\n user = synthetic \npassword="+secretPassword+"\n", 0o600)
	if c, err := ReadCredentials(path); err != nil || c != testCredentials[NCMEC] {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		"password=" + secretPassword + "\npassword=x": "line 2: stated twice", secretPassword: "line 1: want NAME=VALUE",
		"pass=" + secretPassword: "line 1: want NAME=VALUE", "token=": "line 1: empty", "token=" + strings.Repeat("x", 5000): "longer than",
		strings.Repeat("#", 20<<10): "bytes, at most",
	} {
		write(text, 0o600)
		_, err := ReadCredentials(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		silent(t, "an error", fmt.Sprint(err))
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644} {
		write("token=x", mode)
		if _, err := ReadCredentials(path); err == nil || !strings.Contains(err.Error(), "others can read it") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := ReadCredentials(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

func TestCredentialsEnvironment(t *testing.T) {
	t.Setenv("SYN_FUNCTION_KEY", secretFunction)
	t.Setenv("SYN_SUBSCRIPTION_KEY", secretKey)
	if c, err := EnvironmentCredentials("SYN"); err != nil || c != testCredentials[StopNCII] {
		t.Errorf("%v", err)
	}
	if _, err := EnvironmentCredentials("NOBODY"); err == nil {
		t.Error("credentials of nobody")
	}
}

// TestCredentialsAreSilent prints credentials in every way.
func TestCredentialsAreSilent(t *testing.T) {
	t.Parallel()
	for _, c := range testCredentials {
		text, err := json.Marshal(struct{ C Credentials }{c})
		if err != nil {
			t.Fatal(err)
		}
		silent(t, "print", fmt.Sprintf("%v %+v %#v %s %q %x %d %v %s", c, c, c, c, c, c, c, &c, text))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999": 0, "Thu, 01 Jan 2026 00:01:00 GMT": time.Minute,
		"Wed, 31 Dec 2025 00:00:00 GMT": 0, "4294967295": 0,
	} {
		if got := retryAfter(text, date); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestWindowsEnd proves that windows become a second within 80 steps, whatever an exchange sends.
func TestWindowsEnd(t *testing.T) {
	t.Parallel()
	start := beginning
	for _, at := range []func(to time.Time) time.Time{
		func(to time.Time) time.Time { return to }, func(time.Time) time.Time { return start.Add(time.Second) }, func(time.Time) time.Time { return start },
	} {
		steps := 0
		for to := start.AddDate(200, 0, 0); to.Sub(start) > time.Second; steps++ {
			span := shorter([]hashmatch.Entry{{Updated: at(to)}}, start, to)
			if span < time.Second || span >= to.Sub(start) || steps > 80 || span%time.Second != 0 {
				t.Fatalf("%s of %s after %d", span, to.Sub(start), steps)
			}
			to = start.Add(span)
		}
	}
	for _, count := range []int{0, 1, 10, 1000, 100_000} {
		for _, span := range []time.Duration{time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
			if got := longer(span, count, 1000); got < time.Second || got > 200*365*24*time.Hour {
				t.Errorf("%s after %d in %s", got, count, span)
			}
		}
	}
}

func sampleCheckpoint() Checkpoint {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Checkpoint{Version: checkpointVersion, Exchange: strings.Repeat("ab", 32), Begun: at, Through: at, Synced: at, ETag: `"x"`, Modified: "Thu"}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	want := sampleCheckpoint()
	text, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseCheckpoint(text); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{
		"", "{}", "null", "[]", string(text) + "{}", strings.Replace(string(text), `"version":1`, `"version":0`, 1), strings.Replace(string(text), "ab", "xx", 1),
		strings.Replace(string(text), `"begun"`, `"begin"`, 1), strings.Replace(string(text), "2026", "1026", 1), strings.Replace(string(text), "Thu", `\n`, 1),
		strings.Repeat(" ", maxCheckpointBytes+1),
	} {
		if _, err := ParseCheckpoint([]byte(wrong)); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%.80q: %v", wrong, err)
		}
	}
	newer := strings.Replace(string(text), `"version":1`, `"version":2,"more":1`, 1)
	if _, err := ParseCheckpoint([]byte(newer)); !errors.Is(err, ErrCheckpointVersion) {
		t.Errorf("%v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	text, err := sampleCheckpoint().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			if !errors.Is(err, ErrCheckpoint) && !errors.Is(err, ErrCheckpointVersion) {
				t.Fatal(err)
			}
			return
		}
		again, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseCheckpoint(again)
		if err != nil || back != c {
			t.Fatalf("%+v, %+v, %v", c, back, err)
		}
	})
}

func FuzzEnvelopes(f *testing.F) {
	f.Add([]byte(`<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><paging><next>/v2/entries?start=2</next></paging></queryResult>`))
	f.Add([]byte(`{"data":[],"paging":{"next":"https://a.example/?access_token=x&after=2"}}`))
	f.Add([]byte(`{"hashRecords":[],"hasMoreRecords":true,"nextPageToken":"t","nextSetTimestamp":5}`))
	base, err := checkBase("https://exchange.example/base")
	if err != nil {
		f.Fatal(err)
	}
	c := &client{base: base}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, envelope := range []func([]byte) (page, error){ncmecEnvelope, threatExchangeEnvelope, stopNCIIEnvelope} {
			p, err := envelope(bytes.Clone(body))
			if err != nil {
				continue
			}
			if u, err := (ncmec{c}).next(p.next); err == nil && (!sameOrigin(u, base) || u.User != nil) {
				t.Fatalf("%q", u)
			}
			if u, err := (threatExchange{client: c}).next(p.next); err == nil && (!sameOrigin(u, base) || u.User != nil || u.Query().Has("access_token")) {
				t.Fatalf("%q", u)
			}
		}
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add("# made up\nuser=a\npassword = b=c \n")
	f.Add("token=x\ntoken=y")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCredentials(text)
		if err != nil && c != (Credentials{}) {
			t.Fatal("credentials beside an error")
		}
		if err == nil && c.check() != nil {
			t.Fatal("credentials that cannot be used")
		}
	})
}
