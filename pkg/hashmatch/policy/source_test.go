package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// of returns a match as one of an entry of a source with votes.
func of(m hashmatch.Match, source string, positive, negative uint32) hashmatch.Match {
	m.Key = hashmatch.EntryKey{Source: source, Member: "7", ID: m.Entry}
	m.Votes = hashmatch.Votes{Positive: positive, Negative: negative}
	return m
}

func TestSources(t *testing.T) {
	p := mustNew(t, Config{
		Defaults: List{Sources: map[string]Source{"few": {MinVotes: 3}, "distrusted": {Trust: None}}},
		Lists: map[string]List{"l": {
			Labels: map[string]Label{"A1": {Exact: new(block), Near: new(block), Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 40}}},
			Sources: map[string]Source{
				"careful": {Exact: new(hold), Near: new(allow), Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 10}},
				"wide":    {Near: new(block), Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 50}},
			},
		}},
	})
	labelled := func(m hashmatch.Match) hashmatch.Match { m.Labels = []string{"A1"}; return m }
	disputed := func(m hashmatch.Match) hashmatch.Match { m.Status = hashmatch.Disputed; return m }
	s := declared(t, "s")
	for _, c := range []struct {
		what  string
		match hashmatch.Match
		found bool
		want  hashmatch.Action
	}{
		{"no source", exact("l", "e"), true, block},
		{"another source", of(exact("l", "e"), "other", 0, 0), true, block},
		{"names are exact", of(exact("l", "e"), "Careful", 0, 0), true, block},
		{"its action", of(exact("l", "e"), "careful", 9, 0), true, hold},
		{"its near action", of(near("l", "e", 10), "careful", 9, 0), true, allow},
		{"its threshold", of(near("l", "e", 11), "careful", 9, 0), false, allow},
		{"a label does not widen it", labelled(of(near("l", "e", 11), "careful", 9, 0)), false, allow},
		{"a label does not make it stricter", labelled(of(exact("l", "e"), "careful", 9, 0)), true, hold},
		{"a label holds where it says nothing", labelled(of(near("l", "e", 40), "few", 9, 0)), true, block},
		{"wider than the list", of(near("l", "e", 50), "wide", 9, 0), true, block},
		{"the label is narrower", labelled(of(near("l", "e", 41), "wide", 9, 0)), false, allow},
		{"too few votes", of(exact("l", "e"), "few", 2, 0), true, hold},
		{"no votes", of(exact("l", "e"), "few", 0, 0), true, hold},
		{"enough votes", of(exact("l", "e"), "few", 3, 0), true, block},
		{"of another list", of(exact("other", "e"), "few", 2, 0), true, hold},
		{"a vote against it", of(exact("l", "e"), "few", 9, 1), true, hold},
		{"a vote against it, of no source", of(exact("l", "e"), "", 0, 1), true, hold},
		{"disputed", disputed(of(near("l", "e", 1), "wide", 9, 0)), true, hold},
		{"distrusted", of(exact("l", "e"), "distrusted", 9, 0), true, allow},
	} {
		d := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{c.match}})
		if d.Action != c.want || (len(d.Matches) == 1) != c.found || c.found && d.Matches[0].Action != c.want {
			t.Errorf("%s: %+v", c.what, d)
		}
	}
	if !p.Ignored("l", "distrusted") || p.Ignored("l", "few") || !p.IgnoresAny("l") {
		t.Error("who is ignored")
	}
	if got := p.Reach(s, "l", hashmatch.PDQ, 100); got != 50 {
		t.Errorf("reach %d", got)
	}
	both := p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{of(exact("l", "e"), "distrusted", 9, 0), of(exact("l", "f"), "few", 4, 0)}})
	if both.Action != block {
		t.Errorf("what is not trusted stands in the way of what is: %+v", both)
	}
}

