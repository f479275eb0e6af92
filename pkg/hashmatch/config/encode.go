package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Print writes the configuration as a file that Parse reads back to the same. One that was made by hand is completed
// first; if that finds an error, nothing is written.
func (c *Config) Print(w io.Writer) error {
	full := *c
	if failure := full.complete(); failure != nil {
		return failure
	}
	var e encoder
	e.fields(0, "", reflect.ValueOf(full))
	_, err := io.WriteString(w, e.text.String())
	return err
}

// encoder writes a Config as YAML.
type encoder struct {
	text strings.Builder
	// about returns the comment of a key by its path; nil for no comments.
	about func(path string) string
}

// line writes one line at a depth of nesting.
func (e *encoder) line(depth int, format string, values ...any) {
	fmt.Fprintf(&e.text, "%s%s\n", strings.Repeat("  ", depth), fmt.Sprintf(format, values...))
}

// comment writes the comment of a key above it.
func (e *encoder) comment(depth int, path string) {
	if e.about == nil {
		return
	}
	for _, line := range wrap(e.about(path), 110-2*depth) {
		e.line(depth, "# %s", line)
	}
}

// fields writes the fields of a struct, one after another.
func (e *encoder) fields(depth int, path string, v reflect.Value) {
	eachField(v, func(key string, v reflect.Value, _ reflect.StructTag) {
		e.pair(depth, join(path, key), plain(key), v)
	})
}

// pair writes a key and its value. What is nil is left out.
func (e *encoder) pair(depth int, path, key string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
	case reflect.Struct:
		if v.IsZero() {
			return
		}
	}
	if depth == 0 && e.text.Len() > 0 {
		e.text.WriteString("\n")
	}
	e.comment(depth, path)
	if text, ok := scalarText(v); ok {
		e.line(depth, "%s: %s", key, text)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		e.line(depth, "%s:", key)
		e.fields(depth+1, path, v)
	case reflect.Map:
		if v.Len() == 0 {
			e.line(depth, "%s: {}", key)
			return
		}
		e.line(depth, "%s:", key)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			if a.CanUint() {
				return int(a.Uint()) - int(b.Uint())
			}
			return strings.Compare(a.String(), b.String())
		})
		for _, k := range keys {
			text, _ := scalarText(k)
			e.pair(depth+1, path+"."+fmt.Sprint(k), text, v.MapIndex(k))
		}
	case reflect.Slice:
		e.sequence(depth, path, key, v)
	default:
		panic("config: no way to encode " + v.Type().String())
	}
}

// sequence writes a list: of words in one line, of structs with a dash before the first key of each.
func (e *encoder) sequence(depth int, path, key string, v reflect.Value) {
	words := make([]string, 0, v.Len())
	for i := range v.Len() {
		text, ok := scalarText(v.Index(i))
		if !ok {
			break
		}
		words = append(words, text)
	}
	if len(words) == v.Len() {
		e.line(depth, "%s: [%s]", key, strings.Join(words, ", "))
		return
	}
	e.line(depth, "%s:", key)
	for i := range v.Len() {
		item := encoder{about: e.about}
		item.fields(depth+2, path+"[]", v.Index(i))
		indent := strings.Repeat("  ", depth+2)
		dashed := false
		for line := range strings.Lines(item.text.String()) {
			if rest := strings.TrimPrefix(line, indent); !dashed { // the first key's comment stands where its dash does
				if dashed = !strings.HasPrefix(rest, "#"); dashed {
					rest = "- " + rest
				}
				line = indent[2:] + rest
			}
			e.text.WriteString(line)
		}
	}
}

// scalarText returns a value in one word or quoted text; false if it is not one value.
func scalarText(v reflect.Value) (string, bool) {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("config: %v", err)) // complete let an invalid value through
		}
		return plain(string(text)), true
	}
	switch v.Kind() {
	case reflect.String:
		return plain(v.String()), true
	case reflect.Bool, reflect.Int, reflect.Int64:
		return fmt.Sprint(v), true
	}
	return "", false
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./-]*$|^[0-9]+(ms|s|m|h|B|[KMGT]iB)$`)
	// reserved are the words that YAML, in one version or another, takes for something else than text.
	reserved = regexp.MustCompile(`(?i)^(true|false|null|yes|no|on|off|y|n|\.inf|\.nan|\.+)$`)
)

// plain returns text as it stands if YAML cannot take it for anything else, quoted otherwise. Go's escapes are also
// those of YAML.
func plain(text string) string {
	if plainText.MatchString(text) && !reserved.MatchString(text) {
		return text
	}
	return strconv.QuoteToASCII(text)
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if last := len(lines) - 1; last >= 0 && len(lines[last])+1+len(word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
