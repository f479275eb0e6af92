package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// icseRow reads the columns of layouts[ICSE].
func (p *parser) icseRow(fields [][]byte) error {
	e := &p.record.entry
	if e.Key.ID = string(fields[1]); e.Key.ID == "" {
		return p.fault("no image id")
	}
	for _, hash := range []struct {
		at   int
		name string
	}{{0, "md5"}, {2, "sha1"}, {3, photoDNA}, {12, "sha256"}, {13, "pdq"}} {
		if len(fields[hash.at]) == 0 {
			continue
		}
		if err := p.sign(hash.name, string(fields[hash.at])); err != nil {
			return err
		}
	}
	labels := make([]string, 0, 6)
	for _, flag := range []struct {
		at    int
		label string
	}{{4, labelDistributed}, {5, labelVictim}, {6, labelOffender}, {11, labelBaseline}} {
		if truth(string(fields[flag.at])) {
			labels = append(labels, flag.label)
		}
	}
	if len(fields[7]) > 0 {
		labels = append(labels, labelSeries+string(fields[7]))
	}
	if bytes.Contains(bytes.ToLower(fields[10]), []byte(labelVideo)) {
		labels = append(labels, labelVideo)
	}
	for _, label := range labels {
		if err := p.label(label); err != nil {
			return err
		}
	}
	return p.finish()
}

const emptySHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

// nsrlRow reads the columns of layouts[NSRL]. A file is listed once for each product that it is part of; its entry is
// named after its MD5, so that those lines are one entry and its ID takes no room.
func (p *parser) nsrlRow(fields [][]byte) error {
	if len(fields[2]) > 0 {
		count(&p.result.Uncomputed, "crc32", 1)
	}
	// The file is in the order of its first column. The next line of the same file adds nothing but memory.
	this := [...]string{string(fields[0]), string(fields[1]), string(fields[7])}
	if this == p.previous && this != [3]string{} {
		p.result.Rows++
		return nil
	}
	p.previous = [3]string{}
	if strings.EqualFold(this[0], emptySHA1) { // it is in every edition, and a list may not hold it
		p.remark("the empty file, left out")
		return nil
	}
	for i, name := range []string{"sha1", "md5"} {
		if len(fields[i]) == 0 {
			continue
		}
		if err := p.sign(name, string(fields[i])); err != nil {
			return err
		}
	}
	if len(fields[7]) > 0 {
		if err := p.classify("special-" + string(fields[7])); err != nil {
			return err
		}
	}
	err := p.finish()
	if p.record.faults == 0 {
		p.previous = this
	}
	return err
}

// ColumnNames says which column of a file holds what, by the name in its header line, upper or lower case. "" means
// that there is no such column. At least one has to hold a hash.
type ColumnNames struct {
	Entry, Member  string // of the entry's key; without Entry the ID is derived from the hash
	Kind, Hash     string // a hash, and the column that says of what kind it is
	Labels         string // with , ; or | between them
	Classification string // a label too
	Status         string // active, disputed, suspended or withdrawn, or what Options.Map makes of it
	Updated        string // RFC 3339, a date, a date and a time, both in UTC, or seconds since 1970
	// Hashes names the columns whose hashes are all of one kind or scheme: "md5", "photodna", or any other name to have
	// them counted.
	Hashes    map[string]string
	Delimiter byte // 0 means a comma
}

// Roles are the columns that Set knows beside the kinds of hash.
var Roles = []string{"entry", "member", "kind", "hash", "labels", "classification", "status", "updated"}

func (c *ColumnNames) roles() []*string {
	return []*string{&c.Entry, &c.Member, &c.Kind, &c.Hash, &c.Labels, &c.Classification, &c.Status, &c.Updated}
}

// Set says that the column of that name has a role: one of Roles, or else the kind or scheme of the hashes in it.
func (c *ColumnNames) Set(role, column string) error {
	column = strings.ToLower(strings.TrimSpace(column))
	if role == "" || column == "" {
		return fmt.Errorf("%w: want ROLE=COLUMN", ErrOptions)
	}
	if i := slices.Index(Roles, role); i >= 0 {
		*c.roles()[i] = column
		return nil
	}
	if c.Hashes == nil {
		c.Hashes = make(map[string]string)
	}
	c.Hashes[role] = column
	return nil
}

func (c *ColumnNames) empty() bool {
	return len(c.Hashes) == 0 && c.Delimiter == 0 && !slices.ContainsFunc(c.roles(), func(s *string) bool { return *s != "" })
}

func (c *ColumnNames) delimiter() byte {
	if c.Delimiter == 0 {
		return ','
	}
	return c.Delimiter
}

