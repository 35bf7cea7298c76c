// Find a person by an e-mail address: who has it, proved, or that nobody can be found by it, proved too.

import { hex } from "../hash.js";
import { didText, kidOf } from "../name.js";
import { emailOf } from "../alias.js";
import { accountFacts, deviceTable, frozenBanner, keysFold } from "./account.js";
import { byId, complainOf, el, facts, fill, goTo, say, show, sign, table, tag, verdict, whileBusy } from "./dom.js";
import { drawLimits, drawProof } from "./proof.js";
import { openPage } from "./shell.js";
import { showTrouble } from "./trouble.js";

const { client, store } = await openPage();
const [form, input, wrong, place] = [byId("search"), byId("address"), byId("address-error"), byId("answer")];

/** What the standing of a key means to who wants to write. */
const STANDINGS = {
  device: ["good", "a device of this account", "Its chain says so."],
  signed_in: ["wait", "signed in with this address", "No device of the account let it in yet. What you write reaches it too."],
  suspended: ["bad", "a suspended device", "Nothing is sent to it."],
  disputed: ["bad", "disputed", "The owner says that it was somebody else. Nothing is sent to it."],
  breaker: ["bad", "doubtful", "The owner disputed another sign-in lately. Nothing is sent to it."],
  notary_revoked: ["bad", "not vouched for any more", "Whoever saw it sign in was revoked since. Nothing is sent to it."],
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const address = read();
  if (address !== null) find(address);
});
input.addEventListener("input", () => complain(null));

/** Returns the address in its one form, or says what is wrong with what stands there. */
function read() {
  try {
    return emailOf(input.value);
  } catch {
    complain("That is no e-mail address: one @ between a name and a domain, without spaces.");
    input.focus();
    return null;
  }
}

function complain(what) {
  complainOf(input, wrong, what);
}

async function find(address) {
  fill(place, el("p", { class: "tell" }, sign("turning"), "Disguising it, asking, and checking what comes …"));
  try {
    const found = await whileBusy(form.querySelector("button"), async () => {
      const { findAddress } = await import("../finding.js");
      return findAddress(client, address);
    });
    draw(found, found.status === "present" && (await import("./letters.js")).letterForm(client, store, found));
  } catch (error) {
    showTrouble(place, error, () => find(address));
  }
}

function draw(found, letter) {
  const title = answerOf(found);
  const person = found.status === "present";
  fill(place, title, frozenBanner(found), person && signedIn(found), person && part("Write to them", letter), person && account(found), proof(found),
    part("What this does not prove", drawLimits(found, client.trust), person && el("p", {}, "That whoever reads the mail of this address today is the person you mean: what is proved is that its holder signed in and bound it.")));
  say(title.querySelector("h2").textContent);
  goTo(title.querySelector("h2"));
}

/** The answer in one sentence. */
function answerOf(found) {
  if (found.status === "absent") {
    return verdict("plain", "It is proved: nobody can be found by this address",
      el("p", {}, "Whoever has it never said so here, or does not want to be found by it. Nobody can tell which, and this server does not know which address you asked about."));
  }
  if (found.status === "ended") return verdict("wait", "The account of this address has ended", el("p", {}, "It is proved ended: nothing reaches it any more."));
  const names = found.did.names.map((name, i) => [i > 0 ? ", " : "", el("a", { href: `/lookup?name=${name}` }, name)]);
  const who = names.length > 0 ? names.flat() : [el("code", {}, didText(found.did.did))];
  return verdict("good", "This address is proved bound to an account", el("p", {}, "It belongs to ", who, ", whose every certificate was judged here."));
}

const part = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);

/** The keys that signed in as holder of the address. */
function signedIn({ attested }) {
  if (attested.length === 0) return null;
  const row = ({ row: key, standing }) => {
    const [kind, word, why] = STANDINGS[standing];
    return [el("strong", {}, `Key ${hex(kidOf(key.sign)).slice(0, 8)}`), tag(kind, word), why];
  };
  return part("Who signed in with it", table([["Key"], ["It is"], ["That means"]], attested.map(row)));
}

function account(found) {
  return part("Account and keys", facts(accountFacts(found)), deviceTable(found.did.devices), keysFold(found));
}

function proof(found) {
  return part("How it is proved", drawProof(found, client.trust),
    el("p", { class: "hint" }, "The server helped to find the place in the map without seeing the address, and proved that it used the key that stands in the log. ", el("code", {}, "dgns find"), " does the same in a terminal."));
}
