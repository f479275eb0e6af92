package format

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// txIndicator is an update of ThreatExchange.
type txIndicator struct {
	ID, Indicator, Type plain
	LastUpdated         plain `json:"last_updated"`
	ShouldDelete        plain `json:"should_delete"`
	Descriptors         *struct{ Data []txDescriptor }
}

// txDescriptor is what one member says of an indicator.
type txDescriptor struct {
	Owner     struct{ ID plain }
	Status    plain
	Tags      json.RawMessage
	Reactions []struct{ Key, Value plain }
}

// threatExchange reads a page: {"data": [INDICATOR…], "paging": {"next": …}}.
func (j *jsonParser) threatExchange() {
	j.result.More = false
	j.in.object(func(name []byte) {
		switch name := string(name); {
		case name == "data" && j.in.peek() == '[':
			j.records(j.txIndicator)
		case name == "paging":
			var paging struct{ Next plain }
			j.page(&paging)
			j.result.More = paging.Next != ""
		case name == "error":
			j.in.fail("it is the answer to a request that failed")
		default:
			j.in.skip()
		}
	})
}

func (j *jsonParser) txIndicator(raw []byte) error {
	var u txIndicator
	if ok, err := j.unmarshal(raw, &u); !ok {
		return err
	}
	e := &j.record.entry
	e.Key.ID = string(u.ID)
	var ok bool
	if e.Updated, ok = parseTime(string(u.LastUpdated)); !ok {
		return j.fault("last_updated: want seconds since 1970")
	}
	withdrawn := truth(string(u.ShouldDelete)) || u.Descriptors == nil || len(u.Descriptors.Data) == 0
	if u.Indicator != "" && !(withdrawn && u.ID != "") { // the hash of a tombstone does not matter if it has an ID
		if scheme := schemes[plainName(string(u.Type))]; scheme != "" || strings.HasPrefix(string(u.Type), "HASH_") {
			if err := j.sign(string(u.Type), string(u.Indicator)); err != nil {
				return err
			}
		} else {
			count(&j.result.Uncomputed, schemeName(string(u.Type)), 1)
			j.record.bare = true
		}
	}
	if withdrawn {
		e.Status = hashmatch.Withdrawn
		return j.finish()
	}
	gravest, positive, negative := j.txOpinions(u.Descriptors.Data)
	if err := j.classify(gravest); err != nil {
		return err
	}
	j.vote(string(u.Type), positive, negative)
	for _, d := range u.Descriptors.Data {
		tags, ok := txTags(d.Tags)
		if !ok {
			return j.fault("tags: neither a list of texts nor {\"data\": [{\"text\": …}]}")
		}
		for _, tag := range tags {
			if err := j.label(tag); err != nil {
				return err
			}
		}
		if d.Owner.ID != "" {
			if err := j.label("owner:" + string(d.Owner.ID)); err != nil {
				return err
			}
		}
	}
	return j.finish()
}

// txStatuses are the words of members, the gravest last.
var txStatuses = []plain{"NON_MALICIOUS", "UNKNOWN", "SUSPICIOUS", "MALICIOUS"}

// txOpinions counts the members for and against, each once: what a member's own descriptor says wins over its
// reactions to others', and its approval over its disagreement. It returns the gravest status too.
func (j *jsonParser) txOpinions(descriptors []txDescriptor) (gravest string, positive, negative int) {
	said, reacted := make(map[plain]int), make(map[plain]int)
	worst := 0
	for i, d := range descriptors {
		status := slices.Index(txStatuses, d.Status)
		if status < 0 {
			j.remark("descriptors with an unknown status, taken for UNKNOWN")
			status = slices.Index(txStatuses, "UNKNOWN")
		}
		worst = max(worst, status)
		opinion := 0
		switch txStatuses[status] {
		case "MALICIOUS":
			opinion = 1
		case "NON_MALICIOUS":
			opinion = -1
		}
		owner := d.Owner.ID
		if owner == "" { // counts as one more member
			owner = plain(fmt.Sprintf("descriptor %d", i))
		}
		if said[owner] == 0 || opinion < 0 { // should a member say both, it is against
			said[owner] = opinion
		}
		for _, reaction := range d.Reactions {
			for member := range strings.SplitSeq(string(reaction.Value), ",") {
				member := plain(strings.TrimSpace(member))
				switch {
				case member == "":
				case reaction.Key == "HELPFUL":
					reacted[member] = 1
				case reaction.Key == "DISAGREE_WITH_TAGS" && reacted[member] == 0:
					reacted[member] = -1
				}
			}
		}
	}
	for member, opinion := range reacted {
		if _, own := said[member]; !own {
			said[member] = opinion
		}
	}
	for _, opinion := range said {
		switch {
		case opinion > 0:
			positive++
		case opinion < 0:
			negative++
		}
	}
	return string(txStatuses[worst]), positive, negative
}

