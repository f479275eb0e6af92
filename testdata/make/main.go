// Command make writes the project's test data: synthetic uploads, pictures in every format, damaged files, the lists
// for them and the values that the tests expect. Nothing in it comes from a camera or from elsewhere, and the same
// program writes the same bytes every time.
//
//	go run -tags nodynamic,heic ./testdata/make   # from the top of the project
//
// It removes no file: what it no longer writes, its test reports.
//
// Tests that measure on photos need an encoder of WebP, which Go has not: -webp QUALITY -dir OUT PICTURE... writes
// OUT/PICTURE.webp of each.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("make: ")
	dir := flag.String("dir", "testdata", "folder to write into")
	webp := flag.Int("webp", 0, "make nothing of the above, but lossy WebP files of this quality, 1 to 100, of the pictures named")
	flag.Parse()
	if (flag.NArg() > 0) != (*webp > 0) {
		log.Fatal("-webp needs pictures, and nothing else does")
	}
	if systemLibraries() {
		log.Fatal("built without -tags nodynamic, and libraries of this system took the place of the codecs: go run -tags nodynamic ./testdata/make")
	}
	if *webp > 0 {
		if err := reencode(*dir, *webp, flag.Args()); err != nil {
			log.Fatal(err)
		}
		return
	}
	if !decodesHEIC() {
		log.Fatal("built without -tags nodynamic,heic, and golden/hashes.tsv has what HEIC files decode to: go run -tags nodynamic,heic ./testdata/make")
	}
	heic := encodeHEIC
	if err := heifEnc(); err != nil {
		log.Printf("HEIC files are left as they are: %v (Debian: apt-get install libheif-examples)", err)
		heic = func(name string, _ heicPicture) ([]byte, error) {
			return os.ReadFile(filepath.Join(*dir, filepath.FromSlash(name)))
		}
	}
	made, err := makeAll(heic)
	if err != nil {
		log.Fatal(err)
	}
	changed, total := 0, 0
	for _, f := range made {
		path := filepath.Join(*dir, filepath.FromSlash(f.name))
		total += len(f.content)
		if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, f.content) {
			continue
		}
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, f.content, 0o644))
		changed++
		fmt.Println(path)
	}
	fmt.Printf("%d files, %d bytes, %d changed\n", len(made), total, changed)
}

// file is one file to write: its name below testdata, with slashes.
type file struct {
	name    string
	content []byte
}

// makeAll returns every file. heic encodes a picture as HEIC, or returns the file of that name as it was encoded
// before.
func makeAll(heic func(name string, p heicPicture) ([]byte, error)) (files []file, err error) {
	formats, err := formatFiles(heic)
	if err != nil {
		return nil, err
	}
	lists, err := listFiles()
	if err != nil {
		return nil, err
	}
	uploads := uploadFiles()
	golden, err := goldenFiles(append(append([]file{}, uploads...), formats...))
	if err != nil {
		return nil, err
	}
	for _, group := range [][]file{uploads, formats, damagedFiles(formats), lists, golden} {
		files = append(files, group...)
	}
	return files, nil
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// must ends the program: no error that it is given can happen unless the program itself is wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
