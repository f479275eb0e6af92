package hashmatch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "example.org/hashmatch/"

// row says what one package may import besides the standard library and, unless it is the root itself, the root.
type row struct {
	ours    []string // other packages of ours, below pkg/hashmatch
	modules []string // modules of others, with everything in them
}

// arrows holds the direction of every import: a package that has no row fails the test, and so does an import that
// the package's row does not name. Before you add to it, ask whether the word or interface that you need belongs into
// the root, or the call into a package further up.
var arrows = map[string]row{
	".": {}, // the words and the way: the standard library only

	// The stages know nothing of each other.
	"digest":         {},
	"media":          {ours: []string{"media/jpegluma"}, modules: []string{"golang.org/x/image", "golang.org/x/sync"}},
	"media/jpegluma": {},
	"pdq":            {modules: []string{"golang.org/x/sys"}},
	"imagehash":      {modules: []string{"github.com/corona10/goimagehash"}},
	"view":           {ours: []string{"pdq", "imagehash"}},
	"index":          {modules: []string{"golang.org/x/sync", "golang.org/x/sys"}},
	"policy":         {},
	"outbox":         {ours: []string{"exchange", "hashlist"}},

	// Decoders that need a process of their own.
	"media/isolated": {
		ours:    []string{"media"},
		modules: []string{"github.com/gen2brain", "github.com/tetratelabs/wazero", "golang.org/x/image"},
	},
	"worker": {ours: []string{"media", "media/isolated"}, modules: []string{"golang.org/x/sys"}},

	// Lists.
	"hashlist":        {modules: []string{"golang.org/x/sync", "golang.org/x/sys"}},
	"hashlist/format": {ours: []string{"hashlist"}},
	"hashlist/seal":   {ours: []string{"hashlist"}, modules: []string{"filippo.io/age"}},
	"exchange":        {ours: []string{"hashlist", "hashlist/format"}},
	"exchange/fake":   {ours: []string{"hashlist"}},
	"lookup":          {ours: []string{"hashlist", "index"}},
	"promotion":       {ours: []string{"hashlist", "lookup", "index"}},

	// One upload from arrival to answer, and what follows from it.
	"gate":       {modules: []string{"golang.org/x/sync"}},
	"audit":      {ours: []string{"gate"}, modules: []string{"golang.org/x/sys"}},
	"quarantine": {ours: []string{"gate"}, modules: []string{"filippo.io/age", "golang.org/x/sys"}},
	"review":     {ours: []string{"gate"}, modules: []string{"modernc.org/sqlite"}},
	"readiness":  {ours: []string{"hashlist", "index", "lookup"}},

	// The ways in.
	"hook":            {ours: []string{"gate", "lookup", "hashlist"}, modules: []string{"golang.org/x/time"}},
	"hook/clamd":      {ours: []string{"gate", "hook"}, modules: []string{"golang.org/x/sys"}},
	"hook/clamavrest": {ours: []string{"gate", "hook"}},
	"hook/icap":       {ours: []string{"gate", "hook"}},
	"hook/pictrs":     {ours: []string{"gate", "hook"}},
	"hook/tusd":       {ours: []string{"gate", "hook"}, modules: []string{"golang.org/x/sys"}},
	"hook/hma":        {ours: []string{"gate", "hook", "lookup", "hashlist"}},
	"hook/hooktest":   {ours: []string{"config", "gate", "hook"}}, // for tests only

	// What puts it to use.
	"metrics": {ours: []string{"gate", "hook", "lookup", "hashlist", "policy", "readiness", "worker"}, modules: []string{"github.com/prometheus"}},
	"service": {
		ours: []string{"config", "gate", "audit", "quarantine", "review", "readiness", "policy", "lookup", "exchange", "outbox", "hashlist", "worker", "metrics",
			"hook", "hook/clamd", "hook/clamavrest", "hook/icap", "hook/pictrs", "hook/tusd", "hook/hma"},
		modules: []string{"go.opentelemetry.io/otel", "golang.org/x/sync"},
	},
	"edit":  {modules: []string{"golang.org/x/image"}},
	"eval":  {ours: []string{"edit", "pdq", "imagehash", "view", "index", "hashlist", "lookup", "media"}},
	"batch": {modules: []string{"golang.org/x/sync", "golang.org/x/sys", "golang.org/x/term"}},
	"config": {
		ours: []string{"digest", "media", "media/isolated", "pdq", "imagehash", "view", "index", "policy", "worker",
			"exchange", "outbox", "hashlist", "hashlist/format", "hashlist/seal", "lookup", "promotion"},
		modules: []string{"github.com/goccy/go-yaml"},
	},
}

// command is the row of every package below cmd: any package of ours but an internal one, any module but those below.
var command = row{modules: []string{"filippo.io/age", "github.com/spf13", "github.com/vbauerster/mpb", "golang.org/x/sys", "golang.org/x/term"}}

// owners names the one package that may import a module for which we keep a single door.
var owners = map[string]string{
	"github.com/corona10/goimagehash": "imagehash",
	"github.com/gen2brain":            "media/isolated",
	"github.com/redis":                "fleet",
	"github.com/prometheus":           "metrics",
}

type listing struct {
	ImportPath string
	Imports    []string
}

