package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"

	"github.com/google/go-cmp/cmp"
)

func strictest(actions ...hashmatch.Action) hashmatch.Action {
	rank := map[hashmatch.Action]int{allow: 0, hold: 1, block: 2}
	worst := allow
	for _, a := range actions {
		if rank[a] > rank[worst] {
			worst = a
		}
	}
	return worst
}

// TestEveryFailureReachesTheVerdict proves that no failure ends in an allow unless the policy says so: every code,
// under every stated answer and none, on surfaces with every answer of their own and on one that is not named, alone
// and beside every kind of match.
func TestEveryFailureReachesTheVerdict(t *testing.T) {
	codes := hashmatch.FailureCodes()
	if len(codes) != 12 {
		t.Fatalf("%d failure codes: state here what the new ones do", len(codes))
	}
	matches := map[string][]hashmatch.Match{
		"nothing":   nil,
		"exact":     {exact("l", "e")},
		"near":      {near("l", "e", 3)},
		"too far":   {near("l", "e", 32)},
		"allowed":   {exact("ok", "a")},
		"overruled": {exact("ok", "a"), near("l", "e", 3)},
		"withdrawn": {{List: "l", Entry: "e", Kind: hashmatch.MD5, Status: hashmatch.Withdrawn}},
		"suspended": {{List: "l", Entry: "e", Kind: hashmatch.MD5, Status: hashmatch.Suspended}},
	}
	byMatch := map[string]hashmatch.Action{"exact": block, "near": hold, "nothing": allow, "too far": allow,
		"allowed": allow, "overruled": allow, "withdrawn": allow, "suspended": allow}
	checked := 0
	for _, code := range append(codes, "a_code_of_the_future", "") {
		for _, stated := range append([]hashmatch.Action{99}, actionsByStrictness...) { // 99: nothing stated
			for _, answer := range actionsByStrictness {
				config := Config{
					Lists:    map[string]List{"ok": {Role: AllowList}},
					Surfaces: map[string]Surface{"s": {NotImage: new(answer)}},
				}
				known := code != "" && code != "a_code_of_the_future"
				if stated != 99 && known && code != hashmatch.NotImage {
					config.Failures = map[hashmatch.FailureCode]hashmatch.Action{code: stated}
				}
				p := mustNew(t, config)
				for _, surface := range []string{"s", "unnamed"} {
					want := hold
					switch {
					case code == hashmatch.NotImage && surface == "s":
						want = answer
					case config.Failures != nil:
						want = stated
					}
					for name, candidates := range matches {
						d := p.Decide(hashmatch.Findings{Surface: declared(t, surface), Matches: candidates,
							Failures: []hashmatch.Failure{{Code: code}}})
						if full := strictest(want, byMatch[name]); d.Action != full {
							t.Errorf("%q stated %d answer %s surface %s, %s: %s, want %s", code, stated, answer, surface, name, d.Action, full)
						}
						checked++
					}
				}
			}
		}
	}
	if checked != 14*4*3*2*8 {
		t.Fatalf("checked %d cases", checked)
	}
}

// TestFailuresTogether proves that of two failures the stricter answer holds, not_image among them.
func TestFailuresTogether(t *testing.T) {
	checked := 0
	for _, code := range hashmatch.FailureCodes() {
		for _, action := range actionsByStrictness {
			for _, answer := range actionsByStrictness {
				if code == hashmatch.NotImage {
					continue
				}
				p := mustNew(t, Config{Surfaces: map[string]Surface{"s": {
					NotImage: new(answer), Failures: map[hashmatch.FailureCode]hashmatch.Action{code: action},
				}}})
				for _, failures := range [][]hashmatch.Failure{
					{{Code: code}, {Code: hashmatch.NotImage}}, {{Code: hashmatch.NotImage}, {Code: code}},
				} {
					d := p.Decide(hashmatch.Findings{Surface: declared(t, "s"), Failures: failures})
					if want := strictest(action, answer); d.Action != want {
						t.Errorf("%s %s beside not_image %s: %s", code, action, answer, d.Action)
					}
					checked++
				}
				d := p.Decide(hashmatch.Findings{Surface: declared(t, "unnamed"), Failures: []hashmatch.Failure{{Code: code}}})
				if d.Action != hold {
					t.Errorf("a surface's %s: %s leaks to another: %s", code, action, d.Action)
				}
			}
		}
	}
	if checked != 11*3*3*2 {
		t.Fatalf("checked %d cases", checked)
	}
}

