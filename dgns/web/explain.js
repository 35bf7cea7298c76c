// What was proved, and by what, in words for people. Made of a verified result alone.

import { hex } from "./hash.js";
import { didText } from "./name.js";
import { recoveryDueOf } from "./state.js";

/** Returns a time as people write it, UTC. */
export const timeText = (ms) => `${new Date(Number(ms)).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** Returns what a result says of its subject, one sentence. */
export function summaryOf({ asked, status, name, did }) {
  const subject = subjectText(asked);
  return {
    present: `${subject} is proved present${recoveryText(did)}`,
    held: `${subject} is proved given up: nobody may claim it before ${timeText(name?.heldUntilMs ?? 0)}`,
    ended: `${subject} is proved ended`,
    absent: `${subject} is proved absent: nobody has it`,
  }[status];
}

/** Says of whose account somebody proved the PIN of its recovery, and until when that can be vetoed. */
function recoveryText(did) {
  const pending = did ? recoveryDueOf(did) : null;
  if (pending === null) return "";
  return pending.isReady ? `; RECOVERY PENDING: a new device may take over until ${timeText(pending.dueMs)}` : `; RECOVERY PENDING until ${timeText(pending.dueMs)}`;
}

/** Returns the text of what was asked. */
export function subjectText({ name, did, alias, anchors }) {
  if (anchors) return "the anchors of the databases";
  if (alias !== undefined) return hex(alias);
  return name ?? (did === undefined ? "the log's configuration" : didText(did));
}

/**
 * Returns the verified steps of a result, `[{check, holds, by}]`, in the order of PROTOCOL 11.3: what was checked, what it proves, and what
 * that rests on.
 */
export function stepsOf(resolved, { origin }) {
  const { asked, size, epochMs, epoch, status } = resolved;
  const subject = subjectText(asked);
  const steps = [
    step("question", `The answer is about ${subject}`, "it names what was asked, and its labels are hashes of that"),
    step("signature", `${origin} signed this state of its log: ${size} entries`, resolved.signedBy === null
      ? "the head is the one remembered, whose signature was checked" : `an Ed25519 signature by ${resolved.signedBy}`),
    step("witnesses", ...witnessText(resolved)),
    step("time", `It was so at ${timeText(epochMs)}`, resolved.unwitnessed ? "the log's own word for the time" : "witnesses' clocks"),
    step("epoch", `The log ends in Epoch ${epoch}, which fixes the map of all names`, "a path of hashes from the last entry to the signed root"),
    step("map", status === "absent" ? `The map holds nothing for ${subject}` : `The map holds exactly this state of ${subject}`,
      "a path of hashes from the state to the map's root"),
    step("memory", ...memoryText(resolved)),
  ];
  if (resolved.written.length > 0) {
    const places = resolved.written.map(({ index }) => index).join(", ");
    steps.push(step("written", `What was posted is in the log, at ${places}`, "a path of hashes from each entry"));
  }
  if (resolved.footing !== null) steps.push(step("chain", ...footingText(resolved)));
  return steps;
}

const step = (check, holds, by) => ({ check, holds, by });

function witnessText({ unwitnessed, quorumMs }) {
  if (unwitnessed) return ["Nobody but the log vouches for this head", "no witness is asked for: the log's own signature is all there is"];
  return ["Independent witnesses saw the same log", `cosigned by a quorum of witnesses at ${timeText(quorumMs)}`];
}

function memoryText({ continuity: { kind, fromSize } }) {
  return {
    first: ["This log was never met before in this browser", "its key was believed at first sight: compare it with others"],
    same: ["It is the same log as last time", "the head remembered"],
    extends: ["Nothing that was shown here before was taken back", `a proof that the ${fromSize} entries met before are still there`],
  }[kind];
}

function footingText({ footing, chain }) {
  const judged = `was judged by the rules${counted(chain)}`;
  return {
    genesis: ["Every key shown is proved from genesis: none can be false", `each certificate of this account ${judged}`],
    remembered: ["No key changed but by the account's own certificates", `each since the state first met here ${judged}`],
    map: ["The keys are as the log shows them", "the map's word, which auditors check: this account was not met here before"],
    unfollowed: ["How the keys came to be is not followed yet", "certificates are missing"],
  }[footing];
}

const counted = (chain) => (chain.length > 0 ? `, ${chain.length} of them now` : "");
