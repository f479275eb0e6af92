package policy

import (
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// What a match in an altered view leads to, by the rules for those.
func TestViews(t *testing.T) {
	match := func(view hashmatch.View, distance, evidence int) hashmatch.Match {
		return hashmatch.Match{List: "l", Entry: "e", Kind: hashmatch.PDQ, Distance: distance, View: view, Evidence: evidence}
	}
	trim := hashmatch.View{Geometry: "trim"}
	for name, tc := range map[string]struct {
		views Views
		match hashmatch.Match
		want  hashmatch.Action
		count int
	}{
		"by default as any":          {Views{}, match(trim, 31, 1), hashmatch.Hold, 1},
		"beyond the list's":          {Views{}, match(trim, 32, 1), hashmatch.Allow, 0},
		"a panel":                    {Views{}, match(hashmatch.View{Panel: "left"}, 31, 1), hashmatch.Hold, 1},
		"within its own":             {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 20}}, match(trim, 20, 1), hashmatch.Hold, 1},
		"beyond its own":             {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 20}}, match(trim, 21, 1), hashmatch.Allow, 0},
		"the picture as it is":       {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 20}}, match(hashmatch.View{}, 21, 1), hashmatch.Hold, 1},
		"doubled is no altered view": {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 20}}, match(hashmatch.View{Geometry: hashmatch.Doubled}, 21, 1), hashmatch.Hold, 1},
		"turned is no altered view":  {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 20}}, match(hashmatch.View{Dihedral: hashmatch.FlipX}, 21, 1), hashmatch.Hold, 1},
		"its own is no wider":        {Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 40}}, match(trim, 32, 1), hashmatch.Allow, 0},
		"not searched":               {Views{Search: new(false)}, match(trim, 0, 1), hashmatch.Allow, 0},
		"too little evidence":        {Views{Evidence: 2}, match(trim, 0, 1), hashmatch.Allow, 1},
		"enough evidence":            {Views{Evidence: 2}, match(trim, 0, 2), hashmatch.Hold, 1},
		"unknown evidence":           {Views{Evidence: 2}, match(trim, 0, 0), hashmatch.Hold, 1},
		"evidence of the picture":    {Views{Evidence: 2}, match(hashmatch.View{}, 0, 1), hashmatch.Hold, 1},
	} {
		p, err := New(Config{Lists: map[string]List{"l": {Views: tc.views}}, Surfaces: map[string]Surface{"s": {NotImage: new(hashmatch.Hold)}}})
		if err != nil {
			t.Fatal(name, err)
		}
		no := false
		s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: "s", Visibility: hashmatch.Public, Encrypted: &no})
		if err != nil {
			t.Fatal(err)
		}
		d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{tc.match}})
		if d.Action != tc.want || len(d.Matches) != tc.count {
			t.Errorf("%s: %s with %d matches, want %s with %d", name, d.Action, len(d.Matches), tc.want, tc.count)
		}
		// What is within the threshold is within reach.
		reach := p.Reach(s, "l", hashmatch.PDQ, 100)
		if tc.match.View.Altered() {
			reach = p.ViewReach(s, "l", hashmatch.PDQ, 100)
		}
		if within := tc.match.Distance <= reach; within != (tc.count > 0) {
			t.Errorf("%s: reach %d, distance %d", name, reach, tc.match.Distance)
		}
	}
}

func TestViewRules(t *testing.T) {
	p, err := New(Config{
		Views:    hashmatch.Standard,
		Defaults: List{Views: Views{Evidence: 3, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 10}}},
		Lists: map[string]List{
			"harmless": {Role: AllowList, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 5}},
			"own":      {Views: Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 12}}},
		},
		Surfaces: map[string]Surface{"s": {NotImage: new(hashmatch.Hold), Views: hashmatch.Thorough}, "other": {NotImage: new(hashmatch.Hold)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	surface := func(name string) hashmatch.Surface {
		no := false
		s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: name, Visibility: hashmatch.Public, Encrypted: &no})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if a, b := p.Profile(surface("s")), p.Profile(surface("other")); a != hashmatch.Thorough || b != hashmatch.Standard {
		t.Error(a, b)
	}
	for list, want := range map[string]int{"harmless": -1, "own": 12, "unnamed": 10} {
		if got := p.ViewReach(surface("s"), list, hashmatch.PDQ, 100); got != want {
			t.Errorf("%s: %d, want %d", list, got, want)
		}
		if got := p.ViewReach(surface("s"), list, hashmatch.PDQ, 10); got != -1 {
			t.Errorf("%s of low quality: %d", list, got)
		}
	}
	again, err := New(p.Effective())
	if err != nil || again.Revision() != p.Revision() {
		t.Errorf("the effective policy is another one: %v", err)
	}
	// What is not understood is not dropped, nor does it stop the decision.
	odd := hashmatch.Match{List: "own", Entry: "e", Kind: 200, Distance: 3, View: hashmatch.View{Panel: "left"}}
	if d := p.Decide(hashmatch.Findings{Surface: surface("s"), Matches: []hashmatch.Match{odd}}); d.Action == hashmatch.Allow || len(d.Matches) != 1 {
		t.Errorf("an unknown kind: %+v", d)
	}
	for name, wrong := range map[string]Config{
		"profile":      {Views: "deep"},
		"evidence":     {Defaults: List{Views: Views{Evidence: 11}}},
		"threshold":    {Defaults: List{Views: Views{Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 65}}}},
		"a digest":     {Defaults: List{Views: Views{Thresholds: map[hashmatch.Kind]int{hashmatch.MD5: 0}}}},
		"allow-list":   {Lists: map[string]List{"l": {Role: AllowList, Views: Views{Search: new(true)}}}},
		"allow-list 2": {Lists: map[string]List{"l": {Role: AllowList, Views: Views{Evidence: 1}}}},
	} {
		if _, err := New(wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
