package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are the units of a Size, the longest name first where one ends like another.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"B", 1},
}

// String returns the size in the largest power of 1,024 that leaves no fraction: "64MiB"; "0B" for 0.
func (s Size) String() string {
	for _, unit := range units[:4] {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size: digits, and a unit.
func (s *Size) UnmarshalText(text []byte) error {
	digits, factor := string(text), int64(1)
	for _, unit := range units {
		if rest, found := strings.CutSuffix(digits, unit.name); found {
			digits, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return errors.New("want a size such as 64MiB or 500kB")
	}
	if int64(n) > math.MaxInt64/factor {
		return errors.New("too large a size")
	}
	*s = Size(int64(n) * factor)
	return nil
}

// String returns the duration as time.Duration writes it, without units that are zero: "10s", "1m", "1h30m".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("want a duration with its unit, such as 10s or 500ms")
	}
	*d = Duration(parsed)
	return nil
}
