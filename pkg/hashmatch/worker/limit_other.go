//go:build !linux

package worker

import "os/exec"

const limitsData = false

// limit does nothing where there is no limit on data: the collector's soft limit and the deadline remain.
func limit(int64) error { return nil }

func detach(*exec.Cmd) {}