func TestArrows(t *testing.T) {
	if n := sourceFiles(t); n < 20 {
		t.Fatalf("only %d source files found", n)
	}
	seen := make(map[string]bool)
	for _, build := range builds() {
		packages := list(t, build)
		if len(packages) == 0 {
			t.Fatalf("%v: go list found no package", build)
		}
		for _, p := range packages {
			seen[p.ImportPath] = true
			for _, imported := range p.Imports {
				if why := forbidden(p.ImportPath, imported); why != "" {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
				}
			}
		}
	}
	if len(seen) < 5 || !seen[module+"pkg/hashmatch"] {
		t.Fatalf("only %d packages seen: %v", len(seen), seen)
	}
	for path := range seen {
		if _, known := rowOf(path); !known {
			t.Errorf("%s has no row in arrows: state what it may import", path)
		}
	}
}

// TestArrowsRefuse shows that the table does refuse.
func TestArrowsRefuse(t *testing.T) {
	const pkg = module + "pkg/hashmatch"
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{pkg, "strings", true},
		{pkg, pkg + "/pdq", false},
		{pkg, "golang.org/x/sync/errgroup", false},
		{pkg + "/pdq", pkg, true},
		{pkg + "/pdq", pkg + "/media", false},
		{pkg + "/pdq", "C", false},
		{pkg + "/view", pkg + "/pdq", true},
		{pkg + "/media", pkg + "/media/isolated", false},
		{pkg + "/media", "github.com/gen2brain/avif", false},
		{pkg + "/media/isolated", "github.com/gen2brain/avif", true},
		{pkg + "/worker", "github.com/corona10/goimagehash", false},
		{pkg + "/config", module + "cmd/hashmatch/internal/ui", false},
		{pkg + "/unheardof", pkg, false},
		{module + "cmd/hashmatch", pkg + "/batch", true},
		{module + "cmd/hashmatch", module + "cmd/hashmatch/internal/ui", true},
		{module + "cmd/hashmatch", pkg + "/internal/secret", false},
		{module + "cmd/hashmatch", "github.com/gen2brain/avif", false},
		{module + "cmd/hashmatch", module + "testdata/make", false},
		{module + "cmd/hashmatch", "github.com/redis/go-redis/v9", false},
	} {
		if why := forbidden(c.from, c.to); (why == "") != c.allowed {
			t.Errorf("%s -> %s: %q, want allowed: %v", c.from, c.to, why, c.allowed)
		}
	}
}

// forbidden returns why from must not import to; "" if it may.
func forbidden(from, to string) string {
	r, known := rowOf(from)
	first, _, _ := strings.Cut(to, "/")
	switch {
	case !known:
		return "the importing package has no row in arrows"
	case to == "C":
		return "no cgo"
	case strings.HasPrefix(to, module):
		return forbiddenOurs(from, to, r)
	case !strings.Contains(first, "."): // the standard library has no dot in the first element
		return ""
	}
	for prefix, owner := range owners {
		if within(to, prefix) && from != module+"pkg/hashmatch/"+owner {
			return "only " + owner + " may"
		}
	}
	if !slices.ContainsFunc(r.modules, func(m string) bool { return within(to, m) }) {
		return "not among the modules of its row"
	}
	return ""
}

func forbiddenOurs(from, to string, r row) string {
	name, inPkg := strings.CutPrefix(to, module+"pkg/hashmatch")
	name = strings.TrimPrefix(name, "/")
	fromCmd := within(from, module+"cmd")
	switch {
	case within(to, module+"cmd"):
		if !fromCmd {
			return "nothing imports a command"
		}
	case !inPkg:
		return "test data and tools are not imported"
	case fromCmd:
		if slices.Contains(strings.Split(name, "/"), "internal") {
			return "the command lives off the public packages"
		}
	case name != "" && !slices.Contains(r.ours, name):
		return "not among the packages of its row"
	}
	return ""
}

func rowOf(path string) (row, bool) {
	if within(path, module+"cmd") {
		return command, true
	}
	name, ok := strings.CutPrefix(path, module+"pkg/hashmatch")
	if !ok {
		return row{}, false
	}
	if name = strings.TrimPrefix(name, "/"); name == "" {
		name = "."
	}
	r, known := arrows[name]
	return r, known
}

func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// builds returns the environments under which the imports are listed: a file that is left out of one build is in
// another.
func builds() [][]string {
	return [][]string{
		{"GOFLAGS=-tags=nodynamic"},
		{"GOFLAGS=-tags=nodynamic,heic"},
		{"GOFLAGS="},
		{"GOFLAGS=-tags=nodynamic", "GOOS=darwin", "GOARCH=arm64"},
		{"GOFLAGS=-tags=nodynamic", "GOOS=windows", "GOARCH=amd64"},
	}
}

// sourceFiles looks at every source file and returns their number. go test takes an old result for this test's unless
// a file changed that the test itself has looked at; those that go list reads do not count.
func sourceFiles(t *testing.T) int {
	t.Helper()
	n := 0
	for _, dir := range []string{".", filepath.Join("..", "..", "cmd")} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				n++
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func list(t *testing.T, environment []string) []listing {
	t.Helper()
	// -e: a package that does not build is reported by the build; here its imports are wanted.
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"pkg/...", module+"cmd/...")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environment...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, failure.String())
	}
	var packages []listing
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listing
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
