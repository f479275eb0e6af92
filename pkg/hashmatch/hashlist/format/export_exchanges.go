package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// ncmec writes the list as one answer to /v2/entries.
func (x *exporter) ncmec(l *hashlist.List) {
	x.print(xml.Header + "<queryResult xmlns=\"" + ncmecNamespace + "\">\n <images>\n")
	x.each(l, func(e *hashmatch.Entry) {
		if !slices.Contains(e.Labels, labelVideo) {
			x.ncmecRecord(e, "image", "deletedImage")
		}
	})
	x.print(" </images>\n <videos>\n")
	x.each(l, func(e *hashmatch.Entry) {
		if slices.Contains(e.Labels, labelVideo) {
			x.ncmecRecord(e, "video", "deletedVideo")
		}
	})
	x.print(" </videos>\n</queryResult>\n")
}

// ncmecNames are the elements of the kinds that NCMEC has.
var ncmecNames = map[string]string{"md5": "md5", "sha1": "sha1", "pdq": "pdq", photoDNA: "pdna"}

func (x *exporter) ncmecRecord(e *hashmatch.Entry, name, deleted string) {
	switch {
	case e.Status == hashmatch.Disputed || e.Status == hashmatch.Suspended:
		x.omit(e.Status.String(), true)
		return
	case e.Key.Member == "":
		x.omit("entry without a member", true)
		return
	case e.Updated.IsZero():
		x.omit("entry without an update time", true)
		return
	case strings.ContainsAny(e.Key.Member+e.Key.ID+e.Classification, "\ufffe\uffff\ufffd"):
		x.omit("entry with characters that XML cannot hold", true)
		return
	}
	var b bytes.Buffer
	text := func(element, content string) {
		b.WriteString("<" + element + ">")
		_ = xml.EscapeText(&b, []byte(content)) // a Buffer takes everything
		b.WriteString("</" + element + ">")
	}
	if e.Status == hashmatch.Withdrawn {
		name = deleted
	}
	b.WriteString("  <" + name + "><member id=\"")
	_ = xml.EscapeText(&b, []byte(e.Key.Member))
	b.WriteString("\"/>")
	text("timestamp", e.Updated.UTC().Format(time.RFC3339Nano))
	text("id", e.Key.ID)
	if e.Status != hashmatch.Withdrawn {
		if e.Classification != "" {
			text("classification", e.Classification)
		}
		b.WriteString("<fingerprints>")
		written := 0
		for i := range e.Signatures {
			kind, value, ok := x.word(&e.Signatures[i])
			if ok && ncmecNames[kind] == "" {
				x.omit(kind, true)
				ok = false
			}
			if ok {
				text(ncmecNames[kind], value)
				written++
			}
		}
		if written == 0 {
			return // its hashes were counted
		}
		b.WriteString("</fingerprints>")
	}
	b.WriteString("</" + name + ">\n")
	x.losses(e)
	x.omit("source", e.Key.Source != NCMEC.String())
	x.omit("label", slices.ContainsFunc(e.Labels, func(label string) bool { return label != labelVideo && label != e.Classification }) ||
		e.Classification != "" && !slices.Contains(e.Labels, e.Classification))
	x.print(b.String())
}

// categoriesOf turns a mapping of categories round; of several with one label it takes the first.
func categoriesOf(mapping map[string]string) map[string]string {
	categories := make(map[string]string)
	for key, label := range mapping {
		if number, ok := strings.CutPrefix(key, "category:"); ok && label != Leave {
			if first, known := categories[label]; !known || number < first {
				categories[label] = number
			}
		}
	}
	return categories
}

// vicsNames are the names of the kinds in VICS: the first three are fields of their own.
var vicsNames = map[string]string{"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256", "pdq": "PDQ", photoDNA: "PhotoDNA"}

type vicsHash struct{ HashName, HashValue string }

