// Whether the databases that a server shows are those that its log of names says: for whoever never saw them before, too (PROTOCOL 25.9).

import { equal, hex } from "../hash.js";
import { consistencyFault } from "../tree.js";
import { decodeAnchoredLog, isAnchored } from "./answer.js";
import { faultOf } from "./evidence.js";
import { GONE, checkContinues, decoded } from "./follow.js";
import { keepHead, keptHead, owedHeads } from "./kept.js";
import { ANCHOR_BY_MS } from "./limits.js";

/** How long a server that was just started may take to anchor what it had acknowledged before, and between two looks, ms. */
const [PATIENCE_MS, BREATH_MS] = [20_000, 1000];

/**
 * Checks that a log is the one that the newest anchor has, and went on from there; remembers its newest head. Returns `{k, size, head}`: the number of the anchor,
 * 0 if there is none yet, and how many entries it has, and the log now. `source`, `people` as follow.js takes them.
 */
export async function verifyAnchored(source, people, log, salt) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const { isOverdue, ...anchored } = await once(source, people, log, salt);
    if (!isOverdue) return anchored;
    if (Date.now() >= deadline) throw source.caught("anchor_overdue", `the server acknowledged ${anchored.head} entries of the log a minute ago, and its anchors have ${anchored.size}`);
    await new Promise((done) => setTimeout(done, BREATH_MS));
  }
}

async function once(source, people, log, salt) {
  const { client } = source;
  const { anchors, epochMs } = await client.lookup({ anchors: true });
  const kept = await keptHead(client, log);
  // Not the newest head alone: who writes the time into that one could put the anchor off for ever.
  const isOverdue = async (size, proved) => (await owedHeads(client, log, size, proved)).some((head) => head.timeMs + ANCHOR_BY_MS < epochMs);
  if (anchors === null) return { k: 0n, size: 0n, head: kept?.size ?? 0n, isOverdue: await isOverdue(0n, [kept]) };
  const target = `/v1/logs/${hex(log)}/anchor?k=${anchors.version}${kept === null ? "" : `&old=${kept.size}`}`;
  const shown = await source.ask(target).catch(async (error) => {
    if (!GONE.includes(error.code)) throw error;
    throw await faultOf(source, people, log, "store_rollback", `the server cannot show the log as anchor ${anchors.version} has it`, { heads: kept === null ? [] : [kept] });
  });
  const answer = decoded(source, decodeAnchoredLog, shown);
  const { anchor, anchored, head } = answer;
  if (!equal(anchor.bytes, anchors.bytes) || !equal(head.log, log) || !isAnchored(answer, log, salt)) {
    throw source.lies("anchor_proof", "what is shown of the log is not what the newest anchor has of it");
  }
  await people.checkHead(head);
  const [code, what] = contradiction(answer) ?? [];
  if (code !== undefined) throw await faultOf(source, people, log, code, what, { anchored: answer, salt });
  await checkContinues(source, people, kept, head, answer.consistency);
  await keepHead(client, head);
  const size = anchored?.size ?? 0n;
  return { k: anchor.k, size, head: head.size, isOverdue: await isOverdue(size, [kept, head]) };
}

/** What contradicts the anchor in a head that must not be older than it. */
function contradiction({ anchor: { k }, anchored, head, grown }) {
  if ((head.since ?? 0n) < k) return ["store_stale", `the head of the log that is shown may be older than anchor ${k}`];
  if (anchored === null) return undefined;
  if (head.size < anchored.size) return ["store_rollback", `the log has ${head.size} entries, and anchor ${k} has ${anchored.size} of it: it was rolled back`];
  const fault = consistencyFault(anchored.size, anchored.root, head.size, head.root, grown);
  return fault === null ? undefined : ["store_fork", `the log is not the one that anchor ${k} has (${fault})`];
}