// txTags reads ["a", "b"] or {"data": [{"text": "a"}, …]}.
func txTags(raw json.RawMessage) (tags []string, ok bool) {
	if len(raw) == 0 {
		return nil, true
	}
	var list []plain
	if json.Unmarshal(raw, &list) == nil {
		for _, tag := range list {
			tags = append(tags, string(tag))
		}
		return tags, true
	}
	var object struct{ Data []struct{ Text plain } }
	if json.Unmarshal(raw, &object) != nil {
		return nil, false
	}
	for _, tag := range object.Data {
		tags = append(tags, string(tag.Text))
	}
	return tags, true
}

// stopNCIIRecord is what StopNCII knows of one hash.
type stopNCIIRecord struct {
	LastModtimestamp plain
	SignalType       plain
	HashValue        plain
	HashStatus       plain
	HashRegions      []plain
	CSPFeedbacks     []struct {
		Source        plain
		FeedbackValue plain
		Tags          []plain
	}
}

// stopNCII reads a page: {"hashRecords": [RECORD…], "hasMoreRecords": false, …}.
func (j *jsonParser) stopNCII() {
	j.result.More = false
	j.in.object(func(name []byte) {
		switch name := string(name); {
		case name == "hashRecords" && j.in.peek() == '[':
			j.records(j.stopNCIIRecord)
		case name == "hasMoreRecords":
			var more plain
			j.page(&more)
			j.result.More = truth(string(more))
		default:
			j.in.skip()
		}
	})
}

func (j *jsonParser) stopNCIIRecord(raw []byte) error {
	var r stopNCIIRecord
	if ok, err := j.unmarshal(raw, &r); !ok {
		return err
	}
	e := &j.record.entry
	var ok bool
	if e.Updated, ok = parseSeconds(string(r.LastModtimestamp)); !ok {
		return j.fault("lastModtimestamp: want seconds since 1970")
	}
	if err := j.sign(string(r.SignalType), string(r.HashValue)); err != nil {
		return err
	}
	// An entry is its hash: there is no other name for it.
	e.Key.ID = derivedID(e.Signatures)
	switch r.HashStatus {
	case "Active", "Received":
	case "Withdrawn", "Deleted":
		e.Status = hashmatch.Withdrawn
	default: // whatever it means, it is not for a machine to act on
		e.Status = hashmatch.Disputed
		j.remark("records with an unknown hashStatus, taken as disputed")
	}
	positive, negative := make(map[plain]bool), make(map[plain]bool)
	for _, f := range r.CSPFeedbacks {
		switch f.FeedbackValue {
		case "Blocked":
			positive[f.Source] = true
		case "NotBlocked":
			negative[f.Source] = true
		}
		for _, tag := range f.Tags {
			if err := j.label(string(tag)); err != nil {
				return err
			}
		}
	}
	for _, region := range r.HashRegions {
		if region == "" {
			continue
		}
		if err := j.label("region:" + string(region)); err != nil {
			return err
		}
	}
	j.vote(string(r.SignalType), len(positive), len(negative))
	return j.finish()
}

// hmaNote is the field of a signal that is not a hash.
const hmaNote = "note"

// hma reads {"pdq": …, "note": …} or a list of them: what is sent to /c/bank/NAME/signal.
func (j *jsonParser) hma() {
	if j.in.peek() == '[' {
		j.records(j.hmaSignal)
		return
	}
	j.one(j.hmaSignal)
}

func (j *jsonParser) hmaSignal(raw []byte) error {
	var signals map[string]plain
	if ok, err := j.unmarshal(raw, &signals); !ok {
		return err
	}
	names := make([]string, 0, len(signals))
	for name := range signals {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var err error
		if name == hmaNote {
			err = j.label(string(signals[name]))
		} else {
			err = j.sign(name, string(signals[name]))
		}
		if err != nil {
			return err
		}
	}
	return j.finish()
}