func TestNotes(t *testing.T) {
	s := declared(t, "s")
	for _, test := range []struct {
		stated map[hashmatch.Note]hashmatch.Action
		note   hashmatch.Note
		want   hashmatch.Action
	}{
		{nil, hashmatch.LowQuality, allow},
		{nil, hashmatch.Overloaded, hold},
		{nil, hashmatch.NotReady, hold},
		{nil, "a_note_of_the_future", hold},
		{nil, "", hold},
		{map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: hold}, hashmatch.LowQuality, hold},
		{map[hashmatch.Note]hashmatch.Action{hashmatch.LowQuality: block}, hashmatch.LowQuality, block},
		{map[hashmatch.Note]hashmatch.Action{hashmatch.Overloaded: block}, hashmatch.Overloaded, block},
		{map[hashmatch.Note]hashmatch.Action{hashmatch.NotReady: block}, hashmatch.NotReady, block},
	} {
		for name, p := range map[string]*Policy{
			"top":     mustNew(t, Config{Notes: test.stated}),
			"surface": mustNew(t, Config{Surfaces: map[string]Surface{"s": {NotImage: new(hold), Notes: test.stated}}}),
		} {
			if d := p.Decide(hashmatch.Findings{Surface: s, Notes: []hashmatch.Note{test.note}}); d.Action != test.want {
				t.Errorf("%s: %q: %s, want %s", name, test.note, d.Action, test.want)
			}
		}
	}
}

