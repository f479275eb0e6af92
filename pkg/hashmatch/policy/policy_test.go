package policy

import (
	"fmt"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

const (
	allow = hashmatch.Allow
	hold  = hashmatch.Hold
	block = hashmatch.Block
)

// actionsByStrictness lists every action, mildest first.
var actionsByStrictness = []hashmatch.Action{allow, hold, block}

func declared(t testing.TB, name string) hashmatch.Surface {
	t.Helper()
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{
		Name: name, Visibility: hashmatch.Public, Encrypted: new(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustNew(t testing.TB, config Config) *Policy {
	t.Helper()
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func near(list, entry string, distance int) hashmatch.Match {
	return hashmatch.Match{List: list, Entry: entry, Kind: hashmatch.PDQ, Distance: distance, Quality: 100}
}

func exact(list, entry string) hashmatch.Match {
	return hashmatch.Match{List: list, Entry: entry, Kind: hashmatch.SHA256, Quality: 100}
}

func TestDefaults(t *testing.T) {
	p := mustNew(t, Config{})
	s := declared(t, "unnamed")
	for _, kind := range hashmatch.Kinds() {
		want := map[hashmatch.Kind]int{
			hashmatch.PDQ: 31, hashmatch.PHash: 6, hashmatch.DHash: 1, hashmatch.AHash: 0,
			hashmatch.PHash256: 24, hashmatch.DHash256: 24, hashmatch.AHash256: 8,
		}[kind]
		if got := p.Reach(s, "any", kind, 50); got != want {
			t.Errorf("reach of %s = %d, want %d", kind, got, want)
		}
		low := p.Reach(s, "any", kind, 49)
		if kind.Digest() && low != 0 || !kind.Digest() && low != -1 {
			t.Errorf("reach of %s below the floor = %d", kind, low)
		}
		if p.Reach(s, "any", kind, 100) > MaxThreshold(kind) {
			t.Errorf("default threshold of %s is above the largest", kind)
		}
	}
	for _, kind := range []hashmatch.Kind{0, 11, 31, 32, 200} {
		if got := p.Reach(s, "any", kind, 100); got != -1 {
			t.Errorf("reach of invalid kind %d = %d", kind, got)
		}
	}
	if got := p.Dihedral(s); got != hashmatch.SetOf(hashmatch.PDQ) {
		t.Errorf("dihedral = %v", got.Kinds())
	}
	if p.Role("any") != BlockList || p.Kinds(s, "any") != everyKind() {
		t.Error("an unnamed list is not a block-list of all kinds")
	}
}

func TestActionsAndStatuses(t *testing.T) {
	s := declared(t, "s")
	statuses := []hashmatch.Status{hashmatch.Active, hashmatch.Disputed, hashmatch.Suspended, hashmatch.Withdrawn, 9}
	checked := 0
	for _, exactAction := range actionsByStrictness {
		for _, nearAction := range actionsByStrictness {
			p := mustNew(t, Config{Lists: map[string]List{"l": {Exact: new(exactAction), Near: new(nearAction)}}})
			for _, status := range statuses {
				for _, m := range []hashmatch.Match{exact("l", "e"), near("l", "e", 31)} {
					m.Status = status
					want := nearAction
					if m.Exact() {
						want = exactAction
					}
					switch status {
					case hashmatch.Disputed:
						if want == block {
							want = hold
						}
					case hashmatch.Suspended, hashmatch.Withdrawn:
						want = allow
					}
					d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}})
					if d.Action != want {
						t.Errorf("exact %s near %s: %s of a %s entry: %s, want %s", exactAction, nearAction, m.Kind, status, d.Action, want)
					}
					wantMatches := 1
					if status == hashmatch.Withdrawn {
						wantMatches = 0
					}
					if len(d.Matches) != wantMatches || wantMatches == 1 && d.Matches[0].Action != want {
						t.Errorf("%s of a %s entry: matches %+v", m.Kind, status, d.Matches)
					}
					checked++
				}
			}
		}
	}
	if checked != 3*3*5*2 {
		t.Fatalf("checked %d cases", checked)
	}
}

func TestSuspendedIsActedOnWithAnother(t *testing.T) {
	p, s := mustNew(t, Config{}), declared(t, "s")
	suspended := exact("l", "a")
	suspended.Status = hashmatch.Suspended
	d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{suspended, near("l", "b", 4)}})
	if d.Action != hold || len(d.Matches) != 2 || d.Matches[0].Entry != "b" || d.Matches[1].Action != allow {
		t.Errorf("%+v", d)
	}
}

