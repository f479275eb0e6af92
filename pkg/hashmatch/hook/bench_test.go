package hook_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// allowing reads an upload and allows it: what is left of a request is the service's own time.
type allowing struct{}

func (allowing) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	_, err := io.Copy(io.Discard, u.Content)
	v := hashmatch.Verdict{Item: u.ID, Surface: u.Surface.Name(), Action: hashmatch.Allow, Would: hashmatch.Allow}
	return gate.Outcome{Action: hashmatch.Allow, Verdict: v, Scanned: true}, err
}

// BenchmarkAPIOverhead is one upload of 32 KB at a time through HTTP on loopback, the client's own time included: to the
// API, and by turns to a bare net/http handler that reads the body, which shows what of it is the service's.
func BenchmarkAPIOverhead(b *testing.B) {
	api := serve(b, allowing{}, hooktest.Surface(b), nil) + "/v1/scan?surface=uploads&item=x"
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	defer bare.Close()
	content := bytes.Repeat([]byte{0xff}, 32<<10)
	one := func(url string) time.Duration {
		started := time.Now()
		response, err := http.Post(url, "image/jpeg", bytes.NewReader(content))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return time.Since(started)
	}
	var times, bares []time.Duration
	for b.Loop() {
		times = append(times, one(api))
		bares = append(bares, one(bare.URL))
	}
	report := func(name string, times []time.Duration) {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2]), name+"p50-ns")
		b.ReportMetric(float64(times[len(times)*99/100]), name+"p99-ns")
	}
	report("", times)
	report("bare-", bares)
}

// BenchmarkThroughput scans the synthetic uploads that are JPEGs, as many at a time as there are cores and one more,
// directly and through the hook, by turns, and reports both rates and their ratio.
func BenchmarkThroughput(b *testing.B) {
	paths, err := filepath.Glob(filepath.Join(hooktest.Data(b, "uploads"), "*.jpg"))
	if err != nil || len(paths) < 5 {
		b.Fatal(paths, err)
	}
	var files [][]byte
	for _, path := range paths {
		files = append(files, read(b, path))
	}
	engine, surface := hooktest.Engine(b), hooktest.Surface(b)
	g := hooktest.Gate(b, nil)
	url := serve(b, g, surface, nil) + "/v1/scan?surface=uploads"
	clients := runtime.GOMAXPROCS(0) + 1
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var direct, hooked time.Duration
	scans := 0
	all := func(one func(content []byte)) time.Duration {
		started := time.Now()
		var next atomic.Int64
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				for i := next.Add(1) - 1; i < int64(4*len(files)); i = next.Add(1) - 1 {
					// No two are the same bytes, or the gate would scan them once.
					one(append(bytes.Clone(files[i%int64(len(files))]), byte(i), byte(i>>8)))
				}
			})
		}
		group.Wait()
		return time.Since(started)
	}
	for b.Loop() {
		direct += all(func(content []byte) {
			if _, err := engine.Scanner.Scan(b.Context(), hashmatch.Item{Surface: surface, Held: content}); err != nil {
				b.Error(err)
			}
		})
		hooked += all(func(content []byte) {
			response, err := client.Post(url, "image/jpeg", bytes.NewReader(content))
			if err != nil || response.StatusCode != http.StatusOK {
				b.Error(response, err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		})
		scans += 4 * len(files)
	}
	b.ReportMetric(float64(scans)/direct.Seconds(), "direct/s")
	b.ReportMetric(float64(scans)/hooked.Seconds(), "hook/s")
	b.ReportMetric(direct.Seconds()/hooked.Seconds(), "ratio")
}

var _ hook.Checker = allowing{}
