package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// childVariable tells the test binary to sync a list, and to be killed.
const childVariable = "HASHMATCH_TEST_SYNC"

type childTask struct {
	Dialect Dialect
	Address string
	File    string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		var task childTask
		if err := json.Unmarshal([]byte(text), &task); err != nil {
			panic(err)
		}
		b := &bench{dialect: task.Dialect, address: task.Address, file: task.File, adjust: saveAlways}
		c := b.config()
		c.Logger = nil
		s, err := New(c)
		if err == nil {
			_, err = s.Sync(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts a sync in a process of its own.
func (b *bench) child() *exec.Cmd {
	b.t.Helper()
	task, err := json.Marshal(childTask{b.dialect, b.address, b.file})
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(task))
	cmd.Stderr = &strings.Builder{}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	return cmd
}

// TestKill kills a sync with SIGKILL again and again, at any request and in between, while the exchange changes. Whatever
// is on disk after each is true to its checkpoint, and a sync that goes on makes it equal to the exchange.
func TestKill(t *testing.T) {
	kills := 8
	if testing.Short() {
		kills = 3
	}
	for _, d := range Dialects() {
		t.Run(string(d), func(t *testing.T) {
			random := rand.New(rand.NewPCG(11, uint64(len(d))))
			b := newBench(t, d, 150)
			b.clock.Add(time.Hour)
			killed, saved := 0, 0
			for range kills {
				cmd := b.child()
				at, asked := random.IntN(30), make(chan struct{}, 1000)
				switch d { // those that ask little
				case File:
					at = 0
				case StopNCII:
					at = random.IntN(3)
				}
				b.asked.Store(new(func() {
					select {
					case asked <- struct{}{}:
					default:
					}
				}))
				over := make(chan error, 1)
				go func() { over <- cmd.Wait() }()
				func() {
					for range at + 1 {
						select {
						case <-asked:
						case err := <-over:
							over <- err
							return
						}
					}
					time.Sleep(time.Duration(random.IntN(20_000)) * time.Microsecond) // into the writing, too
					_ = cmd.Process.Kill()
				}()
				err := <-over
				b.asked.Store(nil)
				var exited *exec.ExitError
				if errors.As(err, &exited) && !exited.Exited() {
					killed++
				} else if err != nil {
					t.Fatalf("%v: %s", err, cmd.Stderr)
				}
				for _, path := range []string{b.file, b.file + ".partial"} {
					if _, err := hashlist.Open(path); err == nil {
						saved++
					} else if !errors.Is(err, os.ErrNotExist) {
						t.Fatalf("%s: %v", path, err)
					}
					b.trueToCheckpoint(path)
				}
				b.fake.Change(10)
				b.clock.Add(time.Minute)
			}
			if killed < kills/3 || saved == 0 && d != File {
				t.Errorf("%d of %d were killed, %d files were there", killed, kills, saved)
			}
			b.sync()
			if different := fake.Differences(b.list(), b.fake.Truth()); different != nil {
				t.Fatalf("%d kills: %q", killed, different)
			}
			t.Logf("%d of %d killed", killed, kills)
		})
	}
}
