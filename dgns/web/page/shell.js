// What all pages share: the server they came from, what is believed of it, and the line at the foot.

import { Client } from "../client.js";
import { hex } from "../hash.js";
import { parseVerifierKey } from "../note.js";
import { parsePolicy } from "../policy.js";
import { browserStore } from "../storage.js";
import { byId, el, fill, grouped, verdict } from "./dom.js";
import { trouble } from "./trouble.js";

/** The store of this origin in this browser. */
export const store = browserStore();

/**
 * Opens the page: returns the client of the server it came from, or shows why there is none and never returns.
 *
 * `info` is what the server says of itself, a promise; nothing in it is proved.
 */
export async function openPage() {
  const main = byId("main");
  if (globalThis.crypto?.subtle === undefined) {
    const how = "Browsers check signatures on pages that come over https, or from this computer itself (http://localhost). Open this page that way.";
    fill(main, verdict("wait", "This page cannot check anything here", el("p", {}, how)));
    return new Promise(() => {});
  }
  try {
    const client = await Client.open(location.origin, store);
    const info = client.info();
    foot(client, info).catch(() => {});
    return { client, info, store };
  } catch (error) {
    fill(main, trouble(error, () => location.reload()));
    return new Promise(() => {});
  }
}

/** Says at the foot whose pages these are, and by which key answers are checked. */
async function foot(client, info) {
  const { key } = parseVerifierKey(client.pinned.vkeys[0]);
  const witnesses = parsePolicy(client.pinned.policy).witnesses.length;
  const { software, web } = await info;
  fill(byId("foot"),
    el("p", {}, "Answers are checked in this browser, against the log ", el("code", {}, client.origin), " and its key ", el("code", {}, grouped(hex(key).slice(0, 16))),
      ` …, pinned when this browser first came here, and ${witnesses === 0 ? "no witnesses" : witnesses === 1 ? "one witness" : `${witnesses} witnesses`}.`),
    el("p", {}, software, ". These pages came from the same server", web && [": their hash is ", el("code", {}, grouped(web.slice(0, 16))), " …"], ". ", el("a", { href: "/#trust" }, "What that means")));
}
