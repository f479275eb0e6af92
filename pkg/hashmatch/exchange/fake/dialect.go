package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reply is an answer on its way out.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	records []Record                      // that body was made of
	render  func(records []Record) []byte // makes it again
	cut     bool                          // the connection breaks in the middle of the body
	slow    time.Duration                 // between pieces of the body
	endless bool                          // the body has no end
}

func problem(status int) reply {
	return reply{status: status, body: []byte(http.StatusText(status) + "\n")}
}

// answer is what a well-behaved exchange says.
func (s *Server) answer(r *http.Request) reply {
	if !s.allowed(r) {
		return problem(http.StatusUnauthorized)
	}
	if a, ok := s.feedback(r); ok {
		return a
	}
	if r.Method != http.MethodGet {
		return problem(http.StatusMethodNotAllowed)
	}
	query := r.URL.Query()
	switch s.config.Dialect {
	case "ncmec":
		return s.ncmec(r.URL, query)
	case "threatexchange":
		return s.threatExchange(r, query)
	case "stopncii":
		return s.stopNCII(r.URL, query)
	}
	return s.file(r)
}

// page cuts a page out of what was found. at is where it starts, next where the next one does; 0 means that there is none.
func (s *Server) page(found []Record, at, size int) (page []Record, next int) {
	at = min(at, len(found))
	end := min(len(found), at+size)
	if end < len(found) {
		next = end
	}
	return found[at:end], next
}

// expired says whether the address of a page was handed out too long ago.
func (s *Server) expired(query url.Values) bool {
	issued, err := strconv.ParseInt(query.Get("issued"), 10, 64)
	age := s.now().Sub(time.Unix(issued, 0))
	return err != nil || age > s.config.Lifetime || s.draw(s.manners.Expire)
}

func (s *Server) ncmec(address *url.URL, query url.Values) reply {
	switch path := address.Path; {
	case strings.HasSuffix(path, "/v2/status"):
		return reply{status: 200, body: []byte("<status/>\n")}
	case !strings.HasSuffix(path, "/v2/entries"):
		return problem(http.StatusNotFound)
	}
	const layout = "2006-01-02T15:04:05Z"
	from, errFrom := time.Parse(layout, query.Get("from"))
	to, errTo := time.Parse(layout, query.Get("to"))
	if errFrom != nil || errTo != nil {
		return problem(http.StatusBadRequest)
	}
	start := 0
	if text := query.Get("start"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || s.expired(query) {
			return problem(http.StatusGone)
		}
		start = n - 1
	}
	found := s.within(from, to)
	page, next := s.page(found, start, s.config.PageSize)
	render := func(records []Record) []byte {
		var b strings.Builder
		b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">` + "\n")
		fmt.Fprintf(&b, "<images count=%q>\n", strconv.Itoa(len(records)))
		for _, r := range records {
			writeNCMEC(&b, r)
		}
		b.WriteString("</images><videos count=\"0\"/>\n")
		if next > 0 {
			address := url.Values{"from": {query.Get("from")}, "to": {query.Get("to")}, "start": {strconv.Itoa(next + 1)},
				"size": {strconv.Itoa(s.config.PageSize)}, "max": {strconv.Itoa(len(found))}, "issued": {strconv.FormatInt(s.now().Unix(), 10)}}
			fmt.Fprintf(&b, "<paging><next>/v2/entries?%s</next></paging>\n", strings.ReplaceAll(address.Encode(), "&", "&amp;"))
		}
		b.WriteString("</queryResult>\n")
		return []byte(b.String())
	}
	return reply{status: 200, records: page, render: render, body: render(page)}
}

func writeNCMEC(b *strings.Builder, r Record) {
	stamp := r.Updated.UTC().Format("2006-01-02T15:04:05Z")
	if r.Deleted {
		fmt.Fprintf(b, "<deletedImage><member id=%q>Synthetic</member><id>%s</id><timestamp>%s</timestamp></deletedImage>\n", r.Member, r.ID, stamp)
		return
	}
	fmt.Fprintf(b, "<image><member id=%q>Synthetic</member><timestamp>%s</timestamp><id>%s</id><classification>A%d</classification><fingerprints>",
		r.Member, stamp, r.ID, 1+r.number%2)
	for _, signature := range r.Signatures {
		kind, value, _ := strings.Cut(signature, ":")
		name := strings.Replace(kind, "photodna", "pdna", 1)
		fmt.Fprintf(b, "<%s>%s</%s>", name, value, name)
	}
	if r.number%11 == 0 {
		fmt.Fprintf(b, `<tmk-pdqf rel="self" href="/v2/entries/%s/fingerprints/TMK_PDQF"/>`, r.ID)
	}
	b.WriteString("</fingerprints></image>\n")
}

