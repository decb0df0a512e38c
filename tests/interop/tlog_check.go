// SPDX-License-Identifier: ISC

// tlog_check judges an audit log with golang.org/x/mod/sumdb, which knows
// nothing of it. It reads what tlog_make prints and writes TAP.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var (
	tests  int
	failed bool
)

func ok(good bool, format string, args ...interface{}) {
	tests++
	word := "ok"
	if !good {
		word = "not ok"
		failed = true
	}
	fmt.Printf("%s %d - %s\n", word, tests, fmt.Sprintf(format, args...))
}

func die(err error) {
	if err != nil {
		fmt.Println("Bail out!", err)
		os.Exit(1)
	}
}

func hash(s string) tlog.Hash {
	h, err := tlog.ParseHash(s)
	die(err)
	return h
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	die(err)
	return n
}

func hashes(words []string) []tlog.Hash {
	var out []tlog.Hash
	for _, w := range words {
		out = append(out, hash(w))
	}
	return out
}

// tiles reads the C2SP layout: x/mod's paths with the height left out.
type tiles struct {
	dir   string
	spoil string
}

func (t *tiles) Height() int                         { return 8 }
func (t *tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t *tiles) ReadTiles(l []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range l {
		name := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(t.dir, name))
		if err != nil {
			return nil, err
		}
		if name == t.spoil {
			data[len(data)/2] ^= 1
		}
		out = append(out, data)
	}
	return out, nil
}

func checkpoint(dir, vkey string) tlog.Tree {
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	die(err)
	verifier, err := note.NewVerifier(vkey)
	ok(err == nil, "the vkey is one for sumdb/note")
	die(err)
	known := note.VerifierList(verifier)
	n, err := note.Open(text, known)
	ok(err == nil, "the checkpoint opens as a signed note")
	die(err)
	// The last base64 digit has bits that sumdb/note ignores (and we do
	// not: our own test flips them too).
	digit := bytes.LastIndexByte(text, '=') - 1
	refused := 1
	for i := range text {
		if i == digit {
			continue
		}
		bad := append([]byte(nil), text...)
		bad[i] ^= 1
		if _, err := note.Open(bad, known); err != nil {
			refused++
		}
	}
	ok(refused == len(text), "all changed checkpoints are refused")
	f := strings.Split(n.Text, "\n")
	ok(len(f) == 4 && f[0] == verifier.Name(), "the origin is the key's name")
	return tlog.Tree{N: number(f[1]), Hash: hash(f[2])}
}

func records(dir string, tree tlog.Tree) [][]byte {
	data, err := os.ReadFile(filepath.Join(dir, "log.ndjson"))
	die(err)
	lines := bytes.Split(data, []byte("\n"))
	lines = lines[:len(lines)-1]
	ok(int64(len(lines)) == tree.N, "the log has as many lines as signed")
	return lines
}

// checkTiles lets x/mod authenticate the tiles against the root.
func checkTiles(dir string, tree tlog.Tree, lines [][]byte) {
	r := &tiles{dir: dir}
	reader := tlog.TileHashReader(tree, r)
	good := 0
	for lo := 0; lo < len(lines); lo += 4096 {
		var want []int64
		for i := lo; i < len(lines) && i < lo+4096; i++ {
			want = append(want, tlog.StoredHashIndex(0, int64(i)))
		}
		got, err := reader.ReadHashes(want)
		die(err)
		for i := range got {
			if got[i] == tlog.RecordHash(lines[lo+i]) {
				good++
			}
		}
	}
	ok(good == len(lines), "the tiles hold the hash of every line")
	root, err := tlog.TreeHash(tree.N, reader)
	ok(err == nil && root == tree.Hash, "the tiles lead to the signed root")
	for _, name := range []string{"tile/0/000", "tile/0/100", "tile/1/000"} {
		r := &tiles{dir: dir, spoil: name}
		n := int64(100 * 256)
		if name != "tile/0/100" {
			n = 1
		}
		_, err := tlog.TileHashReader(tree, r).ReadHashes(
			[]int64{tlog.StoredHashIndex(0, n)})
		ok(err != nil, "a changed %s is refused", name)
	}
}

func checkBundles(dir string, lines [][]byte) {
	good := 0
	for i := 0; i < len(lines); i += 256 {
		t := tlog.Tile{H: 8, L: 0, N: int64(i / 256), W: 256}
		if len(lines)-i < 256 {
			t.W = len(lines) - i
		}
		name := strings.Replace(t.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(dir, name))
		die(err)
		for j := i; len(data) >= 2; j++ {
			n := int(binary.BigEndian.Uint16(data))
			if len(data) < 2+n || j >= len(lines) {
				break
			}
			if bytes.Equal(data[2:2+n], lines[j]) {
				good++
			}
			data = data[2+n:]
		}
	}
	ok(good == len(lines), "the bundles hold every line")
}

type tally struct{ accepted, proofs, refused, bad int }

func (t *tally) inclusion(f []string) {
	i, n := number(f[1]), number(f[2])
	root, leaf := hash(f[3]), hash(f[4])
	p := hashes(f[5:])
	t.proofs++
	if tlog.CheckRecord(p, n, root, i, leaf) == nil {
		t.accepted++
	}
	for k := range p {
		p[k][7] ^= 4
		t.bad++
		if tlog.CheckRecord(p, n, root, i, leaf) != nil {
			t.refused++
		}
		p[k][7] ^= 4
	}
	leaf[0] ^= 1
	t.bad++
	if tlog.CheckRecord(p, n, root, i, leaf) != nil {
		t.refused++
	}
}

func (t *tally) consistency(f []string) {
	m, n := number(f[1]), number(f[3])
	old, root := hash(f[2]), hash(f[4])
	p := hashes(f[5:])
	t.proofs++
	if tlog.CheckTree(p, n, root, m, old) == nil {
		t.accepted++
	}
	for k := range p {
		p[k][7] ^= 4
		t.bad++
		if tlog.CheckTree(p, n, root, m, old) != nil {
			t.refused++
		}
		p[k][7] ^= 4
	}
	old[0] ^= 1
	t.bad++
	if tlog.CheckTree(p, n, root, m, old) != nil {
		t.refused++
	}
}

func (t *tally) report(what string) {
	ok(t.proofs > 0 && t.accepted == t.proofs, "%d %s proofs are accepted", t.proofs, what)
	ok(t.bad > 0 && t.refused == t.bad, "%d changed %s proofs are refused", t.bad, what)
}

func main() {
	var dir, vkey string
	var incl, cons tally
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		f := strings.Fields(in.Text())
		switch f[0] {
		case "dir":
			dir = f[1]
		case "vkey":
			vkey = f[1]
		case "incl":
			incl.inclusion(f)
		case "cons":
			cons.consistency(f)
		}
	}
	die(in.Err())
	tree := checkpoint(dir, vkey)
	lines := records(dir, tree)
	checkTiles(dir, tree, lines)
	checkBundles(dir, lines)
	incl.report("inclusion")
	cons.report("consistency")
	fmt.Printf("1..%d\n", tests)
	if failed {
		os.Exit(1)
	}
}
