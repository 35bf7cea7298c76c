// The sign-ins that lead to an account: listed, added, taken away (PROTOCOL 19.4). They give no power over it.

import { issuerHash } from "../attest.js";
import { Reader } from "../cbor.js";
import { bytesOf, listOf, nullOr, tuple, u64 } from "../fields.js";
import { equal, hex } from "../hash.js";
import { begin } from "./desk.js";
import { el, table, tag, whenText, whileBusy } from "./dom.js";
import { deviceOf } from "./me.js";
import { askSigned, signedBytesOf } from "./signed.js";
import { showTrouble } from "./trouble.js";

const LINKS = "/v1/signin/links";
const LINKS_MAX = 1000;

async function linksOf(client, record) {
  const reader = new Reader(await signedBytesOf(client, record, LINKS));
  const rows = listOf(tuple(bytesOf(32), nullOr(bytesOf(32)), u64, (r) => r.bool(), u64), 0, LINKS_MAX)(reader);
  reader.end();
  return rows.map(([id, issuer, since, hasAddress, bound]) => ({ id, issuer, sinceMs: Number(since) * 1000, hasAddress, bound }));
}

/** Returns the sign-ins of an account, with what its device can do about them. `redraw()` shows the account anew. */
export async function signInsPart(client, store, record, found, own, issuers, redraw) {
  const rows = await linksOf(client, record);
  const full = own.level === 2 && own.status === 1 && !found.frozen;
  const failed = el("div", { hidden: true });
  const nameOf = ({ issuer }) => issuers.find((one) => issuer !== null && equal(issuerHash(one.issuer), issuer))?.name ?? "A site this server believes no more";
  const called = (row) => [el("strong", {}, nameOf(row)), el("br"), el("span", { class: "soft small" }, `Since ${whenText(row.sinceMs)}`)];
  const keeps = (row) => (row.bound > 0n ? tag("good", "an address is bound by it") : row.hasAddress ? tag("", "and a blinded address") : tag("", "nothing but that"));
  const remove = (row) => el("button", { type: "button", class: "danger small", "aria-label": `Take away the sign-in at ${nameOf(row)}`, onclick: () => ask(row) }, "Take away");
  const ask = (row) => {
    const dialog = el("dialog", { "aria-labelledby": "take-away" }, el("form", { method: "dialog" }, el("h2", { id: "take-away" }, `Take away ${nameOf(row)}?`),
      el("p", {}, "Signing in there leads here no more, and the server forgets what it kept of it. Your devices, passkeys and words stay as they are."),
      el("div", { class: "actions" }, el("button", { class: "danger", value: "yes" }, "Take it away"), el("button", { class: "quiet", value: "no" }, "Leave it"))));
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "yes") askSigned(client, record, `${LINKS}/${hex(row.id)}`, { method: "DELETE" }).then(redraw, (error) => showTrouble(failed, error));
    });
    dialog.showModal();
  };
  const add = (issuer) => {
    const lead = () => begin(client, store, issuer, { device: deviceOf(record), goal: { record: record.id, kind: "link" } }).then((url) => location.assign(url), (error) => showTrouble(failed, error));
    const button = el("button", { type: "button", class: "quiet", onclick: () => whileBusy(button, lead) }, rows.some((row) => nameOf(row) === issuer.name) ? `Let another account at ${issuer.name} lead here` : `Let ${issuer.name} lead here`);
    return button;
  };
  const list = table([["Where"], ["The server keeps"], ...(full ? [["What you can do"]] : [])], rows.map((row) => [called(row), keeps(row), ...(full ? [remove(row)] : [])]));
  return el("div", { class: "card" }, el("h3", {}, "Sign-ins"),
    el("p", { class: "soft" }, "Signing in there finds this account on any browser. A device of yours still lets the browser in."),
    failed, rows.length > 0 ? list : el("p", {}, "None leads here yet."), el("div", { class: "actions" }, issuers.map(add)));
}