func TestThresholds(t *testing.T) {
	s := declared(t, "s")
	p := mustNew(t, Config{
		Defaults: List{Thresholds: map[hashmatch.Kind]int{hashmatch.PHash: 4}},
		Lists: map[string]List{
			"l": {
				Kinds:        hashmatch.SetOf(hashmatch.PDQ, hashmatch.PHash, hashmatch.MD5),
				Thresholds:   map[hashmatch.Kind]int{hashmatch.PDQ: 20},
				QualityFloor: new(70),
				Labels: map[string]Label{
					"wide":   {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 40}, Near: new(block)},
					"narrow": {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 5}, Near: new(allow)},
					"exact":  {Exact: new(hold)},
				},
			},
		},
	})
	for _, test := range []struct {
		list    string
		kind    hashmatch.Kind
		quality int
		want    int
	}{
		{"l", hashmatch.PDQ, 70, 40}, // the widest label
		{"l", hashmatch.PDQ, 69, -1},
		{"l", hashmatch.PHash, 100, 4}, // of the defaults
		{"l", hashmatch.DHash, 100, -1},
		{"l", hashmatch.MD5, 0, 0},
		{"l", hashmatch.SHA1, 100, -1},
		{"other", hashmatch.PDQ, 50, 31},
		{"other", hashmatch.PHash, 50, 4},
		{"other", hashmatch.SHA1, 0, 0},
	} {
		if got := p.Reach(s, test.list, test.kind, test.quality); got != test.want {
			t.Errorf("reach %s %s quality %d = %d, want %d", test.list, test.kind, test.quality, got, test.want)
		}
	}
	for _, test := range []struct {
		labels    []string
		distance  int
		threshold int // -1: no match
		action    hashmatch.Action
	}{
		{nil, 20, 20, hold},
		{nil, 21, -1, allow},
		{[]string{"unruled"}, 20, 20, hold},
		{[]string{"Wide"}, 21, -1, allow}, // labels are compared exactly
		{[]string{"wide"}, 40, 40, block},
		{[]string{"wide"}, 41, -1, allow},
		{[]string{"narrow"}, 5, 5, allow},
		{[]string{"narrow"}, 6, -1, allow},
		{[]string{"narrow", "unruled"}, 6, -1, allow},
		{[]string{"narrow", "wide"}, 40, 40, block}, // the strictest rules of both
		{[]string{"wide", "narrow"}, 40, 40, block},
		{[]string{"exact"}, 20, 20, hold},
		{[]string{"exact", "narrow"}, 5, 5, allow},
	} {
		m := near("l", "e", test.distance)
		m.Labels = test.labels
		d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}})
		if d.Action != test.action || (test.threshold >= 0) != (len(d.Matches) == 1) {
			t.Errorf("%v at %d: %s with %d matches, want %s", test.labels, test.distance, d.Action, len(d.Matches), test.action)
		}
		if len(d.Matches) == 1 && d.Matches[0].Threshold != test.threshold {
			t.Errorf("%v at %d: threshold %d, want %d", test.labels, test.distance, d.Matches[0].Threshold, test.threshold)
		}
	}
	labelled := exact("l", "e")
	labelled.Kind, labelled.Labels = hashmatch.MD5, []string{"exact"}
	if d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{labelled}}); d.Action != hold {
		t.Errorf("exact action of a label: %s", d.Action)
	}
	labelled.Kind = hashmatch.SHA1 // not a kind of this list
	if d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{labelled}}); len(d.Matches) != 0 {
		t.Errorf("a kind that the list is not searched for matched: %+v", d.Matches)
	}
}

