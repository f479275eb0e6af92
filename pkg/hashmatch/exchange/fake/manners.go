package fake

import (
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Manners say how an exchange fails. Those that are a share, 0 to 1, hold for so many of the requests; the zero Manners
// are good ones.
type Manners struct {
	Error        float64 // 500, 502 or 503
	Throttle     float64 // 429, with Retry-After
	Cut          float64 // the connection breaks in the middle of the body
	Malformed    float64 // the body is spoilt: cut short, garbled, or another document
	BadRecord    float64 // a record has a hash that is none
	Duplicate    float64 // records stand in a page twice, and older versions of them too
	Reorder      float64 // records stand in another order
	Expire       float64 // the address of a next page is not good any more
	Unauthorised float64 // 401, whatever the credentials
	Hang         float64 // no answer, until the caller goes
	Endless      float64 // a body without an end

	Slow       time.Duration // between the pieces of each body
	Skew       time.Duration // of the exchange's clock
	Date       time.Duration // by which the Date header is wrong, though the clock is right
	RetryAfter time.Duration // of Throttle; whole seconds
	Changes    int           // that happen after each answer
	Redirect   string        // where each request is sent to; "" for nowhere
}

// shares returns the manners that are a share, by name.
func (m *Manners) shares() map[string]*float64 {
	return map[string]*float64{
		"error": &m.Error, "throttle": &m.Throttle, "cut": &m.Cut, "malformed": &m.Malformed, "bad-record": &m.BadRecord,
		"duplicate": &m.Duplicate, "reorder": &m.Reorder, "expire": &m.Expire, "unauthorised": &m.Unauthorised,
		"hang": &m.Hang, "endless": &m.Endless,
	}
}

func (m *Manners) durations() map[string]*time.Duration {
	return map[string]*time.Duration{"slow": &m.Slow, "skew": &m.Skew, "date": &m.Date, "retry-after": &m.RetryAfter}
}

// MannersNames returns the names that ParseManners knows, sorted.
func MannersNames() []string {
	var m Manners
	list := []string{"changes", "redirect"}
	for name := range m.shares() {
		list = append(list, name)
	}
	for name := range m.durations() {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// ParseManners reads NAME=VALUE,NAME=VALUE…: a share for error, throttle, cut, malformed, bad-record, duplicate,
// reorder, expire, unauthorised, hang and endless; a duration for slow, skew, date and retry-after; a number for changes; an
// address for redirect. "" are good manners.
func ParseManners(text string) (m Manners, err error) {
	shares, durations := m.shares(), m.durations()
	for part := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(part), "=")
		if name == "" && !found {
			continue
		}
		switch {
		case shares[name] != nil:
			*shares[name], err = strconv.ParseFloat(value, 64)
			if err == nil && !(*shares[name] >= 0 && *shares[name] <= 1) {
				err = errors.New("not from 0 to 1")
			}
		case durations[name] != nil:
			*durations[name], err = time.ParseDuration(value)
		case name == "changes":
			m.Changes, err = strconv.Atoi(value)
		case name == "redirect":
			m.Redirect = value
		default:
			err = fmt.Errorf("want one of %s", strings.Join(MannersNames(), ", "))
		}
		if err != nil {
			return Manners{}, fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return m, nil
}

func (s *Server) draw(share float64) bool { return share > 0 && s.random.Float64() < share }

// spoil does to an answer what the manners say.
func (s *Server) spoil(r *http.Request, a reply) reply {
	m := s.manners
	defer s.change(m.Changes)
	switch {
	case m.Redirect != "":
		return reply{status: http.StatusFound, header: http.Header{"Location": {m.Redirect}}}
	case s.draw(m.Unauthorised):
		return problem(http.StatusUnauthorized)
	case s.draw(m.Hang):
		return reply{status: 0}
	case s.draw(m.Endless):
		return reply{status: http.StatusOK, endless: true}
	case s.draw(m.Error):
		return problem([]int{500, 502, 503}[s.random.IntN(3)])
	case s.draw(m.Throttle):
		a := problem(http.StatusTooManyRequests)
		seconds := max(1, int(m.RetryAfter/time.Second))
		a.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
		if s.random.IntN(2) == 0 {
			at := s.now().Add(m.Date + time.Duration(seconds)*time.Second)
			a.header.Set("Retry-After", at.UTC().Format(http.TimeFormat))
		}
		return a
	}
	if a.status != http.StatusOK {
		return a
	}
	if a.render != nil && (s.draw(m.Duplicate) || s.draw(m.Reorder)) {
		records := append([]Record(nil), a.records...)
		if m.Duplicate > 0 {
			for _, r := range a.records {
				if s.random.IntN(3) == 0 {
					records = append(records, r)
				}
				// An older state that comes late: the entry in force before it was deleted, or other hashes.
				if s.random.IntN(3) == 0 && r.version > 0 && s.config.Dialect != "file" {
					records = append(records, s.record(r.number, r.version-1, r.Updated.Add(-time.Second)))
				}
			}
		}
		if m.Reorder > 0 || m.Duplicate > 0 {
			s.random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		}
		a.body = a.render(records)
	}
	if a.render != nil && len(a.records) > 0 && s.draw(m.BadRecord) {
		records := append([]Record(nil), a.records...)
		bad := s.record(records[0].number, records[0].version, records[0].Updated)
		bad.Signatures = []string{"pdq:" + strings.Repeat("0", 64)}
		bad.Deleted = false
		records[0] = bad
		a.body = a.render(records)
	}
	if s.draw(m.Malformed) {
		switch s.random.IntN(4) {
		case 0:
			a.body = a.body[:len(a.body)*2/3]
			if n := len(a.body); n > 0 && a.body[n-1] == '\n' { // of a file of lines, that would be a whole one
				a.body = a.body[:n-1-n/50]
			}
		case 1:
			a.body = []byte("<html><body>Service maintenance</body></html>")
		case 2:
			a.body = append([]byte("\x00\xff"), a.body...)
		case 3:
			a.body = nil
		}
	}
	a.cut = s.draw(m.Cut)
	a.slow = m.Slow
	return a
}

// write sends an answer.
func (a reply) write(w http.ResponseWriter, r *http.Request) {
	if a.status == 0 {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	flush := http.NewResponseController(w)
	if a.endless {
		piece := []byte(strings.Repeat(" ", 64<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
		return
	}
	if a.status == http.StatusOK && !a.cut && a.slow == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if a.cut {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = flush.Flush()
		panic(http.ErrAbortHandler)
	}
	const pieces = 8
	for i := range pieces {
		_, _ = w.Write(a.body[len(a.body)*i/pieces : len(a.body)*(i+1)/pieces])
		if a.slow == 0 {
			continue
		}
		_ = flush.Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(a.slow):
		}
	}
}
