package clamd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// run runs a client for at most ten seconds and returns its exit code, and what it printed.
func run(t *testing.T, name string, arguments ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, string(out)
	case errors.As(err, &exit):
		return exit.ExitCode(), string(out)
	}
	t.Fatalf("%s: %v", name, err)
	return -1, ""
}

// clamdscanConfig writes the configuration that leads clamdscan to the listener.
func clamdscanConfig(t *testing.T, l net.Listener) string {
	t.Helper()
	text := "StreamMaxLength 2000M\n"
	switch a := l.Addr().(type) {
	case *net.TCPAddr:
		text += fmt.Sprintf("TCPSocket %d\nTCPAddr 127.0.0.1\n", a.Port)
	case *net.UnixAddr:
		text += "LocalSocket " + a.Name + "\n"
	}
	path := filepath.Join(t.TempDir(), "clamd.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClamdscan is the conformance suite through Debian's clamdscan, in each way that it can send a file.
func TestClamdscan(t *testing.T) {
	t.Parallel()
	clamdscan := hooktest.Tool(t, "clamdscan")
	for name, c := range map[string]struct {
		listen    func(testing.TB) net.Listener
		arguments []string
	}{
		"TCP":             {listenTCP, []string{"--stream"}},
		"TCP, session":    {listenTCP, []string{"--stream", "-m"}},
		"unix":            {listenUnix, []string{"--stream"}},
		"fdpass":          {listenUnix, []string{"--fdpass"}},
		"fdpass, session": {listenUnix, []string{"--fdpass", "-m"}},
		"path":            {listenUnix, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
				l := c.listen(t)
				serve(t, l, clamd.Config{
					Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
					Folders: []string{"/"},
				})
				arguments := append([]string{"-c", clamdscanConfig(t, l), "--no-summary"}, c.arguments...)
				return func(t *testing.T, path string) bool {
					code, out := run(t, clamdscan, append(arguments, path)...)
					if code == 0 != strings.Contains(out, ": OK") || code == 1 != strings.Contains(out, " FOUND") || code > 1 {
						t.Errorf("%s: exit code %d: %s", filepath.Base(path), code, out)
					}
					return code == 0
				}
			})
		})
	}
}

// TestClamdscanMany sends a folder in one session.
func TestClamdscanMany(t *testing.T) {
	t.Parallel()
	clamdscan := hooktest.Tool(t, "clamdscan")
	for _, how := range []string{"--stream", "--fdpass"} {
		l := listenUnix(t)
		serve(t, l, clamd.Config{Checker: hooktest.Gate(t, nil)})
		folder := hooktest.Data(t, "uploads")
		files, err := os.ReadDir(folder)
		if err != nil || len(files) < 10 {
			t.Fatalf("%d files: %v", len(files), err)
		}
		code, out := run(t, clamdscan, "-c", clamdscanConfig(t, l), "--no-summary", how, "-m", folder)
		if code != 1 {
			t.Errorf("%s: exit code %d: %s", how, code, out)
		}
		for _, f := range files {
			if filepath.Ext(f.Name()) == ".webp" { // not decoded in this process
				continue
			}
			clean := strings.HasPrefix(f.Name(), "clean-")
			if flagged := strings.Contains(out, f.Name()+": Hashmatch."); flagged == clean {
				t.Errorf("%s: %s: flagged %v", how, f.Name(), flagged)
			}
		}
	}
}

// TestClamdscanAsks has the two commands of clamdscan's that send no file.
func TestClamdscanAsks(t *testing.T) {
	clamdscan := hooktest.Tool(t, "clamdscan")
	l := listenTCP(t)
	serve(t, l, clamd.Config{Checker: stub{}, Version: "1.2.3"})
	config := clamdscanConfig(t, l)
	if code, out := run(t, clamdscan, "-c", config, "--version"); code != 0 || !strings.HasPrefix(out, "ClamAV hashmatch-1.2.3/1/") {
		t.Errorf("--version: exit code %d: %q", code, out)
	}
	if code, out := run(t, clamdscan, "-c", config, "--ping", "1"); code != 0 {
		t.Errorf("--ping: exit code %d: %q", code, out)
	}
	if code, out := run(t, clamdscan, "-c", config, "--reload"); strings.Contains(out, "RELOADING") {
		t.Errorf("--reload: exit code %d: %q", code, out)
	}
}

// nodeModules returns the folder in which npm has put clamscan: ./test says where.
func nodeModules(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("HASHMATCH_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(folder, "clamscan", "package.json")); folder != "" && err == nil {
		return folder
	}
	if os.Getenv("HASHMATCH_CLIENTS") == "required" {
		t.Fatal("HASHMATCH_NODE_MODULES names no folder with npm's clamscan: ./test installs it")
	}
	t.Skip("HASHMATCH_NODE_MODULES names no folder with npm's clamscan: nothing was tested with it; ./test installs it")
	return ""
}

// nodeClient prints the answer that npm's clamscan has for each file, one a line, in the words of its own interface.
const nodeClient = `
const NodeClam = require(process.argv[1]);
const {createReadStream} = require('fs');
(async () => {
	const clam = await new NodeClam().init({
		removeInfected: false, debugMode: false,
		clamdscan: {host: '127.0.0.1', port: Number(process.argv[2]), timeout: 10000, localFallback: false, active: true},
		preference: 'clamdscan',
	});
	for (const path of process.argv.slice(3)) {
		let answer;
		try {
			const {isInfected} = await clam.scanStream(createReadStream(path));
			answer = isInfected === false ? 'clean' : isInfected === true ? 'infected' : 'unknown';
		} catch (failure) {
			answer = 'failed: ' + String(failure).replaceAll('\n', ' ');
		}
		console.log(answer);
	}
	process.exit(0);
})().catch((failure) => { console.log('failed: ' + failure); process.exit(3); });
`

// TestNodeClamscan is the conformance suite through npm's clamscan, over TCP. Starting node is dear, so one process
// sends all the files of a state.
func TestNodeClamscan(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t)
	node := hooktest.Tool(t, "node")
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
		l := listenTCP(t)
		serve(t, l, clamd.Config{Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil }})
		var paths []string
		for _, u := range hooktest.Uploads(t) {
			paths = append(paths, u.Path)
		}
		arguments := []string{"-e", nodeClient, filepath.Join(modules, "clamscan"), fmt.Sprint(l.Addr().(*net.TCPAddr).Port)}
		code, out := run(t, node, append(arguments, paths...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != 0 || len(lines) != len(paths) {
			t.Fatalf("exit code %d, %d answers for %d files: %s", code, len(lines), len(paths), out)
		}
		answers := make(map[string]string)
		for i, path := range paths {
			answers[filepath.Base(path)] = lines[i]
		}
		return func(t *testing.T, path string) bool {
			answer := answers[filepath.Base(path)]
			if answer != "clean" && answer != "infected" {
				t.Errorf("%s: %q", filepath.Base(path), answer)
			}
			return answer == "clean"
		}
	})
}
