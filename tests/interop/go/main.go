// Command main reads a dgns log with Go's stock transparency-log packages and nothing of ours.
//
//	main -log URL-OR-DIRECTORY -vkey VKEY [CHECKPOINT-FILE ...]
//
// It opens the log's checkpoint with sumdb/note, authenticates every tile with sumdb/tlog, holds every entry of every bundle
// against its leaf, proves entries one by one, and proves each given checkpoint consistent with each later one. Exit code 0 if
// all holds, 1 if anything does not. Built without network from Debian's golang-golang-x-mod-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o main main.go
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height      = 8
	width       = 1 << height
	entryMax    = 4097
	proofsMax   = 4096 // entries proved one by one; the others by their tile alone
	responseMax = width * (2 + entryMax)
)

func main() {
	base := flag.String("log", "", "the log's read prefix: an http URL, or a directory")
	vkey := flag.String("vkey", "", "the log's verifier key")
	flag.Parse()
	if err := run(*base, *vkey, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "FAULT:", err)
		os.Exit(1)
	}
}

func run(base, vkey string, earlier []string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	files := &files{base: base, tiles: map[string][]byte{}}
	newest, err := files.get("checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(newest, verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	hashes := tlog.TileHashReader(tree, files)

	entries, err := checkEntries(files, tree, hashes)
	if err != nil {
		return err
	}
	proofs, err := checkProofs(tree, hashes)
	if err != nil {
		return err
	}
	pairs, err := checkConsistency(earlier, verifier, tree, hashes)
	if err != nil {
		return err
	}
	fmt.Printf("size %d, entries %d, inclusion proofs %d, tiles %d, checkpoints %d, consistency proofs %d\n",
		tree.N, entries, proofs, len(files.tiles), len(earlier)+1, pairs)
	return nil
}

// open verifies a signed note and returns the tree of the checkpoint in it.
func open(msg []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("malformed size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkEntries hashes every entry of every bundle, compares it with the authenticated tile, and adds up the root.
//
// The root is computed here because TileHashReader (golang.org/x/mod 0.7, as Debian has it) leaves full tiles unauthenticated
// when several subtrees of the root lie in one tile.
func checkEntries(files *files, tree tlog.Tree, hashes tlog.HashReader) (int64, error) {
	var count int64
	var peaks []tlog.Hash
	for first := int64(0); first < tree.N; first += width {
		tile := tlog.Tile{H: height, L: 0, N: first / width, W: int(min(width, tree.N-first))}
		leaves, err := tlog.ReadTileData(tile, hashes)
		if err != nil {
			return count, fmt.Errorf("%s: %w", path(tile), err)
		}
		tile.L = -1
		bundle, err := files.get(path(tile))
		if err != nil {
			return count, err
		}
		for ; len(leaves) > 0; leaves = leaves[tlog.HashSize:] {
			var entry []byte
			if entry, bundle, err = next(bundle); err != nil {
				return count, fmt.Errorf("%s: entry %d: %w", path(tile), count, err)
			}
			hash := tlog.RecordHash(entry)
			if string(hash[:]) != string(leaves[:tlog.HashSize]) {
				return count, fmt.Errorf("%s: entry %d is not the one in the tree", path(tile), count)
			}
			for full := count; full&1 == 1; full >>= 1 {
				hash = tlog.NodeHash(peaks[len(peaks)-1], hash)
				peaks = peaks[:len(peaks)-1]
			}
			peaks = append(peaks, hash)
			count++
		}
		if len(bundle) > 0 {
			return count, fmt.Errorf("%s: %d bytes too many", path(tile), len(bundle))
		}
	}
	root := peaks[len(peaks)-1]
	for i := len(peaks) - 2; i >= 0; i-- {
		root = tlog.NodeHash(peaks[i], root)
	}
	if root != tree.Hash {
		return count, errors.New("the entries do not give the root")
	}
	return count, nil
}

// next splits a bundle behind its first entry.
func next(bundle []byte) (entry, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	length := int(binary.BigEndian.Uint16(bundle))
	if length == 0 || length > entryMax || len(bundle) < 2+length {
		return nil, nil, io.ErrUnexpectedEOF
	}
	return bundle[2 : 2+length], bundle[2+length:], nil
}

// checkProofs proves entries, evenly spread, with paths built from tiles.
func checkProofs(tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	count := 0
	step := (tree.N + proofsMax - 1) / proofsMax
	for index := int64(0); index < tree.N; index += step {
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return count, err
		}
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			return count, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0]); err != nil {
			return count, fmt.Errorf("entry %d: %w", index, err)
		}
		count++
	}
	return count, nil
}

// checkConsistency proves each checkpoint a prefix of each later one, the newest included.
func checkConsistency(earlier []string, verifier note.Verifier, newest tlog.Tree, hashes tlog.HashReader) (int, error) {
	trees := []tlog.Tree{newest}
	for _, file := range earlier {
		msg, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		tree, err := open(msg, verifier)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		if tree.N > newest.N {
			return 0, fmt.Errorf("%s: larger than the newest checkpoint", filepath.Base(file))
		}
		trees = append(trees, tree)
	}
	sort.SliceStable(trees, func(i, j int) bool { return trees[i].N < trees[j].N })
	count := 0
	for i, older := range trees {
		for _, newer := range trees[i+1:] {
			proof, err := tlog.ProveTree(newer.N, older.N, hashes)
			if err != nil {
				return count, err
			}
			if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
				return count, fmt.Errorf("%d is not a prefix of %d: %w", older.N, newer.N, err)
			}
			count++
		}
	}
	return count, nil
}

// files reads the log's resources; as a tlog.TileReader it keeps the tiles that tlog has authenticated.
type files struct {
	base  string
	tiles map[string][]byte
}

func (f *files) Height() int { return height }

func (f *files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if kept, ok := f.tiles[path(tile)]; ok {
			data[i] = kept
		} else if data[i], err = f.get(path(tile)); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (f *files) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, tile := range tiles {
		f.tiles[path(tile)] = data[i]
	}
}

// get reads one resource below the read prefix.
func (f *files) get(resource string) ([]byte, error) {
	if !strings.HasPrefix(f.base, "http://") && !strings.HasPrefix(f.base, "https://") {
		return os.ReadFile(filepath.Join(f.base, filepath.FromSlash(resource)))
	}
	response, err := http.Get(strings.TrimSuffix(f.base, "/") + "/" + resource)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resource, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, responseMax+1))
}

// path is tlog's own less the height, which C2SP's tlog-tiles fixes at 8, and with its name for bundles.
func path(tile tlog.Tile) string {
	short := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(short, "tile/data/", "tile/entries/", 1)
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
