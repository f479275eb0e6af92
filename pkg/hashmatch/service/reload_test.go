package service

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// reloadStatus returns what the service says of its last reload.
func (r *running) reloadStatus(t *testing.T) (s ReloadStatus) {
	t.Helper()
	text, err := json.Marshal(r.status())
	if err != nil {
		t.Fatal(err)
	}
	var status Status
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	return status.Reload
}

func (r *running) metric(t *testing.T, line string) bool {
	t.Helper()
	_, text := r.request(t, "watch", "GET", "/metrics", nil)
	return strings.Contains(text, line+"\n")
}

// asks sends a request with the token that the service began with, and returns its status.
func (r *running) asks(t *testing.T) int {
	t.Helper()
	status, _ := r.request(t, "api", "GET", "/v1/status", nil, "Authorization", "Bearer "+r.dir.token)
	return status
}

// A token that is revoked is revoked at once, whatever else is wrong; and what is wrong is shown.
func TestTokensReloadByThemselves(t *testing.T) {
	d := newDir(t)
	r := start(t, d)
	good := mustRead(t, d.file("tokens.json"))
	if got := r.reloadStatus(t); !got.OK || got.Error != "" || got.Time.IsZero() {
		t.Errorf("at the start: %+v", got)
	}
	if !r.metric(t, "hashmatch_reload_ok 1") || !r.metric(t, `hashmatch_reloads_total{result="refused"} 0`) {
		t.Error("at the start: the metrics say otherwise")
	}
	other, hash := hook.NewToken()
	text, err := json.Marshal([]hook.Token{{Name: "other", SHA256: hash, Scopes: hook.Scopes()}})
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "hashmatch.yaml", "surfaces: [")
	d.write(t, "tokens.json", string(text))
	r.awaitLook(t)
	if got := r.asks(t); got != 401 {
		t.Errorf("a revoked token, while the configuration is broken: %d; %+v", got, r.reloadStatus(t))
	}
	status, body := r.request(t, "api", "GET", "/v1/status", nil, "Authorization", "Bearer "+other)
	var answer struct{ Status Status }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		t.Fatalf("the new token: %d %s", status, body)
	}
	if last := answer.Status.Reload; last.OK || !strings.Contains(last.Error, "hashmatch.yaml") || time.Since(last.Time) > time.Minute {
		t.Errorf("/v1/status: %+v", last)
	}
	if !r.metric(t, "hashmatch_reload_ok 0") || r.metric(t, `hashmatch_reloads_total{result="refused"} 0`) {
		t.Error("the metrics do not show that a reload was refused")
	}
	d.write(t, "hashmatch.yaml", configuration)
	for name, c := range map[string]struct {
		change func()
		ok     bool
		error  string
	}{
		"an empty array": {func() { d.write(t, "tokens.json", "[]") }, true, ""},
		"an empty file":  {func() { d.write(t, "tokens.json", "\n") }, true, ""},
		"no file": {func() {
			if err := os.Remove(d.file("tokens.json")); err != nil {
				t.Fatal(err)
			}
		}, false, "no token is valid"},
	} {
		d.write(t, "tokens.json", good)
		r.awaitLook(t)
		if got := r.asks(t); got != 200 {
			t.Errorf("%s: before: %d", name, got)
		}
		c.change()
		r.awaitLook(t)
		if got := r.asks(t); got != 401 {
			t.Errorf("%s: %d", name, got)
		}
		if got := r.reloadStatus(t); got.OK != c.ok || !strings.Contains(got.Error, c.error) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestReloadErrorsTellNoSecret(t *testing.T) {
	s := new(Service)
	s.noteReload(errors.New(`callback: "https://user:hunter2@app.test/x" and http://token@[::1]/: ` + strings.Repeat("x", 5000)))
	if got := s.lastReload.Load(); strings.Contains(got.Error, "hunter2") || strings.Contains(got.Error, "token") || len(got.Error) > maxReason {
		t.Errorf("%q", got.Error)
	}
}

// A service that cannot record its answers is not ready, and says so; the caller is told to try again.
func TestAuditThatIsGone(t *testing.T) {
	d := newDir(t)
	r := start(t, d)
	if got := r.scan(t, "clean-landscape.jpg"); got != "allow" {
		t.Fatalf("before: %s", got)
	}
	if err := os.RemoveAll(d.file("audit")); err != nil {
		t.Fatal(err)
	}
	status, text := r.request(t, "api", "POST", "/v1/scan", testdata(t, "uploads", "clean-landscape.jpg"),
		"Authorization", "Bearer "+d.token, "Hashmatch-Surface", "uploads")
	var answer hook.Answer
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 503 || answer.Action.String() != "hold" || !answer.Retry {
		t.Errorf("the first clean upload: %d %s", status, text)
	}
	for _, listener := range []string{"watch", "api"} {
		if status, _ := r.request(t, listener, "GET", "/readyz", nil); status != 503 {
			t.Errorf("%s: /readyz %d", listener, status)
		}
	}
	if !r.metric(t, "hashmatch_ready 0") {
		t.Error("the metrics say that it is ready")
	}
	_ = r.stop() // the audit cannot be closed as it should be, and says so
}

func TestEffectsThatFail(t *testing.T) {
	var e effects
	failed := func(names ...string) gate.Outcome {
		var o gate.Outcome
		for _, name := range names {
			o.Failed = append(o.Failed, gate.EffectError{Effect: name, Err: errors.New("for the test")})
		}
		return o
	}
	e.Checked(gate.Upload{}, failed("audit", "review"))
	if got := strings.Join(e.failing(), " "); got != "review audit" {
		t.Errorf("both: %q", got)
	}
	e.Checked(gate.Upload{}, failed())
	if got := strings.Join(e.failing(), " "); got != "review" {
		t.Errorf("then recorded: %q", got)
	}
	e.failed["review"] = time.Now().Add(-2 * forgotten)
	if got := e.failing(); len(got) != 0 {
		t.Errorf("long after: %q", got)
	}
	e.Checked(gate.Upload{}, failed("audit"))
	e.failed["audit"] = time.Now().Add(-2 * forgotten)
	if got := e.failing(); len(got) != 1 {
		t.Errorf("the audit mends only when it is written: %q", got)
	}
	e.succeeded("audit")
	if got := e.failing(); len(got) != 0 {
		t.Errorf("after that: %q", got)
	}
}

// What begins anew at a start is named.
func TestNewRecordsAreWarnedOf(t *testing.T) {
	d := newDir(t)
	first, log := openLogged(t, d)
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"there is no log in the folder", "there is no database"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the first start: %q is not in %s", want, log)
		}
	}
	second, log := openLogged(t, d)
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "there is no") {
		t.Errorf("the second start: %s", log)
	}
	for _, name := range []string{"review.db", "audit"} {
		if err := os.RemoveAll(filepath.Join(d.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	third, log := openLogged(t, d)
	if err := third.close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "there is no"); n != 2 {
		t.Errorf("with both gone: %s", log)
	}
}
