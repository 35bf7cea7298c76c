// The words on paper and the two keys they make (PROTOCOL 3.2): BIP-39 without a passphrase, SLIP-0010 for Ed25519.

import { Refused } from "./cbor.js";
import { ascii, bigEndian, concat, sha256 } from "./hash.js";
import { kexOf, signerOf } from "./keys.js";
import { WORDS } from "./wordlist.js";

const ROUNDS = 2048;
const HARDENED = 0x80000000;
const COIN = 7696;

/** Returns the words of 16 or 32 bytes of entropy. */
export function wordsOf(entropy) {
  const bits = bitsOf(entropy) + bitsOf(sha256(entropy)).slice(0, entropy.length / 4);
  return bits.match(/.{11}/g).map((eleven) => WORDS[parseInt(eleven, 2)]).join(" ");
}

/** Returns 12 new words. */
export const newWords = () => wordsOf(crypto.getRandomValues(new Uint8Array(16)));

/**
 * Returns words as a person types them in their one form: lower case, one space between.
 *
 * Refuses with `words_count` (neither 12 nor 24), `words_unknown` (which, counted from 1, is in the message), `words_checksum`.
 */
export const parseWords = (text) => wordsOf(entropyOf(text));

/** Returns the 16 or 32 bytes that words spell; refuses as `parseWords`. */
export function entropyOf(text) {
  const words = text.trim().toLowerCase().split(/\s+/);
  if (words.length !== 12 && words.length !== 24) throw new Refused("words_count", `${text.trim() === "" ? 0 : words.length} words, not 12 or 24`);
  const places = words.map((word) => WORDS.indexOf(word));
  const unknown = places.indexOf(-1);
  if (unknown >= 0) throw new Refused("words_unknown", `word ${unknown + 1} is not on the list`);
  const bits = places.map((place) => place.toString(2).padStart(11, "0")).join("");
  const entropy = Uint8Array.from(bits.slice(0, words.length / 3 * 32).match(/.{8}/g), (byte) => parseInt(byte, 2));
  if (wordsOf(entropy) !== words.join(" ")) throw new Refused("words_checksum", "a word is wrong, or two changed places");
  return entropy;
}

/** Returns `{identity, wordsBox}` of words: a signer and a key pair as keys.js makes them. Deriving them takes a while, on purpose. */
export async function keysOfWords(text) {
  const seed = await seedOf(parseWords(text));
  const [identity, wordsBox] = await Promise.all([0, 1].map((use) => slip10(seed, [44, COIN, use])));
  return { identity: await signerOf(identity.key), wordsBox: await kexOf(wordsBox.key) };
}

/** Returns the 64-byte seed of words. */
async function seedOf(words) {
  const password = await crypto.subtle.importKey("raw", ascii(words.normalize("NFKD")), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-512", salt: ascii("mnemonic"), iterations: ROUNDS };
  return new Uint8Array(await crypto.subtle.deriveBits(how, password, 512));
}

/** Walks hardened steps from the master key of `seed`; returns `{key, chainCode}`, 32 bytes each. */
export async function slip10(seed, path) {
  let node = await nodeOf(ascii("ed25519 seed"), seed);
  for (const step of path) {
    node = await nodeOf(node.chainCode, concat(Uint8Array.of(0), node.key, bigEndian(HARDENED + step, 4)));
  }
  return node;
}

async function nodeOf(key, data) {
  const hmac = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-512" }, false, ["sign"]);
  const output = new Uint8Array(await crypto.subtle.sign("HMAC", hmac, data));
  return { key: output.slice(0, 32), chainCode: output.slice(32) };
}

const bitsOf = (bytes) => Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
