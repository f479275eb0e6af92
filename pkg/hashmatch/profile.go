package hashmatch

import "fmt"

// Profile says under how many views an upload is hashed and searched, beside the picture as it is: what undoes a likely
// edit finds the edited copy. The more views, the more of them are found, and the longer it takes.
type Profile string

// The profiles. The zero Profile is Plain.
const (
	Plain    Profile = "plain"    // the picture as it is, and the turns that the policy asks for
	Standard Profile = "standard" // borders, panels and tilts that can be seen, and small crops
	Thorough Profile = "thorough" // larger crops, tilts that cannot be seen, and combinations
)

// Profiles returns every profile, each finding what those before it find.
func Profiles() []Profile { return []Profile{Plain, Standard, Thorough} }

// ParseProfile reads the name of a profile; "" is Plain.
func ParseProfile(name string) (Profile, error) {
	p := Profile(name)
	if !p.Valid() {
		return "", fmt.Errorf("unknown profile %q", name)
	}
	if p == "" {
		return Plain, nil
	}
	return p, nil
}

// Valid reports whether p is a profile above, or "".
func (p Profile) Valid() bool {
	switch p {
	case "", Plain, Standard, Thorough:
		return true
	}
	return false
}
