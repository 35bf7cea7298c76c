// The buttons that lead to issuers of OpenID Connect and to passkeys: on the page of signing in, and where a name is claimed.

import { begin, issuersOf } from "./desk.js";
import { el, whileBusy } from "./dom.js";
import { showTrouble } from "./trouble.js";

/** Returns a card with a button for each issuer, under a title and a text. */
export function atIssuers(client, store, issuers, title, text) {
  const failed = el("div", { hidden: true });
  const lead = (issuer) => begin(client, store, issuer).then((url) => location.assign(url), (error) => showTrouble(failed, error));
  const button = (issuer) => {
    const go = el("button", { type: "button", onclick: () => whileBusy(go, () => lead(issuer)) }, `Go on with ${issuer.name}`);
    return go;
  };
  return el("section", { class: "card" }, el("h2", {}, title), el("p", {}, text), failed, el("div", { class: "actions" }, issuers.map(button)));
}

/** Returns whether this server takes passkeys, and this browser has them. */
export const hasPasskeys = (info) => info.signin?.passkeys === true && typeof globalThis.PublicKeyCredential === "function" && navigator.credentials !== undefined;

/** Returns the ways in that a recovery may begin with, `[{id, name, issuer}, ...]`: issuers, and passkeys, whose id is empty as on the wire (PROTOCOL 19.6). */
export const waysIn = ({ zone }, info) => [...issuersOf(info), ...(hasPasskeys(info) ? [{ id: "", name: "your passkey", issuer: `passkey:${zone}` }] : [])];

/** Whether a way in is a passkey. */
export const isPasskey = ({ id }) => id === "";

/** Returns a card with one button, whose task may fail. */
export function passkeyCard(title, text, action, go) {
  const failed = el("div", { hidden: true });
  const task = () => {
    failed.hidden = true;
    return go().catch((error) => showTrouble(failed, error));
  };
  const button = el("button", { type: "button", onclick: () => whileBusy(button, task) }, action);
  return el("section", { class: "card" }, el("h2", {}, title), el("p", {}, text), failed, el("div", { class: "actions" }, button));
}
