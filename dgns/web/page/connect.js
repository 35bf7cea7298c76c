// Reach a private server: resolved with proof, introduced by the lobby, and then read from directly.

import { hex } from "../hash.js";
import { didText, kidOf } from "../name.js";
import { byId, complainOf, el, facts, fill, fold, goTo, grouped, say, show, sign, tag, verdict, whileBusy } from "./dom.js";
import { accounts, deviceOf } from "./me.js";
import { openPage } from "./shell.js";
import { peerTrouble } from "./peer_trouble.js";

const { client, store } = await openPage();
const [form, input, wrong, place] = [byId("search"), byId("name"), byId("name-error"), byId("answer")];
const mine = (await accounts(store, client.origin)).filter(({ did }) => did !== undefined);
// What only somebody with an account needs comes when there is one.
const needed = mine.length === 0 ? [] : [import("../lobby/attach.js"), import("../lobby/connect.js"), import("../lobby/link.js"), import("../gossip.js"), import("./save.js"), import("./served.js")];
const { Lobby, connect, newCertificate, holdHead, download, filesPart } = Object.assign({}, ...(await Promise.all(needed)));
/** Whether both ends may be on this machine. */
const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

let [certificate, lobby, connection] = [];

if (mine.length === 0) {
  fill(place, verdict("plain", "No account has keys in this browser",
    el("p", {}, "A private server asks who comes. ", el("a", { href: "/claim" }, "Claim a name"), " and this browser can say it; if you have an account, ", el("a", { href: "/signin" }, "sign in"), ".")));
} else {
  fill(place);
  chooser();
  show(form);
  input.placeholder = `db.${mine[0].name}`;
  input.value = new URLSearchParams(location.search).get("name") ?? "";
  certificate = newCertificate();
  // Whoever begins to type is about to come: the way to the lobby is made meanwhile.
  input.addEventListener("input", () => (complain(null), attached()), { passive: true });
  if (input.value !== "") {
    goTo(form.querySelector("button"));
    attached();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = read();
  if (name === null) return;
  history.replaceState(null, "", `/connect?name=${encodeURIComponent(input.value.trim())}`);
  reach(name);
});
addEventListener("online", () => (connection?.over === null ? connection.wake() : lobby?.wake()));
document.addEventListener("visibilitychange", () => !document.hidden && lobby?.wake());
addEventListener("pagehide", () => connection?.close());

/** Which account comes, where there are several. */
function chooser() {
  if (mine.length === 1) return;
  const choice = (record, i) => el("label", { class: "choice" }, el("input", { type: "radio", name: "as", value: record.id, checked: i === 0, onchange: leave }), el("span", {}, record.name));
  fill(byId("accounts"), el("fieldset", {}, el("legend", {}, "You come as"), mine.map(choice)));
}

/** The account that comes. */
function chosen() {
  return mine.find(({ id }) => id === form.elements.as?.value) ?? mine[0];
}

/** Ends what was made for another account. */
function leave() {
  connection?.close();
  lobby?.close();
  lobby = undefined;
}

/** The way to the lobby of the account chosen. */
function attached() {
  const record = chosen();
  if (lobby === undefined || lobby.over !== null) lobby = new Lobby(client, { did: record.did, sign: deviceOf(record).sign }, hold);
  return lobby;
}

/** A head that the lobby shows: one of another history ends everything. */
function hold(head) {
  holdHead(client, head).catch((error) => {
    if (error.constructor.name !== "ProofFault") return;
    leave();
    failed(error);
  });
}

/** Returns the name as a whole, or says what is wrong with what stands there. */
function read() {
  try {
    const { name } = client.subject(input.value);
    if (name !== undefined) return name;
  } catch {
    // said below
  }
  complain(`That is no name of this zone: a private server is called like db.alice, or db.alice.${client.zone}.`);
  input.focus();
  return null;
}

function complain(what) {
  complainOf(input, wrong, what);
}