// TestReachCoversDecide proves that nothing that Decide would count lies outside of what is searched.
func TestReachCoversDecide(t *testing.T) {
	s := declared(t, "s")
	labels := map[string]Label{
		"a": {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 64, hashmatch.PHash: 0}},
		"b": {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 0, hashmatch.PHash: 10}},
	}
	p := mustNew(t, Config{
		Defaults: List{Labels: labels},
		Lists:    map[string]List{"l": {Thresholds: map[hashmatch.Kind]int{hashmatch.DHash256: 60}}},
	})
	counted := 0
	for _, list := range []string{"l", "unnamed"} {
		for _, kind := range hashmatch.Kinds() {
			reach := p.Reach(s, list, kind, 100)
			for distance := 0; distance <= kind.Bits(); distance++ {
				for _, labels := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}} {
					m := hashmatch.Match{List: list, Entry: "e", Kind: kind, Distance: distance, Labels: labels}
					if len(p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}}).Matches) == 0 {
						continue
					}
					counted++
					if distance > reach {
						t.Fatalf("%s %s %v counts at %d, reach %d", list, kind, labels, distance, reach)
					}
				}
			}
		}
	}
	if counted == 0 {
		t.Fatal("nothing counted")
	}
}

func TestDefaultLabels(t *testing.T) {
	s := declared(t, "s")
	p := mustNew(t, Config{
		Defaults: List{Labels: map[string]Label{"a": {Near: new(block)}, "b": {Near: new(block)}}},
		Lists:    map[string]List{"l": {Labels: map[string]Label{"a": {Near: new(allow)}}}},
	})
	for i, test := range []struct {
		list, label string
		want        hashmatch.Action
	}{{"l", "a", allow}, {"l", "b", block}, {"unnamed", "a", block}, {"l", "c", hold}} {
		m := near(test.list, "e", 0)
		m.Labels = []string{test.label}
		if d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}}); d.Action != test.want {
			t.Errorf("%d: %s", i, d.Action)
		}
	}
}

func TestUnknownKindAndListAreHeld(t *testing.T) {
	p := mustNew(t, Config{Defaults: List{Near: new(allow), Exact: new(allow)}})
	for _, kind := range []hashmatch.Kind{0, 11, 31, 32, 255} {
		m := hashmatch.Match{List: "nobody named it", Kind: kind, Distance: 999}
		if d := p.Decide(hashmatch.Findings{Surface: declared(t, "s"), Matches: []hashmatch.Match{m}}); d.Action != hold || len(d.Matches) != 1 {
			t.Errorf("kind %d: %+v", kind, d)
		}
	}
}

func TestUndeclaredSurfaceIsHeld(t *testing.T) {
	if d := mustNew(t, Config{}).Decide(hashmatch.Findings{}); d.Action != hold {
		t.Errorf("undeclared surface: %s", d.Action)
	}
	if d := mustNew(t, Config{}).Decide(hashmatch.Findings{Surface: declared(t, "s")}); d.Action != allow || d.Matches != nil {
		t.Errorf("nothing found: %+v", d)
	}
}

