// The codes the pages draw, read by somebody else's reader.

import assert from "node:assert/strict";
import { test } from "node:test";

import jsQR from "jsqr";

import { qrCode } from "../../dgns/web/qr.js";

const SCALE = 4;

/** Paints a code with its margin, as a camera would have it, and reads it. */
function read(rows) {
  const side = (rows.length + 8) * SCALE;
  const pixels = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const dark = rows[Math.floor(y / SCALE) - 4]?.[Math.floor(x / SCALE) - 4] === true;
      if (dark) pixels.fill(0, 4 * (y * side + x), 4 * (y * side + x) + 3);
    }
  }
  return jsQR(pixels, side, side)?.data;
}

test("a code of every size is read as what was written", () => {
  const sizes = new Set();
  for (let length = 0; length <= 213; length++) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode(33 + ((7 * i + length) % 90))).join("");
    const rows = qrCode(text);
    sizes.add(rows.length);
    if (length > 0) assert.equal(read(rows), text, `${length} bytes`);
  }
  assert.deepEqual([...sizes], [21, 25, 29, 33, 37, 41, 45, 49, 53, 57]);
  assert.throws(() => qrCode("a".repeat(214)), RangeError);
});

test("a code with a stain is read, one with half of it gone is not", () => {
  const text = "http://localhost:5380/signin#dgns:pair?o=dgns.test/log&d=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&k=AAAAAAAAAAAAAAAAAAAAAA";
  const spoil = (share) => qrCode(text).map((row, y, { length }) => row.map((dark, x) => (x > length * (1 - share) && y > 10 && y < length - 9 ? false : dark)));
  assert.equal(read(spoil(0.1)), text);
  assert.notEqual(read(spoil(0.6)), text);
});
