package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
)

// digest is the hash of a line.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// The fixed parts of a line.
const (
	seqMark    = `{"seq":`
	prevMark   = `,"prev":"`
	fieldsMark = `",`
	hashMark   = `,"hash":"`
	lineEnd    = `"}`

	hexLength  = 2 * sha256.Size
	tailLength = len(hashMark) + hexLength + len(lineEnd)
)

// appendLine appends the line of one record, with its end, and returns it with its hash.
func appendLine(line []byte, seq uint64, prev digest, fields []byte) ([]byte, digest) {
	start := len(line)
	line = append(line, seqMark...)
	line = strconv.AppendUint(line, seq, 10)
	line = append(line, prevMark...)
	line = hex.AppendEncode(line, prev[:])
	line = append(line, fieldsMark...)
	line = append(line, fields...)
	hash := chain(prev, line[start:])
	line = append(line, hashMark...)
	line = hex.AppendEncode(line, hash[:])
	line = append(line, lineEnd...)
	return append(line, '\n'), hash
}

// chain returns the hash of a line from its bytes without the hash itself.
func chain(prev digest, body []byte) (hash digest) {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(body)
	h.Sum(hash[:0])
	return hash
}

// parsed is a line taken apart. Its slices are parts of the line.
type parsed struct {
	seq    uint64
	prev   digest
	fields []byte
	hash   digest
	sound  bool // the hash is that of prev and of the bytes
}

// maxSeq is far beyond what any log comes to.
const maxSeq = 1 << 62

var errNotRecord = errors.New("not a record")

// parseLine takes a line without its end apart. It accepts nothing but what appendLine writes, so that there is one
// way only to write a record.
func parseLine(line []byte) (p parsed, err error) {
	if len(line) > maxLine || len(line) < tailLength {
		return p, errNotRecord
	}
	body, tail := line[:len(line)-tailLength], line[len(line)-tailLength:]
	stated, ok1 := bytes.CutPrefix(tail, []byte(hashMark))
	stated, ok2 := bytes.CutSuffix(stated, []byte(lineEnd))
	if !ok1 || !ok2 || !parseDigest(&p.hash, stated) {
		return p, errNotRecord
	}
	rest, ok := bytes.CutPrefix(body, []byte(seqMark))
	if !ok {
		return p, errNotRecord
	}
	number, rest, ok := bytes.Cut(rest, []byte(prevMark))
	if !ok || len(rest) < hexLength+len(fieldsMark) || !parseDigest(&p.prev, rest[:hexLength]) {
		return p, errNotRecord
	}
	if p.seq, err = strconv.ParseUint(string(number), 10, 64); err != nil || p.seq == 0 || p.seq > maxSeq || strconv.FormatUint(p.seq, 10) != string(number) {
		return p, errNotRecord
	}
	if p.fields, ok = bytes.CutPrefix(rest[hexLength:], []byte(fieldsMark)); !ok {
		return p, errNotRecord
	}
	p.sound = chain(p.prev, body) == p.hash
	return p, nil
}

// entry reads the fields of a record.
func (p parsed) entry() (e Entry, err error) {
	object := make([]byte, 0, len(p.fields)+2)
	object = append(append(append(object, '{'), p.fields...), '}')
	err = json.Unmarshal(object, &e)
	e.Seq, e.Hash = p.seq, p.hash.String()
	return e, err
}

// parseDigest reads lower-case hexadecimal digits, exactly as many as there are.
func parseDigest(d *digest, text []byte) bool {
	if len(text) != hexLength || bytes.ContainsAny(text, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(d[:], text)
	return err == nil
}
