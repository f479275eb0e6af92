package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may cost to read. The parser's time grows with the square of the keys of one mapping, and its stack
// with the depth of nesting: within these bounds a file takes half a second at worst.
const (
	MaxBytes  = 1 << 20 // of a file
	maxTokens = 20_000
	maxDepth  = 16 // of brackets, or of "- - -" in a line; the deepest that is needed is 3
)

// position is where a value stands in the file.
type position struct{ line, column int }

// decoder turns the tree of a YAML document into a Config and remembers where each value stood.
type decoder struct {
	at    map[string]position // by path: "lists[0].thresholds.pdq"
	names map[string]string   // what an item of a list calls itself, by path: "lists[0]"
}

// parseTree returns the root mapping of the one document in text, nil if it holds nothing.
func parseTree(text []byte) (root ast.Node, failure *Error) {
	defer func() {
		if recover() != nil { // a fault of the parser is a fault of the file: nothing was read
			root, failure = nil, &Error{Reason: "not understood"}
		}
	}()
	if len(text) > MaxBytes {
		return nil, &Error{Reason: fmt.Sprintf("longer than %s", Size(MaxBytes))}
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(string(text))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var located yaml.Error
		if errors.As(err, &located) && located.GetToken() != nil {
			at := located.GetToken().Position
			return nil, &Error{Line: at.Line, Column: at.Column, Reason: located.GetMessage()}
		}
		return nil, &Error{Reason: "not understood"}
	}
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if root != nil {
			at := document.Body.GetToken().Position
			return nil, &Error{Line: at.Line, Column: at.Column, Reason: "a second document: want one"}
		}
		root = document.Body
	}
	return root, nil
}

// checkText refuses what is no text.
func checkText(text []byte) *Error {
	at := position{1, 1}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			return &Error{Line: at.line, Column: at.column, Reason: "not UTF-8"}
		case r == '\n':
			at = position{at.line + 1, 0}
		case r < ' ' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			return &Error{Line: at.line, Column: at.column, Reason: fmt.Sprintf("character %U", r)}
		}
		at.column++
		text = text[size:]
	}
	return nil
}

// checkTokens refuses the parts of YAML that a configuration does not need, and what would cost the parser too much.
func checkTokens(tokens token.Tokens) *Error {
	depth, dashes, started := 0, 0, false
	for i, t := range tokens {
		reason := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			reason = "anchors and aliases are not used here: state the value in each place"
		case token.TagType:
			reason = "tags are not used here"
		case token.DirectiveType:
			reason = "directives are not used here"
		case token.MappingKeyType:
			reason = `keys after "?" are not used here`
		case token.DocumentHeaderType:
			if started {
				reason = "a second document: want one"
			}
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if t.Type == token.SequenceEntryType {
			dashes++
		} else {
			dashes = 0
		}
		started = started || t.Type != token.CommentType
		switch {
		case depth > maxDepth || dashes > maxDepth:
			reason = "nested too deep"
		case i >= maxTokens:
			reason = fmt.Sprintf("more than %d values and signs", maxTokens)
		}
		if reason != "" {
			return &Error{Line: t.Position.Line, Column: t.Position.Column, Reason: reason}
		}
	}
	return nil
}

// locate notes where a value stands.
func (d *decoder) locate(path string, n ast.Node) {
	at := n.GetToken().Position
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		at = m.Values[0].Key.GetToken().Position
	}
	d.at[path] = position{at.Line, at.Column}
}

// fail returns the error for a node.
func (d *decoder) fail(path string, n ast.Node, format string, values ...any) *Error {
	d.locate(path, n)
	at := d.at[path]
	return &Error{Line: at.line, Column: at.column, path: path, Reason: fmt.Sprintf(format, values...)}
}

