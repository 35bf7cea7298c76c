// No byte of a lookup can be changed: every answer of resolutions.json that is believed, with each of its bytes flipped, one after the other.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decodeMemory, encodeMemory } from "../../dgns/web/memory.js";
import { hex, unhex, verifyResolution } from "../../dgns/web/verify.js";

const { cases } = JSON.parse(readFileSync(new URL("../vectors/resolutions.json", import.meta.url), "utf8"));

/** Under a policy, cosignatures by nobody it knows are not looked at: mutations.json says which bytes those are. */
const isWitnessed = ({ in: { trust } }) => trust.policy !== null;

test("no byte of an answer that is believed can be changed", async (t) => {
  const believed = cases.filter((one) => one.out !== undefined && !isWitnessed(one));
  assert.ok(believed.length >= 15);
  for (const { name, in: given, out } of believed) {
    await t.test(name, async () => {
      const { origin, vkeys, head_age_s_max: maxHeadAgeS } = given.trust;
      const trust = { origin, zone: origin.replace("/log", ""), logKeys: vkeys, maxHeadAgeS };
      const subject = Object.entries(given.subject ?? { logConf: true }).map(([kind, text]) => [kind, kind === "did" || kind === "alias" ? unhex(text) : text]);
      const verify = (bytes) => verifyResolution(trust, decodeMemory(unhex(given.memory_bytes)), Object.fromEntries(subject), bytes, given.now_ms);
      const bytes = unhex(given.bytes);
      const { resolved, memory } = await verify(bytes);
      assert.equal(resolved.status, out.status);
      assert.ok(encodeMemory(memory).length > 0);
      // Long ones carry rows of certificates, each with a signature to check: every fourth byte of these.
      for (let at = 0; at < bytes.length; at += resolved.chain.length > 0 ? 4 : 1) {
        const flipped = Uint8Array.from(bytes);
        flipped[at] ^= 1 << (at * 5) % 8;
        await assert.rejects(verify(flipped), (error) => typeof error.code === "string", `byte ${at} of ${bytes.length}: ${hex(flipped.subarray(at, at + 1))}`);
      }
      for (let end = 0; end < bytes.length; end += 1 + (end >> 4)) await assert.rejects(verify(bytes.subarray(0, end)), (error) => error.code === "malformed", `cut at ${end}`);
    });
  }
});
