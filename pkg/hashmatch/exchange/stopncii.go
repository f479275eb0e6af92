package exchange

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// stopNCII speaks StopNCII's FetchHashes.
type stopNCII struct {
	client *client
	size   int
}

func (n stopNCII) address(start time.Time, token string) *url.URL {
	u := n.client.base.JoinPath("v1", "FetchHashes")
	query := url.Values{"startTimestamp": {strconv.FormatInt(max(0, start.Unix()), 10)}, "pageSize": {strconv.Itoa(n.size)}}
	if token != "" {
		query.Set("nextPageToken", token)
	}
	u.RawQuery = query.Encode()
	return u
}

func stopNCIIEnvelope(body []byte) (page, error) {
	var hashes struct {
		NextSetTimestamp int64              `json:"nextSetTimestamp"`
		NextPageToken    string             `json:"nextPageToken"`
		HasMoreRecords   bool               `json:"hasMoreRecords"`
		HashRecords      *[]json.RawMessage `json:"hashRecords"`
	}
	if err := json.Unmarshal(trimText(body), &hashes); err != nil || hashes.HashRecords == nil {
		return page{}, errors.New("not a whole answer of StopNCII")
	}
	p := page{through: hashes.NextSetTimestamp}
	if hashes.HasMoreRecords {
		if p.next = hashes.NextPageToken; p.next == "" {
			return page{}, errors.New("more records, and no token to ask for them")
		}
	}
	return p, nil
}
