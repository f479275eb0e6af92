// Package metrics shows what a service does to Prometheus. No label holds a hash, a name or an item ID; the values of
// every label come from the configuration or from this project's own words, so their number is bounded.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/readiness"
)

// Sources are asked each time that the metrics are. All are required, and must not block.
type Sources struct {
	Gate        func() gate.Stats
	Readiness   func() readiness.Status
	Ready       func() error
	Trips       func() int
	Reloads     func() Reloads
	Surfaces    func() []string // the names of those that are declared
	Pending     func() Pending  // items that wait for a person
	Undelivered func() int64    // decisions that the application was not told of yet
}

// Reloads says how reading the configuration, and all that it names, went since the start.
type Reloads struct {
	OK            bool // the last one is in force
	Done, Refused int64
	Aside         int // lists of which another revision is in force than their files hold
}

// Pending counts items by the action that was answered.
type Pending struct{ Held, Blocked int64 }

// Metrics counts answers, and shows the sources. It implements gate.Observer and is safe for concurrent use.
type Metrics struct {
	sources  Sources
	registry *prometheus.Registry
	uploads  *prometheus.CounterVec
	failures *prometheus.CounterVec
	notes    *prometheus.CounterVec
	matches  *prometheus.CounterVec
	effects  *prometheus.CounterVec
	took     *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
}

var _ gate.Observer = (*Metrics)(nil)

// New returns the metrics of one service.
func New(sources Sources) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hashmatch", Name: name, Help: help}, labels)
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "hashmatch", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16), // to 16 s
		}, labels)
	}
	m := &Metrics{
		sources:  sources,
		registry: prometheus.NewRegistry(),
		uploads:  counter("uploads_total", "Uploads answered. action is what the caller was told, verdict what was found.", "surface", "dialect", "action", "verdict", "shadow"),
		failures: counter("failures_total", "Reasons why uploads were not scanned in full.", "surface", "code"),
		notes:    counter("notes_total", "Remarks on uploads: low_quality, overloaded, not_ready.", "surface", "note"),
		matches:  counter("matches_total", "Uploads that matched a list, by list and kind of hash of the strongest match.", "surface", "list", "kind"),
		effects:  counter("effects_failed_total", "Effects that did not happen; each made the answer a hold at least.", "effect"),
		took:     seconds("upload_seconds", "From the arrival of an upload to its answer.", "dialect"),
		stages:   seconds("stage_seconds", "Time of an upload in each stage.", "stage"),
	}
	m.registry.MustRegister(m.uploads, m.failures, m.notes, m.matches, m.effects, m.took, m.stages, &state{sources},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, effect := range gate.Effects() {
		m.effects.WithLabelValues(effect)
	}
	return m
}

// Handler answers with the metrics in Prometheus' formats.
func (m *Metrics) Handler() http.Handler {
	show := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A counter that appears with its first event shows no increase: what alerts look at is there from the start.
		for _, surface := range m.sources.Surfaces() {
			for _, note := range []hashmatch.Note{hashmatch.LowQuality, hashmatch.Overloaded, hashmatch.NotReady} {
				m.notes.WithLabelValues(surface, string(note))
			}
		}
		show.ServeHTTP(w, r)
	})
}

// Checked counts one answer.
func (m *Metrics) Checked(u gate.Upload, o gate.Outcome) {
	surface := u.Surface.Name()
	shadow := "false"
	if o.Shadow {
		shadow = "true"
	}
	m.uploads.WithLabelValues(surface, u.Dialect, o.Action.String(), o.Verdict.Action.String(), shadow).Inc()
	for _, f := range o.Verdict.Failures {
		m.failures.WithLabelValues(surface, string(f.Code)).Inc()
	}
	for _, n := range o.Verdict.Notes {
		m.notes.WithLabelValues(surface, string(n)).Inc()
	}
	if len(o.Verdict.Matches) > 0 {
		strongest := o.Verdict.Matches[0]
		m.matches.WithLabelValues(surface, strongest.List, strongest.Kind.String()).Inc()
	}
	for _, f := range o.Failed {
		m.effects.WithLabelValues(f.Effect).Inc()
	}
	m.took.WithLabelValues(u.Dialect).Observe(o.Took.Seconds())
	if !o.Scanned || o.Shared {
		return // no stage was gone through, or another upload's counted already
	}
	t := o.Verdict.Timings
	for _, stage := range []struct {
		name string
		took time.Duration
	}{{"wait", o.Waited}, {"read", t.Read}, {"decode", t.Decode}, {"hash", t.Hash}, {"search", t.Search}} {
		m.stages.WithLabelValues(stage.name).Observe(stage.took.Seconds())
	}
}

