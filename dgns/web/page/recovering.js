// Somebody recovers an account of this browser: who, how and since when, and what a device can say to it (PROTOCOL 5.8).

import { serverState } from "../finding.js";
import { equal, hex } from "../hash.js";
import { kidOf } from "../name.js";
import { el, facts, tag, verdict, whenText, whileBusy } from "./dom.js";
import { deviceOf } from "./me.js";
import { OPEN, PROVED, READY, hasExpired, put, recoveryOf } from "./recovery_log.js";
import { showTrouble } from "./trouble.js";

const NOTARY = 1;

/** Whether events of this kind are about a recovery. */
export const isAboutRecovery = (kind) => kind.startsWith("recovery_");

/** Returns what an account's page shows of an attempt that is on its way, or null. `redraw(said)` shows the account anew. */
export async function recoveringPart(client, record, found, own, redraw) {
  const { recovery: now } = found.did;
  if (![OPEN, PROVED, READY].includes(now?.phase)) return null;
  const { recovery, open } = await recoveryOf(client, { did: record.did });
  if (![OPEN, PROVED, READY].includes(recovery?.phase)) return null;
  const { phase, attempt, guesses, keys } = recovery;
  const [isPending, isOver] = [phase !== OPEN, hasExpired(recovery, client.now())];
  const votes = own !== undefined && own.level === 2 && own.status === 1;
  const isFresh = client.now() < Number(keys.freshUntilMs);
  const failed = el("div", { hidden: true });
  const vote = async (type, told) => {
    await put(client, record.did, type, { act: attempt.sid }, [deviceOf(record).sign]);
    await redraw(told);
  };
  const button = (words, kind, type, told) => {
    const go = el("button", { type: "button", class: kind, onclick: () => whileBusy(go, () => vote(type, told).catch((error) => showTrouble(failed, error))) }, words);
    return go;
  };
  const vetoed = () => verdict("good", "Stopped, and that is proved", el("p", {}, "The attempt is dead, and the PIN with it. Set recovery up anew: ", el("a", { href: "/recovery" }, "Recovery"), "."));
  const approved = () => verdict("good", "Approved, and that is proved", el("p", {}, "The new device takes the account over as soon as it goes on. This one is out then."));
  const what = {
    [OPEN]: isOver ? "No right PIN came of it within its ten minutes. If it was not you, somebody has your sign-in: change its password." : "It has to show the right PIN within ten minutes. Nothing can be taken over before a waiting time has passed.",
    [PROVED]: "It showed the right PIN. When its time is over it takes the account over, and every other device is out, this one too.",
    [READY]: "It showed the right PIN, and nobody objected. It may take the account over at any moment.",
  }[phase];
  return el("section", { class: "recovering", "aria-labelledby": `recovering-${record.id}` },
    verdict(isPending ? "bad" : isOver ? "plain" : "wait", isPending ? `Somebody is recovering ${record.name}` : `Somebody ${isOver ? "tried" : "tries"} to recover ${record.name}`, el("p", {}, what)),
    el("div", { class: "card" }, el("h3", { id: `recovering-${record.id}` }, isOver ? "Was it you?" : "Is it you?"), facts([
      ["Since", whenText(attempt.atMs)],
      [phase === READY ? "Until" : "Takes over", isOver ? "never" : phase === OPEN ? "not yet" : whenText(recovery.dueMs)],
      ["By", el("span", {}, "a new device, key ", el("code", {}, hex(kidOf(attempt.sign)).slice(0, 8)))],
      ["How", el("span", {}, tag("", `guess ${guesses} of 10`), " ", await signedInAt(client, open))],
    ]), failed, isOver ? null : votes ? el("div", { class: "actions" }, button("It is not me: stop it", "danger", "veto", vetoed()),
      phase === PROVED && !isFresh && button("It is me: let it in now", "quiet", "confirm", approved()))
      : el("p", { class: "is-wait" }, "This device has no vote. The twelve words have: dgns veto --words.")),
    phase === PROVED && isFresh && votes && el("p", { class: "hint" }, `This recovery was enrolled not long ago, by one device alone: until ${whenText(keys.freshUntilMs)} no device can shorten its waiting time.`));
}

/** Says where whoever began an attempt signed in: the notaries that signed the certificate, which the log admitted. */
async function signedInAt(client, open) {
  const server = await serverState(client).catch(() => null);
  const notaries = (server?.authorities ?? []).filter(({ role, key }) => role === NOTARY && open.signatures.some(({ kid }) => equal(kid, kidOf(key))));
  if (notaries.length === 0) return "signed in, where the log does not say";
  return `signed in ${notaries.map(({ scope }) => (scope.startsWith("passkey:") ? "with a passkey" : `at ${scope}`)).join(" and ")}`;
}
