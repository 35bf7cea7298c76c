// Verifies an answer as it is and with a bit of each byte flipped, for a test in Rust that has done the same: standard input is
// `{origin, vkeys, subject, bytes, nowMs}`, standard output `{status, footing, codes}`, a code for each byte, `believed` for none.

import { readFileSync } from "node:fs";

import { emptyMemory } from "../../dgns/web/memory.js";
import { unhex, verifyResolution } from "../../dgns/web/verify.js";

const { origin, vkeys, subject, bytes: text, nowMs } = JSON.parse(readFileSync(0, "utf8"));
const trust = { origin, zone: origin.replace("/log", ""), logKeys: vkeys, maxHeadAgeS: 300 };
const bytes = unhex(text);
const verify = (answer) => verifyResolution(trust, emptyMemory(origin), { alias: unhex(subject) }, answer, nowMs);

const { resolved } = await verify(bytes);
const codes = [];
for (let at = 0; at < bytes.length; at += 1) {
  const flipped = Uint8Array.from(bytes);
  flipped[at] ^= 1 << at % 8;
  codes.push(await verify(flipped).then(() => "believed", (error) => error.code ?? String(error)));
}
process.stdout.write(`${JSON.stringify({ status: resolved.status, footing: resolved.footing, steps: resolved.chain.length, codes })}\n`);
