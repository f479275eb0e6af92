package config

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Exchange says where a list comes from. List, Dialect and Address must be stated, and where the exchange wants
// credentials, one of Credentials and CredentialsEnvironment.
type Exchange struct {
	List    string           `yaml:"list"` // one of Config.Lists, whose file is the snapshot that is synced
	Dialect exchange.Dialect `yaml:"dialect"`
	Address string           `yaml:"address"`
	Group   string           `yaml:"group"`  // threatexchange
	Format  string           `yaml:"format"` // file; "" is told by the content
	Part    string           `yaml:"part"`   // file; of a csv of several lists

	Credentials            string `yaml:"credentials"`             // a file; Load makes it relative to the working folder
	CredentialsEnvironment string `yaml:"credentials_environment"` // the prefix of variables

	Interval       Duration `yaml:"interval" min:"0s" max:"720h"` // 0 means an hour
	Timeout        Duration `yaml:"timeout" min:"0s" max:"24h"`   // 0 means 5 minutes, an hour for a file
	Attempts       int      `yaml:"attempts" min:"0" max:"20"`    // 0 means 5
	PageSize       int      `yaml:"page_size" min:"0" max:"100000"`
	MaxBytes       Size     `yaml:"max_bytes" min:"0B" max:"1TiB"` // of an answer; 0 means 64MiB, 16GiB for a file
	SkipBadEntries bool     `yaml:"skip_bad_entries"`
}

var environmentPrefix = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkExchanges checks the exchanges. Whether they can be reached, and whether the credentials are right, is found out
// by asking them.
func (c *Config) checkExchanges() *Error {
	lists := make(map[string]bool)
	for i, e := range c.Exchanges {
		path := fmt.Sprintf("exchanges[%d]", i)
		fail := func(key, format string, values ...any) *Error { return c.failAt(path+"."+key, "", format, values...) }
		switch {
		case e.List == "":
			return fail("list", "must be stated")
		case !slices.ContainsFunc(c.Lists, func(l List) bool { return l.Name == e.List }):
			return fail("list", "%q: lists has none of this name", e.List)
		case lists[e.List]:
			return fail("list", "%q: another exchange fills this list", e.List)
		case !slices.Contains(exchange.Dialects(), e.Dialect):
			return fail("dialect", "%q: want one of %v", e.Dialect, exchange.Dialects())
		case e.Credentials != "" && e.CredentialsEnvironment != "":
			return fail("credentials", "both a file and variables: state one")
		case e.Credentials == "" && e.CredentialsEnvironment == "" && e.Dialect != exchange.File:
			return fail("credentials", "must be stated, or credentials_environment")
		case e.CredentialsEnvironment != "" && !environmentPrefix.MatchString(e.CredentialsEnvironment):
			return fail("credentials_environment", "want the beginning of the names of variables: letters, digits and _")
		case (e.Group != "") != (e.Dialect == exchange.ThreatExchange):
			return fail("group", "threatexchange needs one, the others have none")
		case (e.Format != "" || e.Part != "") && e.Dialect != exchange.File:
			return fail("format", "format and part belong to the dialect file")
		}
		lists[e.List] = true
		if e.Format != "" {
			f, err := format.ParseFormat(e.Format)
			if err != nil {
				return fail("format", "%v", err)
			}
			if f == format.VICS || f == format.Columns {
				return fail("format", "%s needs a mapping, which cannot be stated here", f)
			}
		}
		if err := exchange.CheckAddress(e.Address); err != nil {
			return fail("address", "%v", err)
		}
	}
	return nil
}

// SyncOptions are what syncing needs beside the configuration.
type SyncOptions struct {
	List   string // only this list; "" means all
	Logger *slog.Logger
	// Accept and Done are as in exchange.Config; the list is named.
	Accept func(list string, old, next *hashlist.List) error
	Done   func(exchange.Result, error)
}

// Syncers returns a Syncer for each list that an exchange fills, with its credentials read. What they write is
// signed and encrypted with the keys of the configuration, and has the list's index with it where that is worth it.
func (c *Config) Syncers(options SyncOptions) ([]*exchange.Syncer, error) {
	var syncers []*exchange.Syncer
	for _, e := range c.Exchanges {
		if options.List != "" && options.List != e.List {
			continue
		}
		settings, err := c.exchange(e, options)
		if err != nil {
			return nil, fmt.Errorf("exchange of list %q: %w", e.List, err)
		}
		s, err := exchange.New(settings)
		if err != nil {
			return nil, err
		}
		syncers = append(syncers, s)
	}
	if syncers == nil && options.List != "" {
		return nil, fmt.Errorf("no exchange fills a list %q", options.List)
	}
	return syncers, nil
}

func (c *Config) exchange(e Exchange, options SyncOptions) (exchange.Config, error) {
	settings := exchange.Config{
		List: e.List, Dialect: e.Dialect, Address: e.Address, Group: e.Group, Part: e.Part, PageSize: e.PageSize,
		Interval: time.Duration(e.Interval), Timeout: time.Duration(e.Timeout), Attempts: e.Attempts,
		MaxPageBytes: int64(e.MaxBytes), MaxFileBytes: int64(e.MaxBytes), SkipBadEntries: e.SkipBadEntries,
		Extras: indexOf, Done: options.Done, Logger: options.Logger,
	}
	if options.Accept != nil {
		settings.Accept = func(old, next *hashlist.List) error { return options.Accept(e.List, old, next) }
	}
	for _, l := range c.Lists {
		if l.Name == e.List {
			settings.File, settings.AllowList = l.File, l.Role == policy.AllowList
			sealed, err := c.sealing(l)
			if err != nil {
				return settings, err
			}
			if sealed != nil {
				settings.Open, settings.Write = sealed.Open, sealed.Write
			}
		}
	}
	var err error
	if e.Format != "" {
		if settings.Format, err = format.ParseFormat(e.Format); err != nil {
			return settings, err
		}
	}
	settings.Credentials, err = e.credentials()
	return settings, err
}

// credentials reads the credentials; the zero Credentials if none are stated.
func (e Exchange) credentials() (exchange.Credentials, error) {
	switch {
	case e.Credentials != "":
		return exchange.ReadCredentials(e.Credentials)
	case e.CredentialsEnvironment != "":
		return exchange.EnvironmentCredentials(e.CredentialsEnvironment)
	}
	return exchange.Credentials{}, nil
}

// indexOf returns the index of a list as a section for its snapshot, if building it when it is loaded takes long.
func indexOf(ctx context.Context, l *hashlist.List) ([]hashlist.Extra, error) {
	if lookup.Hashes(l) < lookup.ImageFrom {
		return nil, nil
	}
	extra, ok, err := lookup.Image(ctx, l)
	if err != nil || !ok {
		return nil, err
	}
	return []hashlist.Extra{extra}, nil
}