func TestAllowList(t *testing.T) {
	p := mustNew(t, Config{Lists: map[string]List{
		"ok":   {Role: AllowList},
		"near": {Role: AllowList, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 8}},
	}})
	s := declared(t, "s")
	if p.Reach(s, "ok", hashmatch.PDQ, 100) != -1 || p.Reach(s, "ok", hashmatch.MD5, 0) != 0 || p.Reach(s, "near", hashmatch.PDQ, 100) != 8 {
		t.Error("reach of an allow-list")
	}
	in := func(m hashmatch.Match, frame int, view hashmatch.View) hashmatch.Match {
		m.Frame, m.View = frame, view
		return m
	}
	with := func(m hashmatch.Match, status hashmatch.Status) hashmatch.Match {
		m.Status = status
		return m
	}
	also := func(m hashmatch.Match, others ...hashmatch.FrameHash) hashmatch.Match {
		m.Others = others
		return m
	}
	second, black := hashmatch.FrameHash{Frame: 1}, hashmatch.View{Background: hashmatch.BlackBackground}
	flipped, trimmed, panel := hashmatch.View{Dihedral: hashmatch.FlipX}, hashmatch.View{Geometry: "trim"}, hashmatch.View{Panel: "1"}
	var none hashmatch.View
	for _, test := range []struct {
		name       string
		candidates []hashmatch.Match
		want       hashmatch.Action
		by         string
		matches    []hashmatch.Action
	}{
		{"alone", []hashmatch.Match{exact("ok", "a")}, allow, "", nil},
		{"exact over near", []hashmatch.Match{near("l", "e", 0), exact("ok", "a"), near("l", "f", 9)}, allow, "a", []hashmatch.Action{allow, allow}},
		{"exact over every frame", []hashmatch.Match{in(near("l", "e", 0), 7, panel), exact("ok", "a")}, allow, "a", []hashmatch.Action{allow}},
		{"not over exact", []hashmatch.Match{near("l", "e", 0), exact("ok", "a"), exact("l", "e")}, block, "", []hashmatch.Action{block, hold}},
		{"not over a disputed exact", []hashmatch.Match{near("l", "e", 0), exact("ok", "a"), with(exact("l", "e"), hashmatch.Disputed)}, hold, "", []hashmatch.Action{hold, hold}},
		{"over a suspended exact", []hashmatch.Match{near("l", "e", 0), exact("ok", "a"), with(exact("l", "e"), hashmatch.Suspended)}, allow, "a", []hashmatch.Action{allow, allow}},
		{"near of an exact-only list", []hashmatch.Match{near("l", "e", 0), near("ok", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"near where stated", []hashmatch.Match{near("l", "e", 0), near("near", "a", 8)}, allow, "a", []hashmatch.Action{allow}},
		{"too far", []hashmatch.Match{near("l", "e", 0), near("near", "a", 9)}, hold, "", []hashmatch.Action{hold}},
		{"exact named before near", []hashmatch.Match{near("l", "e", 0), near("near", "a", 0), exact("ok", "z")}, allow, "z", []hashmatch.Action{allow}},
		{"nearest named", []hashmatch.Match{near("l", "e", 0), near("near", "a", 3), near("near", "b", 2)}, allow, "b", []hashmatch.Action{allow}},
		{"another frame", []hashmatch.Match{in(near("l", "e", 0), 1, none), near("near", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"another panel", []hashmatch.Match{in(near("l", "e", 0), 0, panel), near("near", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"another trim", []hashmatch.Match{in(near("l", "e", 0), 0, trimmed), near("near", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"another background", []hashmatch.Match{in(near("l", "e", 0), 0, black), near("near", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"in two frames", []hashmatch.Match{also(near("l", "e", 0), second), near("near", "a", 0)}, hold, "", []hashmatch.Action{hold}},
		{"both in two frames", []hashmatch.Match{also(near("l", "e", 0), second), also(near("near", "a", 0), second)}, allow, "a", []hashmatch.Action{allow}},
		{"in the second frame", []hashmatch.Match{in(near("l", "e", 0), 1, none), also(near("near", "a", 0), second)}, allow, "a", []hashmatch.Action{allow}},
		{"two allowed in two frames", []hashmatch.Match{also(near("l", "e", 0), second), near("near", "a", 0), in(near("near", "b", 0), 1, none)}, allow, "b", []hashmatch.Action{allow}},
		{"turned", []hashmatch.Match{in(near("l", "e", 0), 0, flipped), near("near", "a", 0)}, allow, "a", []hashmatch.Action{allow}},
		{"one entry in two frames", []hashmatch.Match{near("l", "e", 0), in(near("l", "e", 20), 1, none), near("near", "a", 0)}, hold, "a", []hashmatch.Action{hold}},
		{"suspended allow", []hashmatch.Match{near("l", "e", 0), with(exact("ok", "a"), hashmatch.Suspended)}, hold, "", []hashmatch.Action{hold}},
		{"disputed allow", []hashmatch.Match{near("l", "e", 0), with(exact("ok", "a"), hashmatch.Disputed)}, hold, "", []hashmatch.Action{hold}},
		{"withdrawn allow", []hashmatch.Match{near("l", "e", 0), with(exact("ok", "a"), hashmatch.Withdrawn)}, hold, "", []hashmatch.Action{hold}},
		{"unknown status", []hashmatch.Match{near("l", "e", 0), with(exact("ok", "a"), 9)}, hold, "", []hashmatch.Action{hold}},
		{"no kind", []hashmatch.Match{near("l", "e", 0), {List: "ok", Entry: "a"}}, hold, "", []hashmatch.Action{hold}},
		{"nothing to overrule", []hashmatch.Match{with(near("l", "e", 0), hashmatch.Suspended), exact("ok", "a")}, allow, "", []hashmatch.Action{allow}},
	} {
		d := p.Decide(hashmatch.Findings{Surface: s, Matches: test.candidates})
		by := ""
		if d.AllowedBy != nil {
			by = d.AllowedBy.Entry
		}
		var actions []hashmatch.Action
		for _, m := range d.Matches {
			actions = append(actions, m.Action)
		}
		if d.Action != test.want || by != test.by || !cmp.Equal(actions, test.matches) {
			t.Errorf("%s: %s by %q with %v, want %s by %q with %v", test.name, d.Action, by, actions, test.want, test.by, test.matches)
		}
	}
	d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{near("l", "e", 0), exact("ok", "a")},
		Failures: []hashmatch.Failure{{Code: hashmatch.Truncated}}})
	if d.Action != hold || d.AllowedBy == nil {
		t.Errorf("an allow-list won over a failure: %+v", d)
	}
}

func TestOrderAndDoubles(t *testing.T) {
	p := mustNew(t, Config{Lists: map[string]List{"b": {Near: new(block)}}})
	seen := func(m hashmatch.Match, kind hashmatch.Kind, frame int, view hashmatch.View) hashmatch.Match {
		m.Kind, m.Frame, m.View = kind, frame, view
		return m
	}
	flip, stored := hashmatch.View{Dihedral: hashmatch.FlipX}, hashmatch.View{Orientation: hashmatch.StoredOrientation}
	candidates := []hashmatch.Match{
		seen(near("a", "one", 12), hashmatch.PDQ, 4, flip),
		seen(near("a", "one", 10), hashmatch.PDQ, 0, flip), // nearest, but not in the default view
		seen(near("a", "one", 10), hashmatch.PDQ, 6, hashmatch.View{}),
		seen(near("a", "one", 10), hashmatch.PDQ, 5, hashmatch.View{}), // kept
		seen(near("a", "one", 10), hashmatch.PDQ, 0, stored),
		seen(near("a", "one", 2), hashmatch.PHash, 9, flip), // another kind stays
		seen(near("b", "one", 30), hashmatch.PDQ, 0, flip),  // another list stays
		exact("a", "two"),
		seen(exact("a", "two"), hashmatch.MD5, 0, hashmatch.View{}),
		near("a", "three", 10),
	}
	want := []string{
		"block a two md5 0 f0", "block a two sha256 0 f0", "block b one pdq 30 f0",
		"hold a one phash 2 f9", "hold a one pdq 10 f5", "hold a three pdq 10 f0",
	}
	// md5 and sha256 of one entry differ in nothing else: the order of kinds decides.
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		before := append([]hashmatch.Match(nil), candidates...)
		d := p.Decide(hashmatch.Findings{Surface: declared(t, "s"), Matches: candidates})
		var got []string
		for _, m := range d.Matches {
			got = append(got, fmt.Sprintf("%s %s %s %s %d f%d", m.Action, m.List, m.Entry, m.Kind, m.Distance, m.Frame))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		if !cmp.Equal(before, candidates, cmp.AllowUnexported(hashmatch.Match{})) {
			t.Fatal("the candidates were changed")
		}
	}
}

// TestEntriesByKey proves that two entries whose Entry text was left out are not taken for one.
func TestEntriesByKey(t *testing.T) {
	a, b := near("l", "", 1), near("l", "", 1)
	a.Key.ID, b.Key.ID = "a", "b"
	d := mustNew(t, Config{}).Decide(hashmatch.Findings{Surface: declared(t, "s"), Matches: []hashmatch.Match{a, b, a}})
	if len(d.Matches) != 2 {
		t.Errorf("%d matches", len(d.Matches))
	}
}

// flood returns n candidates: a list that holds one picture very often, seen in many frames.
func flood(n int) []hashmatch.Match {
	candidates := make([]hashmatch.Match, n)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range candidates {
		candidates[i] = near("list", fmt.Sprintf("source/member/%08d", random.IntN(n/2)), random.IntN(32))
		candidates[i].Frame = random.IntN(100)
		candidates[i].Labels = []string{"category_a", "x"}
	}
	return candidates
}

// TestFlood holds Decide to well under a quadratic cost: 100,000 candidates took 0.6 s, and 2 s under the race
// detector, where comparing each with each would take minutes.
func TestFlood(t *testing.T) {
	p := mustNew(t, Config{Lists: map[string]List{"list": {Labels: map[string]Label{"category_a": {Near: new(block)}}}}})
	candidates := flood(100_000)
	started := time.Now()
	d := p.Decide(hashmatch.Findings{Surface: declared(t, "s"), Matches: candidates})
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if d.Action != block || len(d.Matches) < 40_000 || len(d.Matches) > 50_000 {
		t.Errorf("%s with %d matches", d.Action, len(d.Matches))
	}
}

func BenchmarkDecide(b *testing.B) {
	p := mustNew(b, Config{Lists: map[string]List{"list": {Labels: map[string]Label{"category_a": {Near: new(block)}}}}})
	for _, n := range []int{0, 10, 100_000} {
		f := hashmatch.Findings{Surface: declared(b, "s"), Matches: flood(max(n, 2))[:n]}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(f)
			}
		})
	}
}

func BenchmarkReach(b *testing.B) {
	p := mustNew(b, Config{Lists: map[string]List{"list": {}}})
	s := declared(b, "s")
	b.ReportAllocs()
	for b.Loop() {
		p.Reach(s, "list", hashmatch.PDQ, 80)
	}
}

// The matches of a list in shadow mode are recorded with what they would lead to, and not acted on.
func TestShadow(t *testing.T) {
	p := mustNew(t, Config{Lists: map[string]List{"trial": {Shadow: true, Near: new(block)}, "served": {}}})
	near := func(list string) hashmatch.Match {
		return hashmatch.Match{List: list, Entry: "e", Kind: hashmatch.PDQ, Distance: 3}
	}
	exact := hashmatch.Match{List: "trial", Entry: "x", Kind: hashmatch.MD5}
	for _, tc := range []struct {
		name          string
		matches       []hashmatch.Match
		failures      []hashmatch.Failure
		action, would hashmatch.Action
	}{
		{name: "nothing", action: allow, would: allow},
		{name: "near in shadow", matches: []hashmatch.Match{near("trial")}, action: allow, would: block},
		{name: "exact in shadow", matches: []hashmatch.Match{exact}, action: allow, would: block},
		{name: "served", matches: []hashmatch.Match{near("served")}, action: hold, would: hold},
		{name: "both", matches: []hashmatch.Match{near("trial"), near("served")}, action: hold, would: block},
		{name: "a failure is no list's", matches: []hashmatch.Match{near("trial")}, failures: []hashmatch.Failure{{Code: hashmatch.Corrupt}}, action: hold, would: block},
	} {
		d := p.Decide(hashmatch.Findings{Surface: declared(t, "anything"), Matches: tc.matches, Failures: tc.failures})
		if d.Action != tc.action || d.Would != tc.would || len(d.Matches) != len(tc.matches) {
			t.Errorf("%s: %v, would %v, %d matches; want %v, %v, %d", tc.name, d.Action, d.Would, len(d.Matches), tc.action, tc.would, len(tc.matches))
		}
		for _, m := range d.Matches {
			if m.Shadow != (m.List == "trial") || m.Action == allow {
				t.Errorf("%s: %+v", tc.name, m)
			}
		}
	}
	if _, err := New(Config{Lists: map[string]List{"l": {Role: AllowList, Shadow: true}}}); err == nil {
		t.Error("an allow-list in shadow mode was taken")
	}
	plain := mustNew(t, Config{Lists: map[string]List{"trial": {Near: new(block)}, "served": {}}})
	if plain.Revision() == p.Revision() {
		t.Error("shadow mode does not change the revision")
	}
}