// state shows what the sources say.
type state struct{ sources Sources }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hashmatch_"+name, help, labels, nil)
}

var (
	ready       = describe("ready", "1 if uploads can be judged, 0 if everything is held.")
	canary      = describe("canary_found", "1 if the last check found the canary through the whole scanner.")
	checked     = describe("checked_timestamp_seconds", "When readiness was last checked.")
	listEntries = describe("list_entries", "Entries of a list, tombstones included.", "list")
	listAge     = describe("list_age_seconds", "Time since the last successful sync of a list, at the last check.", "list")
	listInfo    = describe("list_info", "1; the revision of a list in force.", "list", "revision")
	listOK      = describe("list_ok", "1 if a list is loaded, not too old, and finds its own entries.", "list")
	waiting     = describe("queue_waiting", "Uploads that wait to be scanned.")
	scanning    = describe("scanning", "Uploads being scanned.")
	memory      = describe("upload_memory_bytes", "Memory that uploads take, as accounted for.")
	shared      = describe("shared_total", "Uploads that were scanned together with the same bytes of another one.")
	tripped     = describe("breaker_tripped", "Floods that no person has lifted.")
	pending     = describe("review_pending", "Items that wait for a person, by what was answered: hold or block.", "action")
	reloadOK    = describe("reload_ok", "1 if the configuration and all that it names is in force as it stands in the files, by the last look at them.")
	listsAside  = describe("lists_set_aside", "Lists whose files hold a revision that was set aside: another one is in force.")
	reloads     = describe("reloads_total", "Times that the configuration was read again.", "result")
	undelivered = describe("review_undelivered", "Decisions that the application was not told of yet.")
)

// Describe implements prometheus.Collector.
func (*state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, canary, checked, listEntries, listAge, listInfo, listOK, waiting, scanning, memory, shared,
		tripped, pending, undelivered, reloadOK, listsAside, reloads} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	is := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	last := s.sources.Readiness()
	gauge(ready, is(s.sources.Ready() == nil))
	gauge(canary, is(last.Canary))
	if !last.Checked.IsZero() {
		gauge(checked, float64(last.Checked.UnixMilli())/1e3)
	}
	for _, l := range last.Lists {
		gauge(listEntries, float64(l.Entries), l.Name)
		gauge(listAge, l.Age.Seconds(), l.Name)
		gauge(listOK, is(l.Err == nil), l.Name)
		gauge(listInfo, 1, l.Name, l.Revision)
	}
	g := s.sources.Gate()
	gauge(waiting, float64(g.Waiting))
	gauge(scanning, float64(g.Scanning))
	gauge(memory, float64(g.Bytes))
	ch <- prometheus.MustNewConstMetric(shared, prometheus.CounterValue, float64(g.Shared))
	gauge(tripped, float64(s.sources.Trips()))
	waits := s.sources.Pending()
	gauge(pending, float64(waits.Held), hashmatch.Hold.String())
	gauge(pending, float64(waits.Blocked), hashmatch.Block.String())
	read := s.sources.Reloads()
	gauge(reloadOK, is(read.OK))
	gauge(listsAside, float64(read.Aside))
	ch <- prometheus.MustNewConstMetric(reloads, prometheus.CounterValue, float64(read.Done), "ok")
	ch <- prometheus.MustNewConstMetric(reloads, prometheus.CounterValue, float64(read.Refused), "refused")
	gauge(undelivered, float64(s.sources.Undelivered()))
}
