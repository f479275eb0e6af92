package exchange

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
)

// Credentials are what an exchange knows a caller by. They print as nothing, whatever the verb.
type Credentials struct {
	User, Password  string // ncmec; file, if its server wants it
	Token           string // threatexchange: the access token; file: a bearer token
	FunctionKey     string // stopncii: x-functions-key
	SubscriptionKey string // stopncii: Ocp-Apim-Subscription-Key
	// FeedbackFunctionKey is stopncii's x-functions-key for feedback; "" means FunctionKey.
	FeedbackFunctionKey string
}

// Format keeps credentials out of everything that is printed.
func (Credentials) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[credentials]")) }

// MarshalJSON keeps credentials out of everything that is written as JSON.
func (Credentials) MarshalJSON() ([]byte, error) { return []byte(`"[credentials]"`), nil }

const (
	maxCredentialBytes = 16 << 10
	maxSecret          = 4 << 10
)

// fields returns the parts by the names that they have in a file.
func (c *Credentials) fields() map[string]*string {
	return map[string]*string{
		"user": &c.User, "password": &c.Password, "token": &c.Token,
		"function_key": &c.FunctionKey, "subscription_key": &c.SubscriptionKey,
		"feedback_function_key": &c.FeedbackFunctionKey,
	}
}

// ReadCredentials reads a file of lines NAME=VALUE, of the names user, password, token, function_key,
// subscription_key and feedback_function_key; blank lines and those that start with # are comments. The file must be readable for its owner only.
// No error repeats any of it.
func ReadCredentials(path string) (Credentials, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Credentials{}, fmt.Errorf("credentials: %w", err)
	case !info.Mode().IsRegular():
		return Credentials{}, fmt.Errorf("credentials: %s: not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return Credentials{}, fmt.Errorf("credentials: %s: others can read it (mode %#o): want 0600", path, info.Mode().Perm())
	case info.Size() > maxCredentialBytes:
		return Credentials{}, fmt.Errorf("credentials: %s: %d bytes, at most %d are read", path, info.Size(), maxCredentialBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials: %w", err)
	}
	c, err := parseCredentials(string(text))
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials: %s: %w", path, err)
	}
	return c, nil
}

func parseCredentials(text string) (Credentials, error) {
	var c Credentials
	fields := c.fields()
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		field := fields[strings.TrimSpace(name)]
		value = strings.TrimSpace(value)
		switch {
		case !found || field == nil:
			return Credentials{}, fmt.Errorf("line %d: want NAME=VALUE, of user, password, token, function_key, subscription_key, feedback_function_key", n)
		case *field != "":
			return Credentials{}, fmt.Errorf("line %d: stated twice", n)
		case value == "":
			return Credentials{}, fmt.Errorf("line %d: empty", n)
		}
		*field = value
	}
	if lines.Err() != nil {
		return Credentials{}, errors.New("a line is too long")
	}
	if err := c.check(); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// EnvironmentCredentials reads the variables PREFIX_USER, PREFIX_PASSWORD, PREFIX_TOKEN, PREFIX_FUNCTION_KEY,
// PREFIX_SUBSCRIPTION_KEY and PREFIX_FEEDBACK_FUNCTION_KEY. None at all is an error.
func EnvironmentCredentials(prefix string) (c Credentials, err error) {
	for name, field := range c.fields() {
		*field = strings.TrimSpace(os.Getenv(prefix + "_" + strings.ToUpper(name)))
	}
	if c == (Credentials{}) {
		return c, fmt.Errorf("credentials: none of the variables %s_USER, _PASSWORD, _TOKEN, _FUNCTION_KEY and _SUBSCRIPTION_KEY is set", prefix)
	}
	if err := c.check(); err != nil {
		return Credentials{}, fmt.Errorf("credentials: of the variables %s_…: %w", prefix, err)
	}
	return c, nil
}

// check wants what a header can carry.
func (c *Credentials) check() error {
	for name, field := range c.fields() {
		if len(*field) > maxSecret {
			return fmt.Errorf("%s: longer than %d bytes", name, maxSecret)
		}
		if strings.ContainsFunc(*field, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: a control character", name)
		}
	}
	if strings.Contains(c.User, ":") {
		return errors.New("user: a colon, which ends a user's name in a header")
	}
	return nil
}

// need says what is missing, or of no use.
func (c Credentials) need(dialect Dialect) error {
	if c.FeedbackFunctionKey != "" && dialect != StopNCII {
		return fmt.Errorf("credentials: %s has no feedback_function_key", dialect)
	}
	var stated []string
	for _, name := range []string{"user", "password", "token", "function_key", "subscription_key"} {
		if *c.fields()[name] != "" {
			stated = append(stated, name)
		}
	}
	wants := map[Dialect][][]string{
		NCMEC:          {{"user", "password"}},
		ThreatExchange: {{"token"}},
		StopNCII:       {{"function_key", "subscription_key"}},
		File:           {nil, {"token"}, {"user", "password"}},
	}[dialect]
	for _, want := range wants {
		if slices.Equal(stated, want) {
			return nil
		}
	}
	return fmt.Errorf("credentials: %s wants %s, they have %s", dialect, alternatives(wants), names(stated))
}

func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " and ")
}

func alternatives(wants [][]string) string {
	var list []string
	for _, want := range wants {
		list = append(list, names(want))
	}
	return strings.Join(list, ", or ")
}

// secrets returns every form in which a part of the credentials can come back in a text, the longest first.
func (c Credentials) secrets() []string {
	var forms []string
	for name, field := range c.fields() {
		if name == "user" || *field == "" {
			continue
		}
		forms = append(forms, *field, url.QueryEscape(*field), url.PathEscape(*field),
			base64.StdEncoding.EncodeToString([]byte(*field)))
	}
	if c.Password != "" {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password)))
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(forms)
}
