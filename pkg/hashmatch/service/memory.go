package service

import (
	"os"
	"runtime"
	"runtime/debug"
)

// memoryMargin is what the process may take beside its lists and the uploads, in bytes: connections, records, the
// runtime's own.
const memoryMargin = 256 << 20

// limitMemory tells the runtime to collect garbage before the process takes more than what its uploads may, what it holds
// now, the lists above all, and as much again for those that a reload reads beside them. Otherwise garbage would grow to
// the size of all of that, and the system's own limit would kill the service. GOMEMLIMIT, where it is set, is left alone.
func (s *Service) limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	limit := memoryLimit(int64(m.HeapAlloc), int64(s.running.Serve.Memory))
	debug.SetMemoryLimit(limit)
	s.log.Info("the runtime's memory limit was set", "bytes", limit)
}

func memoryLimit(held, uploads int64) int64 { return 2*held + uploads + memoryMargin }
