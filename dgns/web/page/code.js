// Invitation codes as people are given them: 26 letters and digits, base32 of 16 bytes.

import { Refused } from "../cbor.js";

const DIGITS = "abcdefghijklmnopqrstuvwxyz234567";

/** Returns the 16 bytes of an invitation code; refuses with `bad_invite`. */
export function parseCode(text) {
  const places = [...text.trim().toLowerCase()].map((digit) => DIGITS.indexOf(digit));
  const bits = places.map((place) => place.toString(2).padStart(5, "0")).join("");
  if (places.length !== 26 || places.includes(-1) || bits.slice(128) !== "00") throw new Refused("bad_invite", "an invitation has 26 letters and digits");
  return Uint8Array.from(bits.slice(0, 128).match(/.{8}/g), (byte) => parseInt(byte, 2));
}
