// The e-mail addresses one is found by, or not: listed, added, hidden, shown, given up (PROTOCOL 5.7, 12.18).

import { aliasId, addressCommitment, emailOf } from "../alias.js";
import { decodeCertificate } from "../certificate.js";
import { Refused, encode } from "../cbor.js";
import { equal, hex } from "../hash.js";
import { evaluationOf, findsAddresses } from "../finding.js";
import { sealFile } from "../user_key.js";
import { certify, placeAfter } from "../write.js";
import { addressesOf } from "./addresses.js";
import { begin } from "./desk.js";
import { el, fill, table, tag, whileBusy } from "./dom.js";
import { deviceOf } from "./me.js";
import { showTrouble } from "./trouble.js";

const TRIES = 8;
const random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Returns the addresses of an account, with what its full device can do about them; null where nobody is found by one. `act(type)(body)` signs. */
export async function aliasesPart(client, store, record, found, own, issuers, act) {
  if (!(await findsAddresses(client))) return null;
  const { own: all, accounts, addresses } = await addressesOf(client, record, found);
  const full = own.level === 2 && own.status === 1 && !found.frozen;
  const failed = el("div", { hidden: true });
  const lead = (button, issuer, goal) => whileBusy(button, () => begin(client, store, issuer, { device: deviceOf(record), goal: { record: record.id, ...goal } }).then((url) => location.assign(url), (error) => showTrouble(failed, error)));
  const called = ({ opening, alias }) => el("strong", {}, opening?.address ?? `Address ${hex(alias).slice(0, 8)}`);
  const leaves = ({ alias }) => found.pending.some(({ body }) => body?.alias !== undefined && equal(body.alias, alias));
  const how = (one) => {
    const { opening, bound } = one;
    if (!bound) return tag("wait", "not bound, or not any more");
    const word = opening === null ? tag("", "bound; another device reads which it is") : opening.tag === undefined ? tag("good", "others find you by it") : tag("", "hidden");
    return [word, leaves(one) && [" ", tag("wait", "to be given up")]];
  };
  const buttons = (one) => {
    const { opening, bound } = one;
    if (!bound || leaves(one)) return null;
    const name = opening?.address ?? "this address";
    const turn = opening !== null && el("button", { type: "button", class: "quiet small", "aria-label": `${opening.tag === undefined ? "Hide" : "Show"} ${name}`, onclick: () => askTurn(one) }, opening.tag === undefined ? "Hide" : "Show");
    return el("div", { class: "asks" }, turn, el("button", { type: "button", class: "danger small", "aria-label": `Give up ${name}`, onclick: () => askRemove(one, name) }, "Give up"));
  };
  const list = table([["Address"], ["State"], ...(full ? [["What you can do"]] : [])], all.map((one) => [called(one), how(one), ...(full ? [buttons(one)] : [])]));

  const dialogOf = (id, title, ...children) => {
    const dialog = el("dialog", { "aria-labelledby": id }, el("form", { method: "dialog" }, el("h2", { id }, title), ...children));
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
    return dialog;
  };
  const askRemove = ({ alias }, name) => {
    const dialog = dialogOf("give-up", `Give up ${name}?`, el("p", {}, "Nobody finds you by it any more, and the server erases what it keeps of it as soon as that takes effect. You can bind it again later."),
      el("div", { class: "actions" }, el("button", { class: "danger", value: "yes" }, "Give it up"), el("button", { class: "quiet", value: "no" }, "Keep it")));
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && act("alias_unbind")({ alias }));
  };
  const askTurn = ({ alias, opening }) => {
    const hidden = opening.tag === undefined;
    const goal = { kind: "turn", hidden, address: opening.address, before: alias };
    const go = (issuer) => {
      const button = el("button", { type: "button", onclick: () => lead(button, issuer, goal) }, `Sign in with ${issuer.name}`);
      return button;
    };
    dialogOf("turn", hidden ? `Hide ${opening.address}?` : `Be found by ${opening.address}?`,
      el("p", {}, hidden ? "Nobody finds you by it then, and nobody can tell that you have it. " : "Whoever knows the address finds you then. ", "It is bound anew, so sign in once more; then how it was bound before is given up."),
      el("div", { class: "actions" }, issuers.map(go), el("button", { class: "quiet", value: "no" }, "Leave it")));
  };

  const hide = el("input", { type: "checkbox", id: `hide-${record.id}` });
  const add = (issuer) => {
    const button = el("button", { type: "button", class: "quiet", onclick: () => lead(button, issuer, { kind: "add", hidden: hide.checked }) }, `Add the address of your account at ${issuer.name}`);
    return button;
  };
  const adding = full && issuers.length > 0 && [el("label", { class: "choice apart" }, hide, el("span", {}, "Keep the next one hidden: nobody finds me by it")), el("div", { class: "actions" }, issuers.map(add))];
  return el("div", { class: "card" }, el("h3", {}, "E-mail addresses"),
    el("p", { class: "soft" }, "Whoever knows an address finds you by it, with proof. Neither the log nor a search tells anybody the address."),
    failed, all.length > 0 ? list : el("p", {}, "There is none yet."), adding,
    el("p", { class: "hint" }, `The server keeps ${accounts} ${accounts === 1n ? "sign-in that leads" : "sign-ins that lead"} to you, and of ${addresses} of them an address, in a form that cannot be read back.`));
}

