package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config says what the exchange is. What is 0 or "" has its default.
type Config struct {
	Dialect  string // ncmec, threatexchange, stopncii or file. It must be stated.
	Seed     uint64
	Entries  int // at the start
	PageSize int // the most entries of an answer; 0 means 1,000

	// Credentials that are asked for; "" for none.
	User, Password, Token, FunctionKey, SubscriptionKey string

	// Now is the exchange's clock; nil means the machine's.
	Now func() time.Time
	// Lifetime is how long the address of a next page is good; 0 means 12 hours.
	Lifetime time.Duration
}

// Dialects returns what Config.Dialect can be.
func Dialects() []string { return []string{"ncmec", "threatexchange", "stopncii", "file"} }

// Server is the exchange. It is safe for concurrent use.
type Server struct {
	config Config

	mu      sync.Mutex
	records map[int]Record
	next    int // number
	manners Manners
	random  *rand.Rand
	asked   int // requests of the exchange's own addresses
	votes   map[voteKey]*Vote
}

// New makes an exchange whose entries were changed at times in the year before now.
func New(config Config) (*Server, error) {
	if !slices.Contains(Dialects(), config.Dialect) {
		return nil, fmt.Errorf("dialect %q: want one of %s", config.Dialect, strings.Join(Dialects(), ", "))
	}
	if config.Entries < 0 || config.PageSize < 0 {
		return nil, fmt.Errorf("less than no entries")
	}
	if config.PageSize == 0 {
		config.PageSize = 1000
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Lifetime == 0 {
		config.Lifetime = 12 * time.Hour
	}
	s := &Server{config: config, records: make(map[int]Record), votes: make(map[voteKey]*Vote), random: rand.New(rand.NewPCG(config.Seed, 1))}
	start := config.Now().AddDate(-1, 0, 0)
	for range config.Entries {
		// Half of them in bursts, as uploads of a batch are: the same second many times.
		at := start.Add(time.Duration(s.random.Int64N(int64(360 * 24 * time.Hour))))
		if s.random.IntN(2) == 0 {
			at = start.Add(time.Duration(s.random.IntN(5)) * 24 * time.Hour)
		}
		r := s.record(s.next, 0, at)
		if s.random.IntN(10) == 0 {
			r = r.deleted(at)
		}
		s.records[s.next] = r
		s.next++
	}
	return s, nil
}

// Change lets n things happen now: entries are added, changed, deleted and put in force again.
func (s *Server) Change(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(n)
}

// now is the time by the exchange's clock.
func (s *Server) now() time.Time { return s.config.Now().Add(s.manners.Skew) }

func (s *Server) change(n int) {
	for range n {
		now := s.now()
		if s.next == 0 || s.random.IntN(3) == 0 {
			s.records[s.next] = s.record(s.next, 0, now)
			s.next++
			continue
		}
		number := s.random.IntN(s.next)
		r := s.records[number]
		if !now.UTC().Truncate(time.Second).After(r.Updated) { // no entry has two states in one second
			continue
		}
		if !r.Deleted && s.random.IntN(2) == 0 {
			s.records[number] = r.deleted(now)
			continue
		}
		s.records[number] = s.record(number, r.version+1, now)
	}
}

// Burst adds n entries in one second.
func (s *Server) Burst(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for range n {
		s.records[s.next] = s.record(s.next, 0, now)
		s.next++
	}
}

// Truth returns every entry as it stands, deleted ones included, by ID.
func (s *Server) Truth() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	truth := make([]Record, 0, len(s.records))
	for _, r := range s.records {
		truth = append(truth, r)
	}
	slices.SortFunc(truth, func(a, b Record) int { return strings.Compare(a.ID, b.ID) })
	return truth
}

// Requests returns how often the exchange was asked.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Misbehave sets how the exchange fails from now on, see ParseManners.
func (s *Server) Misbehave(m Manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners = m
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/fake/") {
		s.steer(w, r)
		return
	}
	s.mu.Lock()
	s.asked++
	reply := s.answer(r)
	manners := s.manners
	reply = s.spoil(r, reply)
	now := s.now().Add(manners.Date)
	s.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	reply.write(w, r)
}

// steer serves what is asked from outside of the exchange.
func (s *Server) steer(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	switch what := r.Method + " " + r.URL.Path; {
	case what == "GET /fake/truth":
		w.Header().Set("Content-Type", "application/jsonl")
		out := json.NewEncoder(w)
		for _, record := range s.Truth() {
			_ = out.Encode(record)
		}
	case what == "GET /fake/feedback":
		w.Header().Set("Content-Type", "application/jsonl")
		out := json.NewEncoder(w)
		for _, vote := range s.Feedback() {
			_ = out.Encode(vote)
		}
	case what == "POST /fake/change" && err == nil && n >= 0 && n <= 1_000_000:
		s.Change(n)
	case what == "POST /fake/burst" && err == nil && n >= 0 && n <= 1_000_000:
		s.Burst(n)
	case what == "POST /fake/misbehave":
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10))
		manners, err := ParseManners(strings.TrimSpace(string(text)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Misbehave(manners)
	default:
		http.Error(w, "GET truth, GET feedback, POST change?n=N, POST burst?n=N, POST misbehave", http.StatusNotFound)
	}
}

// allowed compares the credentials with those that are asked for.
func (s *Server) allowed(r *http.Request) bool {
	c := s.config
	if c.User != "" || c.Password != "" {
		user, password, _ := r.BasicAuth()
		if user != c.User || password != c.Password {
			return false
		}
	}
	if c.Token != "" {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if c.Dialect == "threatexchange" {
			token = r.URL.Query().Get("access_token")
		}
		if token != c.Token {
			return false
		}
	}
	return (c.FunctionKey == "" || r.Header.Get("x-functions-key") == c.FunctionKey) &&
		(c.SubscriptionKey == "" || r.Header.Get("Ocp-Apim-Subscription-Key") == c.SubscriptionKey)
}

// within returns the entries that changed after from and up to to, in the order in which they are handed out.
func (s *Server) within(from, to time.Time) []Record {
	var records []Record
	for _, r := range s.records {
		if r.Updated.After(from) && !r.Updated.After(to) {
			records = append(records, r)
		}
	}
	s.order(records)
	return records
}
