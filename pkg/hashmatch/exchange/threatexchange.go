package exchange

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// threatExchange speaks ThreatExchange's threat_updates. The token is a part of every address, and of those of the next
// pages; it is put in at the last moment, in authorise.
type threatExchange struct {
	client *client
	group  string
	limit  int
}

const threatExchangeFields = "id,indicator,type,last_updated,should_delete,descriptors{id,owner,status,tags,added_on,reactions}"

func (t threatExchange) address(from, to time.Time, limit int) *url.URL {
	u := t.client.base.JoinPath(t.group, "threat_updates")
	u.Path += "/"
	u.RawQuery = url.Values{
		"start_time": {strconv.FormatInt(from.Unix(), 10)}, "stop_time": {strconv.FormatInt(to.Unix(), 10)},
		"limit": {strconv.Itoa(limit)}, "fields": {threatExchangeFields}, "types": {"HASH_PDQ,HASH_MD5,HASH_SHA1,HASH_SHA256"},
	}.Encode()
	return u
}

func (t threatExchange) status() *url.URL {
	now := time.Now()
	return t.address(now, now.Add(time.Second), 1)
}

// first asks for a second more: whether stop_time itself counts is not said.
func (t threatExchange) first(from, to time.Time) *url.URL {
	return t.address(from, to.Add(time.Second), t.limit)
}

func (t threatExchange) next(reference string) (*url.URL, error) {
	u, err := t.client.resolve(reference)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	query.Del("access_token") // ours is put in, whatever the answer repeats
	u.RawQuery = query.Encode()
	return u, nil
}

func threatExchangeEnvelope(body []byte) (page, error) {
	var updates struct {
		Data   *[]json.RawMessage `json:"data"`
		Paging struct {
			Next string `json:"next"`
		} `json:"paging"`
	}
	if err := json.Unmarshal(trimText(body), &updates); err != nil || updates.Data == nil {
		return page{}, errors.New("not a whole answer of ThreatExchange")
	}
	return page{next: updates.Paging.Next}, nil
}
