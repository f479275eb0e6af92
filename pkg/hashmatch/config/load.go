package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Error says what is wrong with a configuration, and where.
type Error struct {
	File         string // "" where it was no file
	Line, Column int    // from 1; 0 where it was not read from text, or nothing in particular is at fault
	Where        string // `lists[0] "iwf": thresholds.pdq`; "" where it is no value of a key
	Reason       string

	path  string
	cause error
}

// Error returns FILE:LINE:COLUMN: WHERE: REASON, without those that are not known.
func (e *Error) Error() string {
	var text strings.Builder
	if e.File != "" {
		text.WriteString(e.File + ":")
	}
	if e.Line > 0 {
		fmt.Fprintf(&text, "%d:%d:", e.Line, e.Column)
	}
	if text.Len() > 0 {
		text.WriteString(" ")
	}
	if e.Where != "" {
		text.WriteString(e.Where + ": ")
	}
	text.WriteString(e.Reason)
	return text.String()
}

// Unwrap returns the cause: it wraps hashmatch.ErrSurfaceRefused if a surface cannot be scanned.
func (e *Error) Unwrap() error { return e.cause }

// Load reads a configuration file. The files and folders that it names are relative to its folder. It returns an *Error, or that
// of opening or reading the file.
func Load(path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, failure := parse(text)
	if failure != nil {
		failure.File = path
		return nil, failure
	}
	c.resolve(filepath.Dir(path))
	return c, nil
}

// Parse reads the text of a configuration file, at most MaxBytes of it. The files of its lists are left as they are
// written. Its error is an *Error.
func Parse(text []byte) (*Config, error) {
	c, failure := parse(text)
	if failure != nil {
		return nil, failure
	}
	return c, nil
}

func parse(text []byte) (*Config, *Error) {
	root, failure := parseTree(text)
	if failure != nil {
		return nil, failure
	}
	if root == nil {
		return nil, &Error{Reason: "nothing is stated"}
	}
	c := &Config{}
	c.Limits, c.Workers, c.Serve = c.Limits.withDefaults(), c.Workers.withDefaults(), c.Serve.withDefaults()
	c.Guards = c.Guards.withDefaults()
	d := &decoder{at: make(map[string]position), names: make(map[string]string)}
	failure = d.value("", root, reflect.ValueOf(c).Elem())
	if failure == nil {
		// Before complete takes a stated 0 for "left out".
		failure = c.checkRanges()
	}
	if failure == nil {
		failure = c.complete()
	}
	if failure != nil {
		d.explain(failure)
		return nil, failure
	}
	return c, nil
}

// explain fills in where in the text the value at failure's path stands, or the nearest around it that is stated.
func (d *decoder) explain(failure *Error) {
	for path := failure.path; failure.Line == 0; path = parent(path) {
		if at, ok := d.at[path]; ok {
			failure.Line, failure.Column = at.line, at.column
		}
		if path == "" {
			break
		}
	}
	item, _, _ := strings.Cut(failure.path, "]")
	failure.Where = where(failure.path, d.names[item+"]"])
}

// parent returns the path of what a value is part of.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// where returns a path for people: the name of the list or surface is put beside its number.
func where(path, name string) string {
	item, rest, found := strings.Cut(path, "]")
	if !found || !strings.HasPrefix(path, "lists[") && !strings.HasPrefix(path, "surfaces[") && !strings.HasPrefix(path, "listeners[") &&
		!strings.HasPrefix(path, "exchanges[") {
		return path
	}
	item += "]"
	if name != "" {
		item = fmt.Sprintf("%s %q", item, name)
	}
	if rest == "" {
		return item
	}
	return item + ": " + strings.TrimPrefix(rest, ".")
}
