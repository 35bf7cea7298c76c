// Somebody with a name of their own who is no page: made by the pages' own modules, outside of a browser.

import { Client } from "../../dgns/web/client.js";
import { newDevice } from "../../dgns/web/keys.js";
import { memoryStore } from "../../dgns/web/storage.js";
import { solve } from "../../dgns/web/work.js";
import { keysOfWords, newWords } from "../../dgns/web/words.js";
import { ROAD, certify, genesis, newLabel, placeBehind } from "../../dgns/web/write.js";

/** Claims a name; returns `{did, sign}`: the account, and the signer of its device. */
export async function certified(url, name) {
  const client = await Client.open(url, memoryStore());
  const before = await client.lookup(name);
  const [root, device] = await Promise.all([keysOfWords(newWords()), newDevice()]);
  const [head, told] = [{ size: before.size, root: before.root }, { origin: client.origin, nowMs: Date.now() }];
  const first = await genesis({ ...root, device, label: newLabel("elsewhere").hash, head, nowMs: told.nowMs }, client.origin);
  const { work_bits: bits } = await client.info();
  const proof = await solve(before.asked.name, first.did, bits);
  const claim = await certify(placeBehind(first, head), "claim", { name: before.asked.name, road: ROAD.open, proof, bits }, [device.sign], told);
  await client.post([first, claim], name);
  return { did: first.did, sign: device.sign };
}
