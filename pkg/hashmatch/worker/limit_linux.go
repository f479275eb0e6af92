package worker

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const limitsData = true

// limit bounds what this process may take: its data, and no core dump, no file written, no new privileges.
func limit(memory int64) error {
	for resource, value := range map[int]uint64{
		unix.RLIMIT_DATA: uint64(memory), unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_NOFILE: 64,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	// The flag is one of each thread, and the runtime has started some. With cgo (the race detector) only this thread
	// can be reached.
	if _, _, err := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err == 0 {
		return nil
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// detach keeps a terminal's interrupt from the child: its parent decides when it ends.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
