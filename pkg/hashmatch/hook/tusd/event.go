package tusd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// eventType is the name of a hook.
type eventType string

// The hooks of tusd 2.9.1.
const (
	preCreate     eventType = "pre-create"
	postCreate    eventType = "post-create"
	postReceive   eventType = "post-receive"
	preFinish     eventType = "pre-finish"
	postFinish    eventType = "post-finish"
	preTerminate  eventType = "pre-terminate"
	postTerminate eventType = "post-terminate"
)

// event is what is used of one hook request.
type event struct {
	Type   eventType
	Upload upload
	Raw    json.RawMessage // Event.Upload as it came: with what the sender stated of the file
}

// upload is what is used of Event.Upload.
type upload struct {
	ID             string
	Size           int64
	SizeIsDeferred bool
	Offset         int64
	IsPartial      bool
	Storage        storage
}

type storage struct {
	Path, InfoPath string // of the file store
	Bucket, Key    string // of an object store
	Container      string // of an object store, elsewhere
}

// parseEvent reads the body of a hook request. tusd writes it, so that a doubled or mistyped member means that somebody
// else did; but the sender of an upload chooses MetaData and HTTPRequest, which are therefore not looked into: a
// pre-finish that is refused leaves the upload where it is.
func parseEvent(body []byte) (event, error) {
	var e event
	top, err := members(body)
	if err != nil {
		return e, err
	}
	if err := member(top, "Type", &e.Type); err != nil {
		return e, err
	}
	inner, err := members(top["Event"])
	if err != nil {
		return e, fmt.Errorf("event: %w", err)
	}
	e.Raw = inner["Upload"]
	if e.Upload, err = parseUpload(e.Raw); err != nil {
		return e, fmt.Errorf("upload: %w", err)
	}
	return e, nil
}

func parseUpload(raw json.RawMessage) (upload, error) {
	var u upload
	fields, err := members(raw)
	if err != nil {
		return u, err
	}
	for name, value := range map[string]any{
		"ID": &u.ID, "Size": &u.Size, "SizeIsDeferred": &u.SizeIsDeferred, "Offset": &u.Offset, "IsPartial": &u.IsPartial,
	} {
		if err := member(fields, name, value); err != nil {
			return u, err
		}
	}
	stored := fields["Storage"]
	if len(stored) == 0 || string(stored) == "null" { // before the upload exists
		return u, nil
	}
	places, err := members(stored)
	if err != nil {
		return u, fmt.Errorf("storage: %w", err)
	}
	for name, value := range map[string]*string{
		"Path": &u.Storage.Path, "InfoPath": &u.Storage.InfoPath, "Bucket": &u.Storage.Bucket, "Key": &u.Storage.Key,
		"Container": &u.Storage.Container,
	} {
		if err := member(places, name, value); err != nil {
			return u, fmt.Errorf("storage: %w", err)
		}
	}
	return u, nil
}

// members returns the members of a JSON object by their exact names. Anything but one object without doubled members
// is an error, which holds nothing of the text.
func members(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("want a JSON object")
	}
	out := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("no JSON")
		}
		if _, twice := out[name]; twice {
			return nil, errors.New("a member that comes twice")
		}
		if len(out) == maxMembers {
			return nil, errors.New("too many members")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("no JSON")
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("no JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	return out, nil
}

// maxMembers bounds the members of one object: tusd's have a dozen at most.
const maxMembers = 64

// member reads one member, if it is there, into value. null is no value.
func member(from map[string]json.RawMessage, name string, value any) error {
	raw, found := from[name]
	if !found {
		return nil
	}
	if string(raw) == "null" || json.Unmarshal(raw, value) != nil {
		return fmt.Errorf("%s: of the wrong type", name)
	}
	return nil
}

// The refusals of a pre-finish: in each the upload was not touched.
var (
	errObjectStore = errors.New("uploads in an object store (S3, GCS, Azure) cannot be taken out of reach: use tusd's file store")
	errUnfinished  = errors.New("the upload is not finished")
	errOutside     = errors.New("the upload is not a file directly in the store under its own ID")
	errID          = errors.New("the upload's ID cannot be used: want 1 to 200 of A-Z a-z 0-9 . _ - + = @, no dot at the front, no name of a file that tusd or hashmatch keeps beside it")
)

// maxID is the length of the longest upload ID: with itemPrefix it is an item's, with a suffix a file's name.
const maxID = 200

// checkID returns an error unless id can be the base name of an upload's file, in the store and in Held.
func checkID(id string) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+=@"
	if id == "" || len(id) > maxID || id[0] == '.' {
		return errID
	}
	for i := range len(id) {
		if strings.IndexByte(letters, id[i]) < 0 {
			return errID
		}
	}
	for _, suffix := range []string{infoSuffix, journalSuffix, ".lock", ".stop", ".tmp"} {
		if strings.HasSuffix(id, suffix) {
			return errID
		}
	}
	return nil
}

// check returns an error unless the upload is finished and its files are named ID and ID.info in one of the folders,
// which are the names of Store.
func (u upload) check(folders []string) error {
	s := u.Storage
	switch {
	case s.Bucket != "" || s.Key != "" || s.Container != "":
		return errObjectStore
	case u.SizeIsDeferred || u.Size < 0 || u.Offset != u.Size:
		return errUnfinished
	}
	if err := checkID(u.ID); err != nil {
		return err
	}
	for _, folder := range folders {
		if s.Path == filepath.Join(folder, u.ID) && s.InfoPath == s.Path+infoSuffix {
			return nil
		}
	}
	return errOutside
}