// Whatever is stated: what is against an entry never makes an answer stricter, no distrusted or disputed one blocks, and
// what Decide takes is within Reach.
func TestSourcesProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	action := func() *hashmatch.Action {
		if random.IntN(3) == 0 {
			return nil
		}
		return new(actionsByStrictness[random.IntN(3)])
	}
	thresholds := func() map[hashmatch.Kind]int {
		if random.IntN(2) == 0 {
			return nil
		}
		return map[hashmatch.Kind]int{hashmatch.PDQ: random.IntN(65)}
	}
	s := declared(t, "s")
	found := 0
	for range 3000 {
		list := List{Exact: action(), Near: action(), Thresholds: thresholds(), Labels: map[string]Label{}, Sources: map[string]Source{}}
		for _, name := range []string{"a", "b"} {
			list.Labels[name] = Label{Exact: action(), Near: action(), Thresholds: thresholds()}
			list.Sources[name] = Source{Trust: []Trust{"", Full, None}[random.IntN(3)], MinVotes: random.IntN(4), Exact: action(), Near: action(), Thresholds: thresholds()}
		}
		p := mustNew(t, Config{Lists: map[string]List{"l": list}})
		again := mustNew(t, p.Effective())
		if again.Revision() != p.Revision() {
			t.Fatal("another revision")
		}
		m := near("l", "e", random.IntN(65))
		if random.IntN(2) == 0 {
			m = exact("l", "e")
		}
		source := []string{"a", "b", "c", ""}[random.IntN(4)]
		m = of(m, source, uint32(random.IntN(5)), 0)
		m.Labels = []string{"a", "b"}[:random.IntN(3)]
		decide := func(p *Policy, m hashmatch.Match) hashmatch.Decision {
			return p.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}})
		}
		d := decide(p, m)
		if fmt.Sprint(decide(again, m)) != fmt.Sprint(d) {
			t.Fatal("the effective policy decides otherwise")
		}
		if len(d.Matches) == 0 {
			continue
		}
		found++
		if m.Distance > p.Reach(s, "l", m.Kind, 100) {
			t.Fatalf("%d is beyond the reach", m.Distance)
		}
		against := m
		against.Votes.Negative = 1
		if got := decide(p, against); got.Action == block || got.Action.Stricter(d.Action) != d.Action {
			t.Fatalf("a vote against it: %v, without %v", got.Action, d.Action)
		}
		fewer := m
		fewer.Votes.Positive = 0
		if got := decide(p, fewer); got.Action.Stricter(d.Action) != d.Action {
			t.Fatalf("fewer votes: %v after %v", got.Action, d.Action)
		}
		rules, stated := list.Sources[source]
		if stated && rules.Trust == None && d.Action != allow || stated && m.Votes.Positive < uint32(rules.MinVotes) && d.Action == block {
			t.Fatalf("%+v: %v", rules, d.Action)
		}
	}
	if found < 500 {
		t.Fatalf("only %d matched", found)
	}
}

func TestSourcesAreChecked(t *testing.T) {
	silent := mustNew(t, Config{})
	if p := mustNew(t, Config{Defaults: List{Sources: map[string]Source{}}}); p.Revision() != silent.Revision() {
		t.Error("no source makes another revision")
	}
	seen := map[string]bool{silent.Revision(): true}
	for i, source := range []Source{{}, {Trust: None}, {MinVotes: 1}, {MinVotes: 2}, {Exact: new(hold)}, {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 31}}} {
		revision := mustNew(t, Config{Defaults: List{Sources: map[string]Source{"s": source}}}).Revision()
		if seen[revision] {
			t.Errorf("%d has the revision of another policy", i)
		}
		seen[revision] = true
	}
	for want, list := range map[string]List{
		`sources: a source without a name`:              {Sources: map[string]Source{"": {}}},
		`sources.s.trust: "some": want full or none`:    {Sources: map[string]Source{"s": {Trust: "some"}}},
		`sources.s.min_votes: -1: want`:                 {Sources: map[string]Source{"s": {MinVotes: -1}}},
		`sources.s.thresholds.pdq: 65: want 0 to 64`:    {Sources: map[string]Source{"s": {Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 65}}}},
		`sources.s.actions.near: want allow, hold`:      {Sources: map[string]Source{"s": {Near: new(hashmatch.Action(9))}}},
		`sources: an allow-list has no rules for sourc`: {Role: AllowList, Sources: map[string]Source{"s": {}}},
	} {
		if _, err := New(Config{Lists: map[string]List{"l": list}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
