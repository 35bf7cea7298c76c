// The buttons that lead to issuers of OpenID Connect: on the page of signing in, and where a name is claimed.

import { begin } from "./desk.js";
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