func (c *ColumnNames) check() error {
	switch {
	case c.Hash == "" && len(c.Hashes) == 0:
		return fmt.Errorf("%w: columns: no column with a hash was named", ErrOptions)
	case (c.Hash == "") != (c.Kind == ""):
		return fmt.Errorf("%w: columns: hash and kind need each other; for hashes of one kind name that: md5=COLUMN", ErrOptions)
	case c.Delimiter == '"' || c.Delimiter == '\n' || c.Delimiter == '\r' || c.Delimiter >= 0x80:
		return fmt.Errorf("%w: columns: this cannot be a delimiter", ErrOptions)
	}
	return nil
}

// namedHashes returns the names of Hashes in a fixed order.
func (c *ColumnNames) namedHashes() []string {
	names := make([]string, 0, len(c.Hashes))
	for name := range c.Hashes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// namedHeader finds the columns that the operator named: those of Roles, then the hashes.
func (p *parser) namedHeader(line []byte, delimiter byte) (header, error) {
	fields, err := splitRecord(nil, line, delimiter)
	if err != nil {
		return header{}, err
	}
	c := &p.options.Columns
	var wanted []string
	for _, column := range c.roles() {
		wanted = append(wanted, strings.ToLower(strings.TrimSpace(*column)))
	}
	for _, name := range c.namedHashes() {
		wanted = append(wanted, strings.ToLower(strings.TrimSpace(c.Hashes[name])))
	}
	h := header{at: make([]int, len(wanted)), fields: len(fields)}
	for i, column := range wanted {
		h.at[i] = -1
		if column == "" {
			continue
		}
		for j, field := range fields {
			if !strings.EqualFold(string(bytes.TrimSpace(field)), column) {
				continue
			}
			if h.at[i] >= 0 {
				return header{}, fmt.Errorf("header: column %q stands there twice", column)
			}
			h.at[i] = j
		}
		if h.at[i] < 0 {
			return header{}, fmt.Errorf("header: there is no column %q", column)
		}
	}
	for j := range fields {
		if !slices.Contains(h.at, j) {
			p.remark("columns that were given no role")
		}
	}
	return h, nil
}

// mapFields are the fields whose values Options.Map may map.
var mapFields = map[Format][]string{
	VICS:    {"category"},
	Columns: {"kind", "labels", "classification", "status"},
}

func mappable(fields []string) string {
	if len(fields) == 0 {
		return "nothing"
	}
	return strings.Join(fields, ", ")
}

// mapped returns what a value stands for.
func (p *parser) mapped(field string, value []byte) string {
	if len(p.options.Map) > 0 {
		if to, found := p.options.Map[field+":"+string(value)]; found {
			return to
		}
	}
	return string(value)
}

// namedRow reads the columns of namedHeader.
func (p *parser) namedRow(fields [][]byte) error {
	const entry, member, kind, hash, labels, classification, status, updated = 0, 1, 2, 3, 4, 5, 6, 7
	e := &p.record.entry
	state := p.mapped("status", fields[status])
	class := p.mapped("classification", fields[classification])
	var names []string
	for _, part := range splitLabels(string(fields[labels])) {
		names = append(names, p.mapped("labels", []byte(strings.TrimSpace(part))))
	}
	if state == Leave || class == Leave || slices.Contains(names, Leave) || p.mapped("kind", fields[kind]) == Leave {
		p.remark("records left out by the mapping")
		return nil
	}
	var err error
	if e.Status, err = hashmatch.ParseStatus(strings.ToLower(state)); err != nil {
		return p.fault("unknown status" + quote(fields[status]) + ": map it")
	}
	e.Key.ID, e.Key.Member = string(fields[entry]), string(fields[member])
	if len(fields[updated]) > 0 {
		t, ok := parseTime(string(fields[updated]))
		if !ok {
			return p.fault("updated: want a time as 2026-01-31T12:00:00Z")
		}
		e.Updated = t
	}
	if len(fields[hash]) > 0 || len(fields[kind]) > 0 {
		name := p.mapped("kind", fields[kind])
		if name == "" {
			return p.fault("no kind of hash")
		}
		if err := p.signAs(columnScheme(name, p.options.Map["kind:"+string(fields[kind])] != ""), name, string(fields[hash])); err != nil {
			return err
		}
	}
	for i, name := range p.options.Columns.namedHashes() {
		if value := fields[len(Roles)+i]; len(value) > 0 {
			if err := p.signAs(columnScheme(name, true), name, string(value)); err != nil {
				return err
			}
		}
	}
	if class != "" {
		if err := p.classify(class); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := p.label(name); err != nil {
			return err
		}
	}
	return p.finish()
}

// columnScheme returns the kind or scheme of a name. One that the operator chose may be any kind of ours; one that the
// file writes only those that all programs agree on.
func columnScheme(name string, chosen bool) string {
	if chosen && kindNames[name] != 0 {
		return name
	}
	if len(name) > 64 {
		return ""
	}
	return schemes[plainName(name)]
}
