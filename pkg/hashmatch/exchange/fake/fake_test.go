package fake

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func fixed() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func ask(t *testing.T, s *Server, address string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, address, nil))
	return answer.Code, answer.Body.String()
}

func TestSeedDecidesAll(t *testing.T) {
	for _, dialect := range Dialects() {
		var truths [][]Record
		for _, seed := range []uint64{1, 1, 2} {
			s, err := New(Config{Dialect: dialect, Seed: seed, Entries: 200, Now: fixed})
			if err != nil {
				t.Fatal(err)
			}
			s.Change(100)
			truths = append(truths, s.Truth())
		}
		if len(truths[0]) < 200 || !reflect.DeepEqual(truths[0], truths[1]) || reflect.DeepEqual(truths[0], truths[2]) {
			t.Errorf("%s: %d entries", dialect, len(truths[0]))
		}
	}
}

// TestContract holds the exchange to what is known of NCMEC's: from exclusive, to inclusive, pages in no order of time,
// addresses of next pages that expire.
func TestContract(t *testing.T) {
	now := fixed()
	s, err := New(Config{Dialect: "ncmec", Seed: 3, PageSize: 10, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s.Burst(25)
	now = now.Add(time.Second)
	s.Burst(1)
	window := func(from, to string) string {
		return "/base/v2/entries?" + url.Values{"from": {"2026-06-01T" + from + "Z"}, "to": {"2026-06-01T" + to + "Z"}}.Encode()
	}
	for address, want := range map[string]int{
		window("12:00:00", "12:00:01"): 1, window("12:00:01", "13:00:00"): 0, window("11:00:00", "11:59:59"): 0, window("11:59:59", "12:00:00"): 10,
	} {
		if code, body := ask(t, s, address); code != 200 || strings.Count(body, "<image>") != want {
			t.Errorf("%s: %d, %d entries, want %d", address, code, strings.Count(body, "<image>"), want)
		}
	}
	next := regexp.MustCompile(`<next>(.*)</next>`)
	seen, address := 0, window("11:59:59", "12:00:00")
	for range 3 {
		_, body := ask(t, s, address)
		seen += strings.Count(body, "<image>")
		if found := next.FindStringSubmatch(body); found != nil {
			address = strings.ReplaceAll(found[1], "&amp;", "&")
		}
	}
	if seen != 25 {
		t.Errorf("%d entries in three pages", seen)
	}
	now = now.Add(13 * time.Hour)
	if code, _ := ask(t, s, address); code != http.StatusGone {
		t.Errorf("an address of 13 hours ago: %d", code)
	}
}

func FuzzManners(f *testing.F) {
	f.Add("error=0.5,changes=3,skew=-2h,redirect=http://127.0.0.1/")
	f.Add("error=NaN")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseManners(text)
		if err != nil {
			return
		}
		for name, share := range m.shares() {
			if !(*share >= 0 && *share <= 1) {
				t.Errorf("%s=%f", name, *share)
			}
		}
	})
}
