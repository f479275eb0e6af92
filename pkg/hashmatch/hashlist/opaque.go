package hashlist

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// PhotoDNA is the scheme of PhotoDNA's signatures, which are kept and never computed here.
const PhotoDNA = "photodna"

// PhotoDNABytes is the length of a PhotoDNA signature.
const PhotoDNABytes = 144

// ParsePhotoDNA reads a PhotoDNA signature: 144 bytes in base64, or as 288 hexadecimal digits. One that is all zero
// stands for no picture, and is an error. No error repeats any of it.
func ParsePhotoDNA(text string) (opaque string, err error) {
	var decoded []byte
	if len(text) == 2*PhotoDNABytes {
		decoded, err = hex.DecodeString(text)
	} else {
		decoded, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	switch {
	case err != nil:
		return "", errors.New("not base64")
	case len(decoded) != PhotoDNABytes:
		return "", errors.New("not 144 bytes")
	case strings.Trim(string(decoded), "\x00") == "":
		return "", errors.New("all zero")
	}
	return string(decoded), nil
}
