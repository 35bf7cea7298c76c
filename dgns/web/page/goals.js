// What somebody signed in for besides the account itself: an address to be bound, a further way to the account (PROTOCOL 12.18, 19.4), or a proof
// that a recovery is begun or enrolled with (24.4).

import { Refused, encode } from "../cbor.js";
import { equal } from "../hash.js";
import { el, fill, goTo, sign, verdict } from "./dom.js";
import { BRANCH, begin } from "./desk.js";
import { isPasskey } from "./issuers.js";
import { accounts } from "./me.js";
import { askSigned } from "./signed.js";

/** Does what the sign-in was for, and shows what came of it. */
export async function reach(client, store, place, finished) {
  const { goal } = finished;
  if (goal.kind === "proof") return handOver(store, finished);
  const record = (await accounts(store, client.origin)).find(({ id }) => id === goal.record);
  if (record === undefined) throw new Refused("signin_expired", "the keys that signed in are not in this browser any more");
  fill(place, el("p", { class: "tell" }, sign("turning"), goal.kind === "link" ? "Telling the server \u2026" : "Binding the address, and checking the proof \u2026"));
  const told = goal.kind === "link" ? await link(client, record, finished) : await bind(client, record, finished);
  fill(place, told, el("p", { class: "actions" }, el("a", { class: "button", href: "/devices" }, "My devices")));
  goTo(told.querySelector("h2"));
}

/**
 * Signs in for what waits at `goal` = `{kind: "proof", key, page}`: with a passkey at once, which is true; at an issuer the browser is led away, and back to
 * the page. `device`, `purpose`, `blinded` as of a sign-in (desk.js).
 */
export async function signInFor(client, store, way, { device, purpose, blinded, goal }) {
  if (!isPasskey(way)) {
    location.assign(await begin(client, store, way, { device, purpose, blinded, goal }));
    return false;
  }
  const { signInToRecover } = await import("./passkey.js");
  await keepProof(store, goal.key, await signInToRecover(client, device, { purpose, blinded }));
  return true;
}

/** Puts the proof that a sign-in is into what waits for it, and goes on there. */
async function handOver(store, finished) {
  await keepProof(store, finished.goal.key, finished);
  location.replace(finished.goal.page);
}

async function keepProof(store, key, { issuer, issuerName, statement, nonceRandom, random, evidence, subject, untilS, branch, did }) {
  const waiting = await store.get(key);
  if (waiting?.proofs === undefined) throw new Refused("signin_expired", "nothing waits for it any more");
  const proof = { issuer, issuerName, statement, nonceRandom, random, evidence, subject, untilMs: Number(untilS) * 1000, account: branch === BRANCH.existing ? did : null };
  const others = waiting.proofs.filter((one) => one.issuer !== issuer || one.subject !== subject);
  await store.set(key, { ...waiting, proofs: [...others, proof] });
}

async function link(client, record, { branch, did, evidence, issuerName }) {
  const leads = branch === BRANCH.existing;
  if (leads && !equal(did, record.did)) throw Object.assign(new Refused("account_bound", ""), { detail: `Your account at ${issuerName} leads to another account of this server.` });
  if (!leads) await askSigned(client, record, "/v1/signin/link", { method: "POST", body: encode(new Map([[1, evidence]])) });
  return verdict("good", leads ? "It leads here already" : `Your account at ${issuerName} leads here now`,
    el("p", {}, `Sign in with ${issuerName} on any browser: it finds ${record.name}, and a device of yours is asked to let that browser in. It gives nobody power over the account.`));
}

async function bind(client, record, finished) {
  const { bindAddress } = await import("./aliases.js");
  const { hidden, before } = finished.goal;
  const { address, found } = await bindAddress(client, record, finished, finished.goal);
  const waits = before !== undefined && found.pending.some(({ body }) => body?.alias !== undefined && equal(body.alias, before));
  return verdict("good", hidden ? `${address} is bound and hidden, and that is proved` : `${address} is bound, and that is proved`,
    el("p", {}, hidden ? "Nobody finds you by it, and nobody can tell that you have it." : `Whoever knows it finds ${record.name}.`),
    waits && el("p", { class: "is-wait" }, "How it was bound before still holds until that is given up: another device or your words can hurry it, see \u201cWaits, and can still be stopped\u201d."));
}
