package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Outcome is what a person found of an entry that matched.
type Outcome string

// The outcomes. What an exchange calls them stands in the table of Reporter.
const (
	Seen          Outcome = "seen"           // it matched; nobody has judged it
	TruePositive  Outcome = "true positive"  // it is what the entry says
	FalsePositive Outcome = "false positive" // it is not
)

// Feedback is an outcome for one hash of one entry.
type Feedback struct {
	// ID is the same each time that the same is sent: the exchange may count it once by it.
	ID      string             `json:"id"`
	Entry   hashmatch.EntryKey `json:"entry"`
	Kind    string             `json:"kind"`           // of the hash that matched: "pdq", "md5", …, or "photodna"
	Hash    string             `json:"hash,omitempty"` // its hexadecimal digits; stopncii wants them
	Outcome Outcome            `json:"outcome"`
	// Reasons are the identifiers of ncmec's reasons for a FalsePositive; it wants one at least.
	Reasons []string `json:"reasons,omitempty"`
}

// ErrFeedback is wrapped by what makes sending the same again useless.
var ErrFeedback = errors.New("the exchange does not take this feedback")

// Reporter sends feedback to one exchange. It is safe for concurrent use. What it says:
//
//	                 ncmec                     threatexchange        stopncii
//	seen             -                         SAW_THIS_TOO          PendingReview
//	true positive    affirmative               HELPFUL               Blocked
//	false positive   negative, with reasons    DISAGREE_WITH_TAGS    NotBlocked
//
// Each of them keeps one opinion of a member on a hash, so that what comes twice counts once, and what comes later takes
// the place of what came before.
type Reporter struct {
	dialect Dialect
	client  *client
	own     string // threatexchange: the ID of the app, whose own descriptors get no reaction
}

// NewReporter checks a configuration, of which Dialect, Address, Credentials, Group, List and Timeout matter. A file has no
// feedback.
func NewReporter(config Config) (*Reporter, error) {
	if config.Dialect == File {
		return nil, fmt.Errorf("exchange of list %q: a file takes no feedback", config.List)
	}
	if config.File == "" {
		config.File = "-" // nothing is written
	}
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	c := *s.client
	if key := config.Credentials.FeedbackFunctionKey; key != "" {
		credentials := config.Credentials
		credentials.FunctionKey = key
		c.authorise = authorise(config.Dialect, credentials)
	}
	c.http = &http.Client{Transport: newTransport(), CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirected }}
	own, _, _ := strings.Cut(config.Credentials.Token, "|")
	return &Reporter{config.Dialect, &c, own}, nil
}

// Send makes one attempt. nil means that the exchange has it. An error that wraps ErrFeedback stays for ever; a *BusyError
// says how long the exchange asks to wait; any other one may be gone later. No error holds a hash or a credential.
func (r *Reporter) Send(ctx context.Context, f Feedback) error {
	switch r.dialect {
	case NCMEC:
		return r.toNCMEC(ctx, f)
	case ThreatExchange:
		return r.toThreatExchange(ctx, f)
	}
	return r.toStopNCII(ctx, f)
}

func never(format string, values ...any) error {
	return fmt.Errorf("%w: %w", ErrFeedback, fmt.Errorf(format, values...))
}

// ncmecTypes are the types of fingerprints by the kinds of hash here; it has no SHA-256.
var ncmecTypes = map[string]string{"md5": "MD5", "sha1": "SHA1", "pdq": "PDQ", "photodna": "PDNA"}

// guid is the form of an identifier of a reason.
var guid = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// CheckReason says what is wrong with an identifier of a reason; nil if nothing is.
func CheckReason(id string) error {
	if !guid.MatchString(id) {
		return errors.New("want the identifier of a reason: letters, digits and -")
	}
	return nil
}

type ncmecSubmission struct {
	XMLName     xml.Name       `xml:"https://hashsharing.ncmec.org/hashsharing/v2 feedbackSubmission"`
	Affirmative *struct{}      `xml:"affirmative"`
	Negative    *ncmecNegative `xml:"negative"`
}

type ncmecNegative struct {
	Reasons []string `xml:"reasonIds>guid"`
}

func (r *Reporter) toNCMEC(ctx context.Context, f Feedback) error {
	var body ncmecSubmission
	switch f.Outcome {
	case TruePositive:
		body.Affirmative = &struct{}{}
	case FalsePositive:
		if len(f.Reasons) == 0 {
			return never("ncmec wants a reason for a negative vote, and none is configured")
		}
		for _, reason := range f.Reasons {
			if err := CheckReason(reason); err != nil {
				return never("%w", err)
			}
		}
		body.Negative = &ncmecNegative{f.Reasons}
	default:
		return never("ncmec has no word for %q", f.Outcome)
	}
	kind := ncmecTypes[f.Kind]
	if kind == "" {
		return never("ncmec has no fingerprints of the kind %q", f.Kind)
	}
	address, err := r.below("v2", "entries", f.Entry.Member, f.Entry.ID, kind, "feedback")
	if err != nil {
		return err
	}
	text, err := xml.Marshal(body)
	if err != nil {
		return err
	}
	return r.client.submit(ctx, http.MethodPut, address, "application/xml", f.ID, text, nil)
}

