package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary stand in for the program, so that the scripts run the real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hashmatch": main})
}

// computing are the scripts that compute or start a lot, and do nothing at the same time that the packages' own tests do
// not do with the race detector.
var computing = []string{"bench", "damaged", "eval", "formats", "hash", "odd", "show", "wrong"}

// The scripts in testdata/script drive the program as a person would. $DATA is the project's synthetic test data. With
// the race detector the computing ones are left out.
func TestScripts(t *testing.T) {
	data, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) < 5 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	if raceDetector {
		all := len(scripts)
		scripts = slices.DeleteFunc(scripts, func(path string) bool {
			return slices.Contains(computing, strings.TrimSuffix(filepath.Base(path), ".txtar"))
		})
		if len(scripts) != all-len(computing) || len(scripts) < 5 {
			t.Fatalf("%d of %d scripts are left", len(scripts), all)
		}
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", data)
			// The race detector holds each process for a second at its end, unless it is told not to; ./test does that.
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":     runForCode,
			"sparse":   makeSparse,
			"reviewdb": makeReviewDatabase,
			"post":     postUpload,
		},
	})
}

// runForCode runs "hashmatch ARGS..." and checks its exit code: code 3 hashmatch scan ...
func runForCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		exited, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exited.ExitCode()
	}
	if want, err := strconv.Atoi(args[0]); err != nil || got != want {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// makeSparse makes a file of 100 GB that takes no room.
func makeSparse(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(file.Truncate(100 << 30))
	ts.Check(file.Close())
}
