package hooktest

import (
	"os"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// TestGate sends the suite's uploads through the gate itself, in every state: what a protocol in front of it must keep.
func TestGate(t *testing.T) {
	Run(t, func(_ *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
		return func(t *testing.T, path string) bool {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			o, err := checker.Check(t.Context(), gate.Upload{Surface: surface, Dialect: "test", Content: file})
			if err != nil {
				t.Fatal(err)
			}
			if allowed := o.Action == hashmatch.Allow; allowed != (len(o.Reasons()) == 0) {
				t.Errorf("%v, reasons %v", o.Action, o.Reasons())
			}
			return o.Action == hashmatch.Allow
		}
	})
}
