package exchange

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"
)

// ncmec speaks NCMEC hash sharing, version 2.
type ncmec struct{ client *client }

const ncmecTime = "2006-01-02T15:04:05Z"

func (n ncmec) status() *url.URL { return n.client.base.JoinPath("v2", "status") }

func (n ncmec) first(from, to time.Time) *url.URL {
	u := n.client.base.JoinPath("v2", "entries")
	u.RawQuery = url.Values{"from": {from.UTC().Format(ncmecTime)}, "to": {to.UTC().Format(ncmecTime)}}.Encode()
	return u
}

// next is relative to the base: its path may begin with the base's, or not.
func (n ncmec) next(reference string) (*url.URL, error) {
	if folder := strings.TrimSuffix(n.client.base.Path, "/"); strings.HasPrefix(reference, "/") && !strings.HasPrefix(reference, folder+"/") {
		reference = folder + reference
	}
	return n.client.resolve(reference)
}

func ncmecEnvelope(body []byte) (page, error) {
	var result struct {
		XMLName xml.Name `xml:"https://hashsharing.ncmec.org/hashsharing/v2 queryResult"`
		Paging  struct {
			Next string `xml:"next"`
		} `xml:"paging"`
	}
	d := xml.NewDecoder(bytes.NewReader(trimText(body)))
	if err := d.Decode(&result); err != nil {
		return page{}, errors.New("not a whole answer of NCMEC hash sharing")
	}
	if _, err := d.Token(); err != io.EOF {
		return page{}, errors.New("more behind the answer")
	}
	return page{next: strings.TrimSpace(result.Paging.Next)}, nil
}
