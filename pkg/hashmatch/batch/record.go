package batch

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"example.org/hashmatch/pkg/hashmatch"
)

// The checkpoint file is checkpointMagic and then records, oldest first, appended and never changed:
//
//	length of the payload   4 bytes, little endian, 1 to maxRecord
//	CRC-32C of the payload  4 bytes, little endian
//	payload
//
// The payload's first byte is its type. 'T' is followed by the terms as JSON; the first record is one, and each run
// that went on in spite of changed terms appended another. 'F' is one file's result (see appendFile). What follows the
// last whole record is what a death left behind: it is cut off at the next run.
//
// History: version 1 is the only one.
const checkpointMagic = "hashmatch checkpoint 1\n"

const (
	maxRecord   = 16 << 20 // a record of terms holds every path that was named
	recordTerms = 'T'
	recordFile  = 'F'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord frames payload, which must not be empty nor longer than maxRecord.
func appendRecord(dst, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, castagnoli))
	return append(dst, payload...)
}

var errTorn = errors.New("torn record")

// recordLength returns the length of the payload behind an 8-byte head.
func recordLength(head []byte) (int, error) {
	n := binary.LittleEndian.Uint32(head)
	if n == 0 || n > maxRecord {
		return 0, errTorn
	}
	return int(n), nil
}

// checkRecord returns errTorn unless payload is the one that head was written for.
func checkRecord(head, payload []byte) error {
	if binary.LittleEndian.Uint32(head[4:]) != crc32.Checksum(payload, castagnoli) {
		return errTorn
	}
	return nil
}

// fileRecord is one result in the checkpoint. It holds no hash of the file and no match.
type fileRecord struct {
	key      []byte
	stamp    Stamp
	tally    tally
	output   int64 // bytes of output up to and including this result
	replaces int64 // where the record stands that this one is in place of, because the file changed; 0 if none
}

const (
	flagMatched = 1 << iota
	flagNotScanned
)

// appendFile appends the payload of r: output, replaces, modification time, size, bytes read (varints), action and
// flags (a byte each), the failure codes (count, then length and text of each), and the key to the end.
func appendFile(dst []byte, r fileRecord) []byte {
	dst = append(dst, recordFile)
	for _, n := range [...]int64{r.output, r.replaces, r.stamp.Modified, r.stamp.Size, r.tally.bytes} {
		dst = binary.AppendVarint(dst, n)
	}
	var flags byte
	if r.tally.matched {
		flags |= flagMatched
	}
	if r.tally.notScanned {
		flags |= flagNotScanned
	}
	dst = append(dst, byte(r.tally.action), flags, byte(min(len(r.tally.codes), 255)))
	for _, code := range r.tally.codes[:min(len(r.tally.codes), 255)] {
		code = code[:min(len(code), 255)]
		dst = append(dst, byte(len(code)))
		dst = append(dst, code...)
	}
	return append(dst, r.key...)
}

// parseFile reads what appendFile wrote, without the type. The record's key is part of payload.
func parseFile(payload []byte) (fileRecord, error) {
	var r fileRecord
	for _, n := range [...]*int64{&r.output, &r.replaces, &r.stamp.Modified, &r.stamp.Size, &r.tally.bytes} {
		value, length := binary.Varint(payload)
		if length <= 0 {
			return r, errTorn
		}
		*n, payload = value, payload[length:]
	}
	if len(payload) < 3 || r.output < 0 || r.replaces < 0 {
		return r, errTorn
	}
	r.tally.action = hashmatch.Action(payload[0])
	r.tally.matched = payload[1]&flagMatched != 0
	r.tally.notScanned = payload[1]&flagNotScanned != 0
	codes := int(payload[2])
	payload = payload[3:]
	for range codes {
		if len(payload) == 0 || len(payload) < 1+int(payload[0]) {
			return r, errTorn
		}
		end := 1 + int(payload[0])
		r.tally.codes = append(r.tally.codes, hashmatch.FailureCode(payload[1:end]))
		payload = payload[end:]
	}
	if len(payload) == 0 {
		return r, errTorn
	}
	r.key = payload
	return r, nil
}

// termsRecord is the payload of a 'T' record.
type termsRecord struct {
	Terms
	// Output is how long the output was when these terms came into force.
	Output int64 `json:"output_bytes"`
}

func appendTerms(dst []byte, t termsRecord) ([]byte, error) {
	text, err := json.Marshal(t)
	if err == nil && len(text) >= maxRecord {
		err = fmt.Errorf("terms of %d bytes", len(text))
	}
	return append(append(dst, recordTerms), text...), err
}

func parseTerms(payload []byte) (termsRecord, error) {
	var t termsRecord
	err := json.Unmarshal(payload, &t)
	if err == nil && t.Output < 0 {
		err = errTorn
	}
	return t, err
}

// asRead returns t as it comes back from a record: JSON replaces what is not UTF-8.
func (t Terms) asRead() (Terms, error) {
	payload, err := appendTerms(nil, termsRecord{Terms: t})
	if err != nil {
		return t, err
	}
	read, err := parseTerms(payload[1:])
	return read.Terms, err
}
