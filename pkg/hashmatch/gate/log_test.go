package gate

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"
)

// A time in the log says its unit, in JSON too.
func TestLoggedTimeHasItsUnit(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&text, nil))
	log.LogAttrs(t.Context(), slog.LevelInfo, "x", attributes(Upload{ID: "a"}, Outcome{Took: 28_123_456 * time.Nanosecond})...)
	var line map[string]any
	if err := json.Unmarshal(text.Bytes(), &line); err != nil || line["took"] != "28.12ms" {
		t.Errorf("%s: %v", &text, err)
	}
}
