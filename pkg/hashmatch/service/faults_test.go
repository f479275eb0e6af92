package service

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/audit"
)

// childVariable names the configuration that the test binary is to serve in place of running tests.
const childVariable = "HASHMATCH_SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	file := os.Getenv(childVariable)
	if file == "" {
		os.Exit(m.Run())
	}
	s, err := Open(context.Background(), Options{ConfigFile: file})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Addresses()["api"])
	if err := s.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

// A service that is killed at any moment, again and again: every upload whose answer came is recorded with that answer,
// those that are sent again with the same ID are recorded once, and no listed one is ever allowed.
func TestKilledAtAnyMoment(t *testing.T) {
	d := newDir(t)
	contents := map[string][]byte{
		"allow": testdata(t, "uploads", "clean-landscape.jpg"), "block": testdata(t, "uploads", "exact-copy.jpg"), "hold": testdata(t, "uploads", "notes.txt"),
	}
	wants := []string{"allow", "block", "hold"}
	answered := make(map[string]string) // by item ID
	var mu sync.Mutex
	next := 0
	pending := []string{} // sent, and no answer came
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+d.file("hashmatch.yaml"))
		child.Stderr = os.Stderr
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(output).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		url := "http://" + strings.TrimSpace(line) + "/v1/scan"
		mu.Lock()
		again := pending
		pending = nil
		mu.Unlock()
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for {
					mu.Lock()
					var id string
					if len(again) > 0 {
						id, again = again[0], again[1:]
					} else {
						id = fmt.Sprintf("item-%d", next)
						next++
					}
					mu.Unlock()
					want := wants[len(id)%3]
					action, err := scanOnce(client, url, d.token, id, contents[want])
					mu.Lock()
					if err != nil {
						pending = append(pending, id)
						mu.Unlock()
						return
					}
					answered[id] = action
					mu.Unlock()
					if action != want {
						t.Errorf("%s: %s, want %s", id, action, want)
					}
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		senders.Wait()
		mu.Lock()
		pending = append(pending, again...)
		mu.Unlock()
	}
	if len(answered) < 10 {
		t.Fatalf("only %d uploads were answered", len(answered))
	}

	// After the last start everything that was not answered is sent once more, so that nothing is open.
	r := start(t, d)
	for _, id := range pending {
		want := wants[len(id)%3]
		status, text := r.request(t, "api", "POST", "/v1/scan", contents[want], "Authorization", "Bearer "+d.token, "Hashmatch-Surface", "uploads", "Hashmatch-Item", id)
		var answer struct{ Action string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Action != want {
			t.Errorf("%s: %d %s, want %s", id, status, text, want)
		}
		answered[id] = answer.Action
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	recorded := make(map[string][]string)
	for entry, err := range audit.Records(d.file("audit")) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Type == audit.TypeUpload {
			recorded[entry.Item] = append(recorded[entry.Item], entry.Action)
		}
	}
	for id, action := range answered {
		if got := recorded[id]; len(got) != 1 || got[0] != action {
			t.Errorf("%s was answered %s and is recorded as %v", id, action, got)
		}
	}
	if report, err := audit.Verify(d.file("audit"), audit.Options{}); err != nil || !report.OK() {
		t.Errorf("the audit: %+v, %v", report.Findings, err)
	}
	t.Logf("%d uploads over %d kills, %d sent again at the end", len(answered), rounds, len(pending))
}

func scanOnce(client *http.Client, url, token, id string, content []byte) (string, error) {
	request, err := http.NewRequest("POST", url, strings.NewReader(string(content)))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + token, "Hashmatch-Surface": "uploads", "Hashmatch-Item": id} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var answer struct{ Action string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("%d %s", response.StatusCode, text)
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return "overloaded", nil
	}
	return answer.Action, nil
}

// Far more uploads than can be scanned: each gets an answer, none an allow that it did not earn, memory stays bounded,
// and the service is well afterwards. It lasts some seconds, or as long as HASHMATCH_LOAD says; on a busy machine until
// an upload was scanned.
func TestFarTooMuch(t *testing.T) {
	lasts := 3 * time.Second
	if text := os.Getenv("HASHMATCH_LOAD"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	d := newDir(t)
	d.write(t, "hashmatch.yaml", strings.Replace(configuration, "serve: {", "limits: {max_bytes: 1MiB}\nserve: {concurrency: 1, queue: 4, queue_timeout: 200ms, memory: 8MiB, ", 1))
	r := start(t, d)
	url := "http://" + r.Addresses()["api"].String() + "/v1/scan"
	contents := map[string][]byte{"allow": testdata(t, "uploads", "clean-landscape.jpg"), "block": testdata(t, "uploads", "exact-copy.jpg"), "hold": testdata(t, "uploads", "near-resized.jpg")}
	counts := make(map[string]*atomic.Int64)
	for _, action := range []string{"allow", "block", "hold", "overloaded"} {
		counts[action] = new(atomic.Int64)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	done := time.Now().Add(lasts)
	latest := done.Add(time.Minute)
	goOn := func() bool {
		now := time.Now()
		scanned := counts["allow"].Load()+counts["block"].Load()+counts["hold"].Load() > 0
		return now.Before(done) || !scanned && now.Before(latest)
	}
	var clients sync.WaitGroup
	for n := range 200 {
		clients.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext}}
			defer client.CloseIdleConnections()
			for i := n; goOn(); i++ {
				want := []string{"allow", "block", "hold"}[i%3]
				// A trailing byte that no decoder looks at: no two uploads are equal, so each is scanned.
				content := contents[want]
				if want == "allow" {
					content = fmt.Appendf(content[:len(content):len(content)], "%d-%d", n, i)
				}
				got, err := scanOnce(client, url, d.token, fmt.Sprintf("%d-%d", n, i), content)
				if err != nil {
					t.Errorf("no answer: %v", err)
					return
				}
				if got != want && got != "overloaded" {
					t.Errorf("%s, want %s", got, want)
				}
				counts[got].Add(1)
			}
		})
	}
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for goOn() {
			if n := uint64(r.gate.Stats().Bytes); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	clients.Wait()
	<-sampled
	runtime.GC()
	runtime.ReadMemStats(&during)
	if most.Load() > 8<<20 {
		t.Errorf("%d bytes of uploads in memory, want 8 MiB at most", most.Load())
	}
	if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	for action, n := range counts {
		t.Logf("%s: %d", action, n.Load())
	}
	if counts["allow"].Load()+counts["block"].Load()+counts["hold"].Load() == 0 || counts["overloaded"].Load() == 0 {
		t.Error("no upload was scanned, or there was no overload: the test shows nothing")
	}
	if got := r.scan(t, "clean-landscape.jpg"); got != "allow" {
		t.Errorf("after the load: %s", got)
	}
}