/**
 * Binds the address of a sign-in on this device, or refuses with `other_address` if another one is meant. Returns `{address, alias, found}`, proved. With `before`
 * how it was bound until now is given up behind it: a crash in between leaves both, which the list shows.
 */
export async function bindAddress(client, record, finished, { hidden, address: meant, before }) {
  const address = emailOf(finished.email ?? "");
  if (meant !== undefined && meant !== address) throw Object.assign(new Refused("other_address", address), { detail: `You signed in as ${address}, not as ${meant}.` });
  const [nonce, tag] = [random(32), hidden ? random(16) : undefined];
  // Evaluated as for anybody else: the proof says that it is under the key in the log, so others find it.
  const alias = aliasId(await evaluationOf(client, address), tag);
  const bound = await bindOnce(client, record, finished, { address, alias, nonce, tag }, TRIES);
  return { address, alias, found: before === undefined ? bound : await unbind(client, record, before) };
}

async function bindOnce(client, record, finished, { address, alias, nonce, tag }, triesLeft) {
  try {
    const account = await client.lookup({ did: record.did });
    const { userKey } = account.did;
    const body = { alias, commitment: addressCommitment(address, nonce), evidence: finished.evidence };
    const signed = await certify(placeAfter(account), "alias_bind", body, [deviceOf(record).sign], { origin: client.origin, nowMs: client.now() });
    const opening = encode(new Map([[1, address], [2, nonce], [3, tag]].filter(([, value]) => value !== undefined)));
    const sealed = userKey && (await sealFile(record.did, userKey.generation, userKey.key, opening));
    const ask = [[1, signed.bytes], [2, finished.statement], [3, finished.random], [4, nonce], [5, tag], [6, sealed]];
    const answer = await client.net.post("/v1/alias/notarize", encode(new Map(ask.filter(([, value]) => value !== undefined))));
    const whole = decodeCertificate(answer);
    if (!equal(whole.sid, signed.sid)) throw new Refused("written", "the notary signed something else");
    return (await client.post([whole], { did: record.did })).found;
  } catch (error) {
    if (error.code === "stale_prev" && triesLeft > 1) return bindOnce(client, record, finished, { address, alias, nonce, tag }, triesLeft - 1);
    throw error;
  }
}

async function unbind(client, record, alias) {
  const account = await client.lookup({ did: record.did });
  const certificate = await certify(placeAfter(account), "alias_unbind", { alias }, [deviceOf(record).sign], { origin: client.origin, nowMs: client.now() });
  return (await client.post([certificate], { did: record.did })).found;
}