// value decodes n into v.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) *Error {
	d.locate(path, n)
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		written, ok := scalar(n)
		if !ok {
			return d.fail(path, n, "want one word, not %s", describe(n))
		}
		if err := text.UnmarshalText([]byte(written)); err != nil {
			return d.fail(path, n, "%q: %v", written, err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		written, ok := n.(*ast.StringNode)
		if !ok {
			switch n.(type) {
			case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
				return d.fail(path, n, "want text, not %s: put it in quotes: \"%[1]s\"", describe(n))
			}
			return d.fail(path, n, "want text, not %s", describe(n))
		}
		v.SetString(written.Value)
	case reflect.Bool:
		written, ok := n.(*ast.BoolNode)
		if !ok {
			return d.fail(path, n, "want true or false, not %s", describe(n))
		}
		v.SetBool(written.Value)
	case reflect.Int, reflect.Int64:
		written, ok := n.(*ast.IntegerNode)
		if !ok {
			return d.fail(path, n, "want a whole number, not %s", describe(n))
		}
		digits := written.GetToken().Value
		number, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || len(digits) > 1 && digits[0] == '0' { // YAML reads 010 as 8
			return d.fail(path, n, "%s: want a whole number in decimal digits", digits)
		}
		v.SetInt(number)
	case reflect.Slice:
		return d.slice(path, n, v)
	case reflect.Map, reflect.Struct:
		return d.mapping(path, n, v)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
	return nil
}

func (d *decoder) slice(path string, n ast.Node, v reflect.Value) *Error {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.fail(path, n, "want a list, not %s", describe(n))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		d.name(fmt.Sprintf("%s[%d]", path, i), item)
		if err := d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// name notes what an item calls itself, so that errors can say so wherever in it they are.
func (d *decoder) name(path string, item ast.Node) {
	m, ok := item.(*ast.MappingNode)
	if !ok {
		return
	}
	for _, pair := range m.Values {
		key, _ := keyText(pair.Key)
		if name, ok := pair.Value.(*ast.StringNode); ok && key == "name" {
			d.names[path] = name.Value
		}
	}
}

// mapping decodes a mapping into a struct or a map.
func (d *decoder) mapping(path string, n ast.Node, v reflect.Value) *Error {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return d.fail(path, n, "want keys and values, not %s", describe(n))
	}
	var known map[string]reflect.Value
	var order []string
	if v.Kind() == reflect.Struct {
		known = make(map[string]reflect.Value)
		eachField(v, func(name string, f reflect.Value, _ reflect.StructTag) {
			known[name] = f
			order = append(order, name)
		})
	} else {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(m.Values)))
	}
	seen := make(map[string]bool, len(m.Values))
	for _, pair := range m.Values {
		key, ok := keyText(pair.Key)
		if !ok {
			return d.fail(path, pair.Key, "a key that is not plain text: put it in quotes")
		}
		if seen[key] {
			return d.fail(path, pair.Key, "%q is stated twice", key)
		}
		seen[key] = true
		if v.Kind() == reflect.Map {
			if err := d.entry(path, key, pair, v); err != nil {
				return err
			}
			continue
		}
		field, ok := known[key]
		if !ok {
			return d.fail(path, pair.Key, "unknown key %q: want one of %s", key, strings.Join(order, ", "))
		}
		if err := d.value(join(path, key), pair.Value, field); err != nil {
			return err
		}
	}
	return nil
}

// entry decodes one entry of a map.
func (d *decoder) entry(path, key string, pair *ast.MappingValueNode, v reflect.Value) *Error {
	k := reflect.New(v.Type().Key())
	if text, ok := k.Interface().(encoding.TextUnmarshaler); ok {
		if err := text.UnmarshalText([]byte(key)); err != nil {
			return d.fail(path, pair.Key, "%v", err)
		}
	} else {
		k.Elem().SetString(key)
	}
	value := reflect.New(v.Type().Elem()).Elem()
	if err := d.value(join(path, key), pair.Value, value); err != nil {
		return err
	}
	v.SetMapIndex(k.Elem(), value)
	return nil
}

// eachField calls f with each field of a struct by its key, those of embedded structs among them.
func eachField(v reflect.Value, f func(name string, v reflect.Value, tag reflect.StructTag)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			eachField(v.Field(i), f)
			continue
		}
		f(field.Tag.Get("yaml"), v.Field(i), field.Tag)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// scalar returns a value as it was written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// keyText returns a key as it was written, false if it is not plain text or a number.
func keyText(n ast.MapKeyNode) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// describe names what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value
	}
	return "that"
}