const STEPS = { name: "The name is looked up, and the proof is checked", lobby: "The lobby is reached", answer: "Its answer is awaited: signed by a device of its owner", path: "A way from here to there is found", proved: "Both ends show each other who they are" };

/** Connects, and shows how far that is. */
async function reach(name) {
  connection?.close();
  const items = new Map(Object.entries(STEPS).map(([step, text]) => [step, el("li", {}, sign("open"), el("div", {}, text))]));
  const list = el("section", { class: "card" }, el("h2", {}, `Reaching ${name}`), el("ol", { class: "doing" }, [...items.values()]));
  fill(place, list);
  goTo(list.querySelector("h2"));
  const reached = new Set();
  const step = (which) => {
    reached.add(which);
    const now = Object.keys(STEPS).find((one) => !reached.has(one));
    for (const [one, item] of items) {
      const kind = reached.has(one) ? "good" : one === now ? "turning" : "open";
      item.className = { good: "good", turning: "now", open: "" }[kind];
      item.firstChild.replaceWith(sign(kind));
    }
    if (now !== undefined) say(STEPS[now]);
  };
  step(null);
  try {
    const record = chosen();
    const who = { did: record.did, sign: deviceOf(record).sign };
    const made = await whileBusy(form.querySelector("button"), () => connect({ client, who, lobby: attached(), name, certificate, loopback, step }));
    certificate = newCertificate();
    connection = made;
    await draw(made, record);
  } catch (error) {
    certificate = newCertificate();
    failed(error, () => reach(name), name);
  }
}

function failed(error, again, name) {
  const told = peerTrouble(error, name ?? input.value, again, error.evidence && (() => download(error.evidence.name, error.evidence.bytes)));
  fill(place, told);
  goTo(told.querySelector("h2"));
  say(told.querySelector("h2").textContent);
}

/** Shows who is there, and what is served. */
async function draw(made, record) {
  const { name, host, answer } = made;
  const [here, there] = [kidOf(deviceOf(record).sign.key), kidOf(answer.card.from)].map((kid) => grouped(hex(kid)));
  const way = el("dd", {});
  const tellWay = async () => fill(way, { relayed: "through a relay, which sees neither names nor contents", direct: "directly, machine to machine" }[await made.path] ?? "encrypted from end to end");
  const state = el("div", { "aria-live": "polite" });
  const title = verdict("good", `${name} is reached, and both ends are proved`,
    el("p", {}, "Its owner stands in the log, and so does the device that answered; it knows yours the same way. Nobody in between can read or change what comes."));
  const leaving = el("button", { type: "button", class: "quiet", onclick: () => made.close() }, "Disconnect");
  const who = el("section", { class: "card" }, el("h2", {}, "Who is there"),
    facts([["Owner", el("code", {}, didText(host.did))], ["Its device", el("code", {}, there)], ["Your device", el("span", {}, el("code", {}, here), ` of ${record.name}`)], ["The way", way]]),
    fold("What this does not prove", el("p", {}, "That the files are what their owner says they are: only that they come from there, whole. And that nobody else is let in: whom it serves its owner decides.")),
    el("div", { class: "actions" }, leaving));
  const served = el("div", {}, el("p", { class: "tell" }, sign("turning"), "Asking what is served …"));
  fill(place, title, state, served, who);
  say(title.querySelector("h2").textContent);
  goTo(title.querySelector("h2"));
  tellWay();
  made.changed = (how) => {
    if (connection !== made) return;
    if (how === "renewing") fill(state, el("p", { class: "tell" }, tag("wait", "the way broke"), "Looking for another one. Nothing is lost …"));
    if (how === "stands") fill(state, el("p", { class: "tell" }, tag("good", "it stands again")));
    if (how === "stands") tellWay();
    if (how === "ended") failed(made.over, () => reach(name), name);
  };
  if (made.over !== null) return made.changed("ended");
  await filesPart(made, served, record).catch((error) => made.over === null && fill(served, peerTrouble(error, name, () => filesPart(made, served, record))));
}
