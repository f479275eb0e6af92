package service

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	d := newDir(t)
	t.Setenv("GOMEMLIMIT", "off") // as the runtime has it, which reads it once
	s, _ := openLogged(t, d)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("GOMEMLIMIT is set, and the limit was changed to %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	s.limitMemory()
	uploads := int64(s.running.Serve.Memory)
	if got := debug.SetMemoryLimit(-1); got <= uploads+memoryMargin || got > uploads+memoryMargin+1<<30 {
		t.Errorf("the limit is %d, for uploads of %d", got, uploads)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
