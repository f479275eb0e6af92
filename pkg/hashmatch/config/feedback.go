package config

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/outbox"
)

// Feedback says to which exchanges reviewers' outcomes are sent. Folder and Lists must be stated.
type Feedback struct {
	Folder   string   `yaml:"folder"`  // see package outbox; Load makes it relative to the working folder
	Lists    []string `yaml:"lists"`   // those whose exchanges are told, each filled by one
	Reasons  []string `yaml:"reasons"` // ncmec: the identifiers of the reasons for a negative vote
	Deadline Duration `yaml:"deadline" min:"0s" max:"8760h"`
	Keep     Duration `yaml:"keep" min:"0s" max:"87600h"`
}

// checkFeedback checks feedback.
func (c *Config) checkFeedback() *Error {
	f := c.Feedback
	switch {
	case f == nil:
		return nil
	case f.Folder == "":
		return c.failAt("feedback.folder", "", "must be stated")
	case len(f.Lists) == 0:
		return c.failAt("feedback.lists", "", "must be stated: the lists whose exchanges are told")
	}
	for i, name := range f.Lists {
		path := fmt.Sprintf("feedback.lists[%d]", i)
		at := slices.IndexFunc(c.Exchanges, func(e Exchange) bool { return e.List == name })
		switch {
		case slices.Contains(f.Lists[:i], name):
			return c.failAt(path, "", "%q: stated twice", name)
		case at < 0:
			return c.failAt(path, "", "%q: no exchange fills a list of this name", name)
		case c.Exchanges[at].Dialect == exchange.File:
			return c.failAt(path, "", "%q: its exchange is a file, which takes no feedback", name)
		}
	}
	for i, reason := range f.Reasons {
		if err := exchange.CheckReason(reason); err != nil {
			return c.failAt(fmt.Sprintf("feedback.reasons[%d]", i), "", "%v", err)
		}
	}
	return nil
}

// checkTold warns of feedback that nobody gives, or that an exchange will not take.
func (c *Config) checkTold(k *checker) {
	f := c.Feedback
	if f == nil {
		return
	}
	if c.Review == nil {
		k.warn("feedback", "", "without review, nobody decides on anything that could be sent")
	}
	for _, e := range c.Exchanges {
		if e.Dialect == exchange.NCMEC && slices.Contains(f.Lists, e.List) && len(f.Reasons) == 0 {
			k.warn("feedback.reasons", "", "none: ncmec takes no negative vote on list %q without one", e.List)
		}
	}
}

// Outbox opens the outbox, with the credentials of the exchanges read; nil if the configuration has none.
func (c *Config) Outbox(logger *slog.Logger) (*outbox.Box, error) {
	f := c.Feedback
	if f == nil {
		return nil, nil
	}
	send := make(map[string]func(context.Context, exchange.Feedback) error)
	for _, e := range c.Exchanges {
		if !slices.Contains(f.Lists, e.List) {
			continue
		}
		credentials, err := e.credentials()
		if err != nil {
			return nil, fmt.Errorf("exchange of list %q: %w", e.List, err)
		}
		r, err := exchange.NewReporter(exchange.Config{
			List: e.List, Dialect: e.Dialect, Address: e.Address, Group: e.Group, Credentials: credentials, Timeout: time.Duration(e.Timeout),
		})
		if err != nil {
			return nil, err
		}
		send[e.List] = r.Send
	}
	return outbox.Open(outbox.Config{
		Folder: f.Folder, Deadline: time.Duration(f.Deadline), Keep: time.Duration(f.Keep), Send: send, Logger: logger,
	})
}
