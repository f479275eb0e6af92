package fake

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Vote is what the exchange was told of one hash of an entry.
type Vote struct {
	Entry    string `json:"entry"`
	Type     string `json:"type"`     // in the exchange's words
	Outcome  string `json:"outcome"`  // in the exchange's words: the last one
	Received int    `json:"received"` // how often anything came; it counts as one opinion
}

type voteKey struct{ entry, kind string }

// Feedback returns every vote, by entry and type.
func (s *Server) Feedback() []Vote {
	s.mu.Lock()
	defer s.mu.Unlock()
	votes := make([]Vote, 0, len(s.votes))
	for _, v := range s.votes {
		votes = append(votes, *v)
	}
	slices.SortFunc(votes, func(a, b Vote) int { return cmp.Or(cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.Type, b.Type)) })
	return votes
}

func (s *Server) vote(entry, kind, outcome string) {
	key := voteKey{entry, kind}
	if s.votes[key] == nil {
		s.votes[key] = &Vote{Entry: entry, Type: kind}
	}
	s.votes[key].Outcome = outcome
	s.votes[key].Received++
}

// feedback answers what is no question for entries; false if it is one.
func (s *Server) feedback(r *http.Request) (reply, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch d := s.config.Dialect; {
	case d == "ncmec" && r.Method == http.MethodPut:
		return s.ncmecFeedback(r, parts), true
	case d == "threatexchange" && r.Method == http.MethodPost:
		return s.react(r, parts), true
	case d == "threatexchange" && parts[len(parts)-1] == "descriptors" && len(parts) > 1:
		return s.descriptors(parts[len(parts)-2]), true
	case d == "stopncii" && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v1/SubmitFeedback"):
		return s.stopNCIIFeedback(r), true
	}
	return reply{}, false
}

// read returns the body of a request of the type that the exchange wants; false if it is another one.
func read(r *http.Request, contentType string) ([]byte, bool) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	return text, err == nil && r.Header.Get("Content-Type") == contentType && r.Header.Get("Idempotency-Key") != ""
}

// inForce returns the entry of that ID.
func (s *Server) inForce(id string) (Record, bool) {
	for _, r := range s.records {
		if r.ID == id && !r.Deleted {
			return r, true
		}
	}
	return Record{}, false
}

var ncmecKinds = map[string]string{"MD5": "md5:", "SHA1": "sha1:", "PDQ": "pdq:", "PDNA": "photodna:"}

// ncmecFeedback takes …/v2/entries/MEMBER/ID/TYPE/feedback.
func (s *Server) ncmecFeedback(r *http.Request, parts []string) reply {
	n := len(parts)
	if n < 6 || parts[n-1] != "feedback" || parts[n-5] != "entries" || parts[n-6] != "v2" {
		return problem(http.StatusNotFound)
	}
	member, id, kind := parts[n-4], parts[n-3], parts[n-2]
	record, ok := s.inForce(id)
	prefix := ncmecKinds[kind]
	if !ok || record.Member != member || prefix == "" ||
		!slices.ContainsFunc(record.Signatures, func(s string) bool { return strings.HasPrefix(s, prefix) }) {
		return problem(http.StatusNotFound)
	}
	text, ok := read(r, "application/xml")
	var body struct {
		XMLName     xml.Name   `xml:"https://hashsharing.ncmec.org/hashsharing/v2 feedbackSubmission"`
		Affirmative []struct{} `xml:"affirmative"`
		Negative    []struct {
			GUIDs []string `xml:"reasonIds>guid"`
		} `xml:"negative"`
	}
	if !ok || xml.Unmarshal(text, &body) != nil || len(body.Affirmative)+len(body.Negative) != 1 {
		return problem(http.StatusBadRequest)
	}
	outcome := "affirmative"
	if len(body.Negative) == 1 {
		if len(body.Negative[0].GUIDs) == 0 || slices.Contains(body.Negative[0].GUIDs, "") {
			return problem(http.StatusBadRequest)
		}
		outcome = "negative " + strings.Join(body.Negative[0].GUIDs, " ")
	}
	s.vote(id, kind, outcome)
	return reply{status: http.StatusOK}
}

// descriptors says who says something of an indicator.
func (s *Server) descriptors(id string) reply {
	record, ok := s.inForce(id)
	data := []any{}
	if ok {
		data = append(data, map[string]any{"id": "d" + id, "owner": map[string]any{"id": strconv.Itoa(record.number % 5)}})
	}
	return reply{status: http.StatusOK, body: encode(map[string]any{"data": data})}
}

func (s *Server) react(r *http.Request, parts []string) reply {
	text, ok := read(r, "application/x-www-form-urlencoded")
	descriptor := parts[len(parts)-1]
	id, isOne := strings.CutPrefix(descriptor, "d")
	if _, known := s.inForce(id); !isOne || !known {
		return problem(http.StatusNotFound)
	}
	reaction, found := strings.CutPrefix(string(text), "reactions=")
	if !ok || !found || !slices.Contains([]string{"SAW_THIS_TOO", "HELPFUL", "DISAGREE_WITH_TAGS"}, reaction) {
		return problem(http.StatusBadRequest)
	}
	s.vote(id, "HASH_PDQ", reaction)
	return reply{status: http.StatusOK, body: encode(map[string]bool{"success": true})}
}

func (s *Server) stopNCIIFeedback(r *http.Request) reply {
	text, ok := read(r, "application/json")
	var body struct {
		Count         int `json:"count"`
		HashFeedbacks []struct {
			HashValue     string   `json:"hashValue"`
			FeedbackValue string   `json:"feedbackValue"`
			Tags          []string `json:"tags"`
		} `json:"hashFeedbacks"`
	}
	if !ok || json.Unmarshal(text, &body) != nil || len(body.HashFeedbacks) != body.Count || body.Count == 0 {
		return problem(http.StatusBadRequest)
	}
	ids := make([]string, 0, body.Count)
	for _, f := range body.HashFeedbacks {
		at := ""
		for _, record := range s.records {
			if !record.Deleted && slices.Contains(record.Signatures, "pdq:"+f.HashValue) {
				at = record.ID
			}
		}
		if at == "" || f.Tags == nil || !slices.Contains([]string{"PendingReview", "Blocked", "NotBlocked"}, f.FeedbackValue) {
			return problem(http.StatusBadRequest)
		}
		ids = append(ids, at)
	}
	for i, f := range body.HashFeedbacks {
		s.vote(ids[i], "ImagePDQ", f.FeedbackValue)
	}
	return reply{status: http.StatusOK, body: encode(map[string]int{"count": body.Count})}
}