// reactions are ThreatExchange's words.
var reactions = map[Outcome]string{Seen: "SAW_THIS_TOO", TruePositive: "HELPFUL", FalsePositive: "DISAGREE_WITH_TAGS"}

// maxDescriptors bounds the reactions to one indicator: a member has one descriptor of it.
const maxDescriptors = 1000

func (r *Reporter) toThreatExchange(ctx context.Context, f Feedback) error {
	reaction := reactions[f.Outcome]
	if reaction == "" {
		return never("threatexchange has no word for %q", f.Outcome)
	}
	address, err := r.below(f.Entry.ID, "descriptors")
	if err != nil {
		return err
	}
	query := address.Query()
	query.Set("fields", "id,owner{id}")
	query.Set("limit", fmt.Sprint(maxDescriptors))
	address.RawQuery = query.Encode()
	var found struct {
		Data []struct {
			ID    string `json:"id"`
			Owner struct {
				ID string `json:"id"`
			} `json:"owner"`
		} `json:"data"`
	}
	if err := r.client.submit(ctx, http.MethodGet, address, "", "", nil, func(body []byte) error {
		return json.Unmarshal(body, &found)
	}); err != nil {
		return err
	}
	told := 0
	for _, d := range found.Data[:min(len(found.Data), maxDescriptors)] {
		if d.Owner.ID == r.own && r.own != "" {
			continue
		}
		to, err := r.below(d.ID)
		if err != nil {
			return err
		}
		form := url.Values{"reactions": {reaction}}
		if err := r.client.submit(ctx, http.MethodPost, to, "application/x-www-form-urlencoded", f.ID, []byte(form.Encode()), nil); err != nil {
			return err
		}
		told++
	}
	if told == 0 {
		return never("nobody else says anything of the entry any more")
	}
	return nil
}

// feedbackValues are StopNCII's words.
var feedbackValues = map[Outcome]string{Seen: "PendingReview", TruePositive: "Blocked", FalsePositive: "NotBlocked"}

func (r *Reporter) toStopNCII(ctx context.Context, f Feedback) error {
	value := feedbackValues[f.Outcome]
	if value == "" {
		return never("stopncii has no word for %q", f.Outcome)
	}
	if f.Hash == "" {
		return never("stopncii knows entries by their hash, and that is not known here any more")
	}
	body, err := json.Marshal(map[string]any{"count": 1, "hashFeedbacks": []any{
		map[string]any{"hashValue": f.Hash, "feedbackValue": value, "tags": []string{}},
	}})
	if err != nil {
		return err
	}
	address, err := r.below("v1", "SubmitFeedback")
	if err != nil {
		return err
	}
	return r.client.submit(ctx, http.MethodPost, address, "application/json", f.ID, body, nil)
}

// below returns an address under the exchange's. A part that would leave it is refused.
func (r *Reporter) below(parts ...string) (*url.URL, error) {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return nil, never("the entry has a name that cannot be asked for")
		}
		escaped[i] = url.PathEscape(part)
	}
	return r.client.base.JoinPath(escaped...), nil
}

// maxReply bounds what is read of an answer.
const maxReply = 4 << 20

// submit makes one request. read is called with the body of a good answer; nil if it says nothing.
func (c *client) submit(ctx context.Context, method string, u *url.URL, contentType, key string, body []byte, read func([]byte) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, min(c.timeout, time.Minute), errors.New("not done in time"))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return never("the address cannot be asked")
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	request.Header.Set("User-Agent", "hashmatch")
	c.authorise(request)
	response, err := c.http.Do(request)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	status := response.StatusCode
	switch date, _ := http.ParseTime(response.Header.Get("Date")); {
	case status >= 200 && status <= 299:
	case status == http.StatusUnauthorized || status == http.StatusForbidden: // credentials can be mended
		return fmt.Errorf("%w: %w", ErrRefused, &statusError{status: status})
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		failed := &statusError{status: status, after: retryAfter(response.Header.Get("Retry-After"), date)}
		if failed.after > 0 {
			return fmt.Errorf("%w: %w", failed, &BusyError{failed.after})
		}
		return failed
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusConflict:
		return never("%w", &statusError{status: status})
	default:
		return &statusError{status: status}
	}
	if read == nil { // the status is the answer, whatever becomes of the rest
		return nil
	}
	if err != nil {
		return c.explain(ctx, err)
	}
	if len(text) > maxReply {
		return ErrTooLarge
	}
	if err := read(text); err != nil {
		return ErrMalformed
	}
	return nil
}
