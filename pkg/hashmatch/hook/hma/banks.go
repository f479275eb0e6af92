package hma

import (
	"net/http"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// bankConfig is a list in HMA's form. Every list is searched for every lookup.
type bankConfig struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"matching_enabled_ratio"`
}

// banks answers with the lists in force, in their order.
func (h *Handler) banks(r *request) (any, error) {
	out := []bankConfig{}
	for _, list := range r.lists.Lists() {
		out = append(out, bankConfig{list.Name(), 1})
	}
	return out, nil
}

// bank answers with one list.
func (h *Handler) bank(r *request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, bankPath)
	if _, known := r.lists.Revisions()[name]; !known {
		return nil, &refusal{http.StatusNotFound, "no such bank"}
	}
	return bankConfig{name, 1}, nil
}

// status is how it stands with one signal type.
type status struct {
	Present bool  `json:"present"`
	BuiltTo int64 `json:"built_to"` // when a list of the kind was last in step with its source, Unix time; -1 if never
	Size    int   `json:"size"`     // hashes
}

// indexStatus answers with what can be looked up.
func (h *Handler) indexStatus(r *request) (any, error) {
	out := make(map[string]status)
	names := make([]string, 0, 16)
	for _, kind := range hashmatch.Kinds() {
		names = append(names, kind.String())
	}
	for name := range signalTypes {
		names = append(names, name)
	}
	if only := r.query.Get("signal_type"); only != "" {
		if _, err := parseType(only); err != nil {
			return nil, err
		}
		names = []string{only}
	}
	for _, name := range names {
		kind, err := parseType(name)
		if err != nil {
			return nil, err
		}
		s := status{BuiltTo: -1}
		for _, list := range r.lists.Lists() {
			if n := list.List().Counts()[kind]; n > 0 {
				s.Present, s.Size = true, s.Size+n
				if synced := list.List().Synced(); !synced.IsZero() {
					s.BuiltTo = max(s.BuiltTo, synced.Unix())
				}
			}
		}
		out[name] = s
	}
	return out, nil
}
