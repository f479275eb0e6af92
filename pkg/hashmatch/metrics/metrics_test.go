package metrics

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/readiness"
)

func newMetrics() *Metrics {
	return New(Sources{
		Gate: func() gate.Stats { return gate.Stats{Waiting: 3, Scanning: 2, Bytes: 1000, Shared: 4} },
		Readiness: func() readiness.Status {
			return readiness.Status{Canary: true, Checked: time.Unix(100, 0), Lists: []readiness.ListStatus{
				{Name: "demo", Revision: "r1", Entries: 7, Age: time.Minute}, {Name: "bad", Err: errors.New("no")},
			}}
		},
		Ready: func() error { return errors.New("no") }, Trips: func() int { return 1 },
		Reloads:  func() Reloads { return Reloads{Done: 8, Refused: 9, Aside: 3} },
		Surfaces: func() []string { return []string{"avatars", "banners"} },
		Pending:  func() Pending { return Pending{Held: 5, Blocked: 7} }, Undelivered: func() int64 { return 6 },
	})
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != 200 {
		t.Fatalf("%d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}

func upload(t *testing.T) gate.Upload {
	t.Helper()
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: "avatars", Visibility: hashmatch.Public, Encrypted: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	return gate.Upload{ID: "secret-item", Caller: "secret-caller", Dialect: "http", Surface: s}
}

func TestMetrics(t *testing.T) {
	m := newMetrics()
	m.Checked(upload(t), gate.Outcome{
		Action: hashmatch.Block, Scanned: true, Took: time.Second,
		Verdict: hashmatch.Verdict{
			Action: hashmatch.Block, Matches: []hashmatch.Match{{List: "demo", Entry: "secret-entry", Kind: hashmatch.PDQ}},
			Failures: []hashmatch.Failure{{Code: hashmatch.Truncated, Detail: "secret-detail"}}, Notes: []hashmatch.Note{hashmatch.LowQuality},
			Timings: hashmatch.Timings{Decode: 20 * time.Millisecond},
		},
		Failed: []gate.EffectError{{Effect: "review", Err: errors.New("secret-error")}},
	})
	m.Checked(upload(t), gate.Outcome{Verdict: hashmatch.Verdict{Notes: []hashmatch.Note{hashmatch.Overloaded}}})
	text := scrape(t, m)
	for _, want := range []string{
		`hashmatch_uploads_total{action="block",dialect="http",shadow="false",surface="avatars",verdict="block"} 1`,
		`hashmatch_uploads_total{action="hold",dialect="http",shadow="false",surface="avatars",verdict="hold"} 1`,
		`hashmatch_failures_total{code="truncated",surface="avatars"} 1`,
		`hashmatch_notes_total{note="overloaded",surface="avatars"} 1`,
		`hashmatch_matches_total{kind="pdq",list="demo",surface="avatars"} 1`,
		`hashmatch_effects_failed_total{effect="review"} 1`,
		`hashmatch_stage_seconds_count{stage="decode"} 1`,
		`hashmatch_upload_seconds_count{dialect="http"} 2`,
		`hashmatch_ready 0`, `hashmatch_canary_found 1`, `hashmatch_checked_timestamp_seconds 100`,
		`hashmatch_list_entries{list="demo"} 7`, `hashmatch_list_age_seconds{list="demo"} 60`,
		`hashmatch_list_ok{list="demo"} 1`, `hashmatch_list_ok{list="bad"} 0`, `hashmatch_list_info{list="demo",revision="r1"} 1`,
		`hashmatch_queue_waiting 3`, `hashmatch_scanning 2`, `hashmatch_upload_memory_bytes 1000`, `hashmatch_shared_total 4`,
		`hashmatch_breaker_tripped 1`, `hashmatch_review_pending{action="hold"} 5`, `hashmatch_review_pending{action="block"} 7`,
		`hashmatch_reload_ok 0`, `hashmatch_lists_set_aside 3`, `hashmatch_reloads_total{result="ok"} 8`, `hashmatch_reloads_total{result="refused"} 9`,
		`hashmatch_effects_failed_total{effect="audit"} 0`, `hashmatch_notes_total{note="low_quality",surface="banners"} 0`, `hashmatch_review_undelivered 6`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "secret-") {
		t.Error("a metric names an item, an entry, a caller or an error")
	}
}

// What the dashboard and the alert rules ask for is there.
func TestDashboardAndAlerts(t *testing.T) {
	m := newMetrics()
	m.Checked(upload(t), gate.Outcome{Scanned: true, Failed: []gate.EffectError{{Effect: "audit"}}, Verdict: hashmatch.Verdict{
		Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt}}, Notes: []hashmatch.Note{hashmatch.LowQuality}, Matches: []hashmatch.Match{{Kind: hashmatch.PDQ}},
	}})
	text := scrape(t, m)
	for _, file := range []string{"dashboard.json", "alerts.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bhashmatch_[a-z_]+\b`).FindAllString(string(content), -1)
		if len(names) < 5 {
			t.Fatalf("%s: only %d metrics", file, len(names))
		}
		for _, name := range names {
			if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
	}
}