func TestNewRefuses(t *testing.T) {
	pdq := func(d int) map[hashmatch.Kind]int { return map[hashmatch.Kind]int{hashmatch.PDQ: d} }
	one := func(l List) Config { return Config{Lists: map[string]List{"iwf": l}} }
	tests := []struct {
		config Config
		want   string
	}{
		{one(List{Thresholds: pdq(300)}), `list "iwf": thresholds.pdq: 300: want 0 to 64`},
		{one(List{Thresholds: pdq(65)}), `list "iwf": thresholds.pdq: 65: want 0 to 64`},
		{one(List{Thresholds: pdq(-1)}), `list "iwf": thresholds.pdq: -1: want 0 to 64`},
		{one(List{Thresholds: map[hashmatch.Kind]int{hashmatch.PHash: 11}}), `list "iwf": thresholds.phash: 11: want 0 to 10`},
		{one(List{Thresholds: map[hashmatch.Kind]int{hashmatch.MD5: 0}}), `list "iwf": thresholds.md5: a digest matches whole or not at all: it has no threshold`},
		{one(List{Thresholds: map[hashmatch.Kind]int{99: 0}}), `list "iwf": thresholds.invalid: an invalid kind`},
		{one(List{Kinds: hashmatch.SetOf(hashmatch.MD5), Thresholds: pdq(3)}), `list "iwf": thresholds.pdq: 3: stated for a kind that is not among the list's kinds`},
		{one(List{Kinds: 1}), `list "iwf": kinds: an invalid kind`},
		{one(List{Role: "deny"}), `list "iwf": role: "deny": want block or allow`},
		{one(List{QualityFloor: new(101)}), `list "iwf": quality_floor: 101: want 0 to 100`},
		{one(List{QualityFloor: new(-1)}), `list "iwf": quality_floor: -1: want 0 to 100`},
		{one(List{Exact: new(hashmatch.Action(7))}), `list "iwf": actions.exact: want allow, hold or block`},
		{one(List{Near: new(hashmatch.Action(7))}), `list "iwf": actions.near: want allow, hold or block`},
		{one(List{Labels: map[string]Label{"": {}}}), `list "iwf": labels: a label without a name`},
		{one(List{Labels: map[string]Label{"x": {Thresholds: pdq(70)}}}), `list "iwf": labels.x.thresholds.pdq: 70: want 0 to 64`},
		{one(List{Labels: map[string]Label{"x": {Near: new(hashmatch.Action(7))}}}), `list "iwf": labels.x.actions.near: want allow, hold or block`},
		{one(List{Role: AllowList, Near: new(hold)}), `list "iwf": actions: an allow-list has none: it wins over near matches or it does not`},
		{one(List{Role: AllowList, Labels: map[string]Label{"x": {}}}), `list "iwf": labels: an allow-list has no rules for labels`},
		{one(List{Role: AllowList, Kinds: hashmatch.SetOf(hashmatch.PDQ)}), `list "iwf": kinds: pdq: an allow-list needs thresholds.pdq stated too`},
		{Config{Lists: map[string]List{"": {}}}, `lists: a list without a name`},
		{Config{Defaults: List{Role: AllowList}}, `defaults: role: a list that is not named cannot be an allow-list`},
		{Config{Defaults: List{Thresholds: pdq(65)}}, `defaults: thresholds.pdq: 65: want 0 to 64`},
		{Config{Failures: map[hashmatch.FailureCode]hashmatch.Action{hashmatch.NotImage: hold}}, `failures.not_image: each surface states its own answer, as not_image`},
		{Config{Failures: map[hashmatch.FailureCode]hashmatch.Action{"broken": hold}}, `failures.broken: unknown failure code`},
		{Config{Failures: map[hashmatch.FailureCode]hashmatch.Action{hashmatch.Corrupt: 9}}, `failures.corrupt: want allow, hold or block`},
		{Config{Notes: map[hashmatch.Note]hashmatch.Action{hashmatch.NotReady: allow}}, `notes.not_ready: allow: want hold or block, for nothing was searched`},
		{Config{Notes: map[hashmatch.Note]hashmatch.Action{hashmatch.Overloaded: allow}}, `notes.overloaded: allow: want hold or block, for nothing was searched`},
		{Config{Notes: map[hashmatch.Note]hashmatch.Action{"tired": hold}}, `notes.tired: unknown note`},
		{Config{Notes: map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: 9}}, `notes.low_quality: want allow, hold or block`},
		{Config{Dihedral: new(hashmatch.SetOf(hashmatch.MD5))}, `dihedral: only perceptual kinds are taken of turned pictures`},
		{Config{Surfaces: map[string]Surface{"": {}}}, `surfaces: a surface without a name`},
		{Config{Surfaces: map[string]Surface{"s": {}}}, `surface "s": not_image: must be stated: allow, hold or block`},
		{Config{Surfaces: map[string]Surface{"s": {NotImage: new(hashmatch.Action(9))}}}, `surface "s": not_image: want allow, hold or block`},
		{Config{Surfaces: map[string]Surface{"s": {NotImage: new(hold), Notes: map[hashmatch.Note]hashmatch.Action{hashmatch.NotReady: allow}}}}, `surface "s": notes.not_ready: allow: want hold or block, for nothing was searched`},
	}
	for _, test := range tests {
		p, err := New(test.config)
		if err == nil || err.Error() != test.want || p != nil {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
}

func TestRevision(t *testing.T) {
	labels := map[string]Label{}
	for i := range 20 {
		labels[fmt.Sprint(i)] = Label{Near: new(block)}
	}
	config := func() Config {
		return Config{
			Lists:    map[string]List{"a": {Labels: labels}, "b": {Role: AllowList}, "c": {QualityFloor: new(60)}},
			Surfaces: map[string]Surface{"s": {NotImage: new(hold)}, "t": {NotImage: new(allow)}},
		}
	}
	base := mustNew(t, config())
	if len(base.Revision()) != 16 {
		t.Errorf("revision %q", base.Revision())
	}
	for range 20 {
		if again := mustNew(t, config()); again.Revision() != base.Revision() {
			t.Fatal("the revision is not stable")
		}
	}
	if again := mustNew(t, base.Effective()); again.Revision() != base.Revision() {
		t.Error("the effective policy has another revision")
	}
	stated := config()
	stated.Failures = map[hashmatch.FailureCode]hashmatch.Action{hashmatch.Corrupt: hold}
	stated.Defaults.Exact = new(block)
	if again := mustNew(t, stated); again.Revision() != base.Revision() {
		t.Error("a stated default changes the revision")
	}
	revisions := map[string]string{base.Revision(): "base"}
	for name, change := range map[string]func(*Config){
		"defaults":  func(c *Config) { c.Defaults.Near = new(block) },
		"kinds":     func(c *Config) { c.Lists["c"] = List{QualityFloor: new(60), Kinds: hashmatch.SetOf(hashmatch.PDQ)} },
		"floor":     func(c *Config) { c.Lists["c"] = List{QualityFloor: new(61)} },
		"role":      func(c *Config) { c.Lists["b"] = List{} },
		"threshold": func(c *Config) { c.Lists["b"] = List{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 30}} },
		"label":     func(c *Config) { c.Lists["b"] = List{Labels: map[string]Label{"a": {}}} },
		"label's": func(c *Config) {
			c.Lists["b"] = List{Labels: map[string]Label{"a": {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 30}}}}
		},
		"label exact": func(c *Config) { c.Lists["b"] = List{Labels: map[string]Label{"a": {Exact: new(hold)}}} },
		"failure":     func(c *Config) { c.Failures = map[hashmatch.FailureCode]hashmatch.Action{hashmatch.Corrupt: block} },
		"note":        func(c *Config) { c.Notes = map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: hold} },
		"dihedral":    func(c *Config) { c.Dihedral = new(hashmatch.KindSet(0)) },
		"not image":   func(c *Config) { c.Surfaces["s"] = Surface{NotImage: new(block)} },
		"surface":     func(c *Config) { c.Surfaces["u"] = Surface{NotImage: new(block)} },
	} {
		c := config()
		change(&c)
		r := mustNew(t, c).Revision()
		if other, ok := revisions[r]; ok {
			t.Errorf("%s has the revision of %s", name, other)
		}
		revisions[r] = name
	}
	if len(revisions) != 14 {
		t.Errorf("%d revisions", len(revisions))
	}
}

// TestImmutable changes everything that was handed to New or came out of Effective.
func TestImmutable(t *testing.T) {
	floor, act := 60, block
	thresholds := map[hashmatch.Kind]int{hashmatch.PDQ: 20}
	label := Label{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 25}, Near: &act}
	config := Config{
		Lists:    map[string]List{"l": {Thresholds: thresholds, QualityFloor: &floor, Labels: map[string]Label{"x": label}}},
		Surfaces: map[string]Surface{"s": {NotImage: &act}},
	}
	p := mustNew(t, config)
	before := p.digest()
	out := p.Effective()
	*out.Lists["l"].Labels["x"].Near, out.Lists["l"].Thresholds[hashmatch.PDQ] = hold, 1
	out.Failures[hashmatch.Corrupt], *out.Surfaces["s"].NotImage = allow, allow
	floor, act, thresholds[hashmatch.PDQ], label.Thresholds[hashmatch.PDQ] = 1, allow, 1, 1
	delete(config.Lists, "l")
	if p.digest() != before {
		t.Error("the policy changed")
	}
}