func (s *Server) threatExchange(r *http.Request, query url.Values) reply {
	if !strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/threat_updates") {
		return problem(http.StatusNotFound)
	}
	from, errFrom := strconv.ParseInt(query.Get("start_time"), 10, 64)
	to, errTo := strconv.ParseInt(query.Get("stop_time"), 10, 64)
	if errFrom != nil || errTo != nil {
		return problem(http.StatusBadRequest)
	}
	size := s.config.PageSize
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		size = min(size, n)
	}
	start := 0
	if text := query.Get("after"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || s.expired(query) {
			return problem(http.StatusBadRequest)
		}
		start = n
	}
	// Here the first second counts, and the last does not.
	found := s.within(time.Unix(from-1, 0), time.Unix(to-1, 0))
	page, next := s.page(found, start, size)
	render := func(records []Record) []byte {
		data := make([]any, 0, len(records))
		for _, record := range records {
			data = append(data, threatUpdate(record))
		}
		body := map[string]any{"data": data}
		if next > 0 {
			// Graph APIs put the token into the addresses that they hand out.
			again := *r.URL
			values := r.URL.Query()
			values.Set("after", strconv.Itoa(next))
			values.Set("issued", strconv.FormatInt(s.now().Unix(), 10))
			again.Scheme, again.Host, again.RawQuery = "http", r.Host, values.Encode()
			if r.TLS != nil {
				again.Scheme = "https"
			}
			body["paging"] = map[string]string{"next": again.String()}
		}
		return encode(body)
	}
	return reply{status: 200, records: page, render: render, body: render(page)}
}

func threatUpdate(r Record) map[string]any {
	update := map[string]any{"id": r.ID, "type": "HASH_PDQ", "last_updated": r.Updated.Unix(), "should_delete": r.Deleted}
	switch {
	case r.Deleted && r.number%2 == 0: // deleted in the other way: nobody says anything of it
		update["should_delete"] = false
	case !r.Deleted:
		update["indicator"] = strings.TrimPrefix(r.Signatures[0], "pdq:")
		update["descriptors"] = map[string]any{"data": []any{map[string]any{"id": "d" + r.ID, "owner": map[string]any{"id": strconv.Itoa(r.number % 5)},
			"status": "MALICIOUS", "tags": []string{"synthetic"}}}}
	}
	return update
}

func (s *Server) stopNCII(address *url.URL, query url.Values) reply {
	if !strings.HasSuffix(address.Path, "/v1/FetchHashes") {
		return problem(http.StatusNotFound)
	}
	from, err := strconv.ParseInt(query.Get("startTimestamp"), 10, 64)
	if err != nil {
		return problem(http.StatusBadRequest)
	}
	size := s.config.PageSize
	if n, err := strconv.Atoi(query.Get("pageSize")); err == nil && n > 0 {
		size = min(size, n)
	}
	start := 0
	if text := query.Get("nextPageToken"); text != "" {
		values, err := url.ParseQuery(text)
		n, errStart := strconv.Atoi(values.Get("after"))
		if err != nil || errStart != nil || n < 0 || s.expired(values) {
			return problem(http.StatusBadRequest)
		}
		start = n
	}
	now := s.now()
	found := s.within(time.Unix(from-1, 0), now)
	page, next := s.page(found, start, size)
	render := func(records []Record) []byte {
		list := make([]any, 0, len(records))
		for _, r := range records {
			list = append(list, s.stopNCIIRecord(r))
		}
		body := map[string]any{"count": len(records), "nextSetTimestamp": now.Unix(), "nextPageToken": "", "hasMoreRecords": next > 0, "hashRecords": list}
		if next > 0 {
			body["nextPageToken"] = url.Values{"after": {strconv.Itoa(next)}, "issued": {strconv.FormatInt(now.Unix(), 10)}}.Encode()
		}
		return encode(body)
	}
	return reply{status: 200, records: page, render: render, body: render(page)}
}

func (s *Server) stopNCIIRecord(r Record) map[string]any {
	status := "Active"
	if r.Deleted {
		status = []string{"Withdrawn", "Deleted"}[r.number%2]
		r.Signatures = s.record(r.number, 0, r.Updated).Signatures
	}
	return map[string]any{"lastModtimestamp": r.Updated.Unix(), "signalType": "ImagePDQ", "hashStatus": status,
		"hashValue": strings.TrimPrefix(r.Signatures[0], "pdq:"), "hashRegions": []string{"UK"},
		"caseNumbers": map[string]string{}, "CSPFeedbacks": []any{}}
}

func (s *Server) file(r *http.Request) reply {
	found := s.within(time.Time{}, time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC))
	render := func(records []Record) []byte {
		var b strings.Builder
		b.WriteString("kind,hash,entry,status,updated\n")
		for _, r := range records {
			stamp := r.Updated.UTC().Format(time.RFC3339)
			if r.Deleted {
				fmt.Fprintf(&b, ",,%s,withdrawn,%s\n", r.ID, stamp)
			}
			for _, signature := range r.Signatures {
				kind, value, _ := strings.Cut(signature, ":")
				fmt.Fprintf(&b, "%s,%s,%s,active,%s\n", kind, value, r.ID, stamp)
			}
		}
		return []byte(b.String())
	}
	body := render(found)
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	header := http.Header{"Etag": {tag}}
	if r.Header.Get("If-None-Match") == tag {
		return reply{status: http.StatusNotModified, header: header}
	}
	return reply{status: 200, header: header, records: found, render: render, body: body}
}

func encode(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps, lists and texts
	}
	return append(text, '\n')
}
