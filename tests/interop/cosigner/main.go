// Opens a checkpoint with Go's stock sumdb/note, its cosignatures checked by a verifier written from the text of
// c2sp.org/tlog-cosignature alone: nothing here comes from the project under test.
//
//	cosigner -log VKEY -cosigner VKEY [-cosigner VKEY] FILE
//
// It prints each verified line with its time, and fails unless the log and every cosigner signed.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The signature type of timestamped Ed25519 cosignatures.
const algCosignatureV1 = 0x04

// A cosigner's key as a note.Verifier. The signature in the note is a big-endian 64-bit time, then Ed25519 over a header line,
// a time line, and the note's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	signed := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", t)), msg...)
	return ed25519.Verify(c.key, signed, sig[8:])
}

// parse reads `<name>+<hash, 8 hex digits>+<base64 of type and key>` and holds the hash against the key.
func parse(vkey string) (*cosigner, error) {
	name, rest, ok := strings.Cut(vkey, "+")
	hash, key64, ok2 := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if !ok || !ok2 || err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignatureV1 {
		return nil, errors.New("not the vkey of a cosigner")
	}
	id := sha256.Sum256(bytes.Join([][]byte{[]byte(name), {'\n'}, key}, nil))
	if hash != fmt.Sprintf("%x", id[:4]) {
		return nil, errors.New("the vkey's hash is not its key's")
	}
	return &cosigner{name, binary.BigEndian.Uint32(id[:4]), ed25519.PublicKey(key[1:])}, nil
}

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	log := flag.String("log", "", "the log's `vkey`")
	var cosigners list
	flag.Var(&cosigners, "cosigner", "a cosigner's `vkey`; again for each")
	flag.Parse()
	if err := run(*log, cosigners, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(log string, cosigners list, file string) error {
	verifier, err := note.NewVerifier(log)
	if err != nil {
		return err
	}
	verifiers := []note.Verifier{verifier}
	for _, vkey := range cosigners {
		cosigner, err := parse(vkey)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, cosigner)
	}
	bytes, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	opened, err := note.Open(bytes, note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	for _, sig := range opened.Sigs {
		raw, err := base64.StdEncoding.DecodeString(sig.Base64)
		if err != nil {
			return err
		}
		if len(raw) == 4+8+ed25519.SignatureSize {
			fmt.Printf("%s at %d\n", sig.Name, binary.BigEndian.Uint64(raw[4:]))
		} else {
			fmt.Println(sig.Name)
		}
	}
	if len(opened.Sigs) != len(verifiers) {
		return fmt.Errorf("%d of %d signed", len(opened.Sigs), len(verifiers))
	}
	return nil
}
