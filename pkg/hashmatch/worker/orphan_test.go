package worker

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parentOfASpinner is a parent whose child decodes without end; it prints the child's process ID.
func parentOfASpinner() {
	p := NewPool(Config{Command: []string{os.Args[0]}, Env: []string{behaviour + "=spin"}, Size: 1, Deadline: time.Hour})
	c, err := p.start()
	if err != nil {
		os.Exit(1)
	}
	if err := writeRequest(c.stdin, request{format: "tiff", content: []byte("II*\x00")}); err != nil {
		os.Exit(1)
	}
	if tag, err := c.stdout.ReadByte(); err != nil || tag != tagWarm {
		os.Exit(1)
	}
	fmt.Println(c.cmd.Process.Pid)
	time.Sleep(time.Hour)
}

// A child that is in the middle of a file ends when its parent is killed.
func TestNoOrphanRemains(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("processes are looked up in /proc: not tested")
		return
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), behaviour+"=parent of a spinner")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !running(pid) {
		t.Fatalf("child %d does not run: %v", pid, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for started := time.Now(); running(pid); time.Sleep(20 * time.Millisecond) {
		if time.Since(started) > 30*time.Second {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill()
			}
			t.Fatalf("child %d is still there", pid)
		}
	}
}

// running reports whether the process is there and no zombie, which it is where nobody waits for orphans.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