func (x *exporter) vicsMedia(e *hashmatch.Entry) {
	category, known := x.categories[e.Classification]
	switch {
	case e.Status != hashmatch.Active:
		x.omit(e.Status.String(), true)
		return
	case !known:
		x.omit("entry whose classification has no category", true)
		return
	}
	media := struct {
		MediaID            int
		Category           json.RawMessage
		MD5                string `json:",omitempty"`
		SHA1               string `json:",omitempty"`
		DateUpdated        string `json:",omitempty"`
		VictimIdentified   bool
		OffenderIdentified bool
		IsDistributed      bool
		Series             string
		Tags               []string
		AlternativeHashes  []vicsHash
	}{MediaID: x.done.Entries + 1, Tags: []string{}, AlternativeHashes: []vicsHash{}}
	if media.Category = json.RawMessage(category); !json.Valid(media.Category) {
		media.Category, _ = json.Marshal(category)
	}
	written := 0
	for i := range e.Signatures {
		kind, value, ok := x.word(&e.Signatures[i])
		switch name := vicsNames[kind]; {
		case !ok:
			continue
		case name == "":
			x.omit(kind, true)
			continue
		case name == "MD5" && media.MD5 == "":
			media.MD5 = value
		case name == "SHA1" && media.SHA1 == "":
			media.SHA1 = value
		default:
			media.AlternativeHashes = append(media.AlternativeHashes, vicsHash{name, value})
		}
		written++
	}
	if written == 0 {
		return // its hashes were counted
	}
	if !e.Updated.IsZero() {
		media.DateUpdated = e.Updated.UTC().Format(time.RFC3339Nano)
	}
	lost := e.Classification != "" && !slices.Contains(e.Labels, e.Classification)
	for _, label := range e.Labels {
		series, isSeries := strings.CutPrefix(label, labelSeries)
		switch {
		case label == labelDistributed:
			media.IsDistributed = true
		case label == labelVictim:
			media.VictimIdentified = true
		case label == labelOffender:
			media.OffenderIdentified = true
		case label == e.Classification:
		case isSeries && media.Series == "" && series != "" && strings.TrimSpace(series) == series:
			media.Series = series
		case strings.ContainsAny(label, ",;|"):
			lost = true
		default:
			media.Tags = append(media.Tags, label)
		}
	}
	x.losses(e)
	x.omit("label", lost)
	x.omitKey(e, VICS)
	text, err := json.Marshal(media)
	if err != nil {
		x.err = err
		return
	}
	separator := "\n"
	if x.done.Entries > 0 {
		separator = ",\n"
	}
	x.print(separator + string(text))
}

// omitKey counts the keys that reading the format again does not give.
func (x *exporter) omitKey(e *hashmatch.Entry, f Format) {
	x.omit("entry key", e.Key != hashmatch.EntryKey{Source: f.String(), ID: derivedID(e.Signatures)})
}

// hmaNames are the signal types of HMA.
var hmaNames = map[string]string{"pdq": "pdq", "md5": "video_md5", photoDNA: photoDNA}

func (x *exporter) hmaSignal(e *hashmatch.Entry) {
	if e.Status != hashmatch.Active {
		x.omit(e.Status.String(), true)
		return
	}
	signals := make(map[string]string)
	several := false
	for i := range e.Signatures {
		s := &e.Signatures[i]
		kind := s.Hash.Kind.String()
		value := s.Hash.Hex()
		if s.Scheme != "" {
			kind, value = s.Scheme, base64.StdEncoding.EncodeToString([]byte(s.Opaque))
		}
		name := hmaNames[kind]
		_, taken := signals[name]
		switch {
		case name == "":
			x.omit(kind, true)
		case taken: // an object has one of each type
			several = true
			x.hmaLine(map[string]string{name: value})
		default:
			signals[name] = value
		}
	}
	if len(signals) == 0 {
		return // its hashes were counted
	}
	x.losses(e)
	x.omit("update time", !e.Updated.IsZero())
	x.omit("classification", e.Classification != "")
	x.omit("label", len(e.Labels) > 1)
	if several {
		x.omit("entry key", true)
	} else {
		x.omitKey(e, HMA)
	}
	if len(e.Labels) == 1 {
		signals[hmaNote] = e.Labels[0]
	}
	x.hmaLine(signals)
}

func (x *exporter) hmaLine(signals map[string]string) {
	text, err := json.Marshal(signals) // in the order of names
	if err != nil {
		x.err = err
		return
	}
	x.print(string(text) + "\n")
}
