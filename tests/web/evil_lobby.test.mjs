// A lobby that lies, between unmodified ends: whatever it changes, the page shows no byte of data, and says why.

import assert from "node:assert/strict";
import { after, before, test as run } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { alices, reach, told, toldSoFar, visitor } from "./hosting.mjs";
import { startLiar } from "./liar.mjs";
import { certified } from "./newcomer.mjs";
import { startServer } from "./server.mjs";
import { encodeEnvelope } from "../../dgns/web/certificate.js";
import { KIND, encodeCard, openCard, signCard } from "../../dgns/web/lobby/card.js";
import { opened } from "../../dgns/web/lobby/envelope.js";

const test = (claim, body) => run(claim, { timeout: 600_000 }, body);
/** A device may knock at a name six times a minute. */
const KNOCKS = 5;

let [server, browser, alice, host, liar, mallory, origin] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  origin = `${server.zone}/log`;
  alice = await alices(server);
  [host, liar, mallory] = await Promise.all([alice.host("--allow", "certified"), startLiar(server.url), certified(server.url, "mallory")]);
});
after(async () => {
  await alice?.gone();
  await browser?.stop();
  await liar?.stop();
  await server?.stop();
});

/** Knocks as often as there are lies; a new visitor takes over before anybody knocks too often. `each(page)` looks at what is shown. */
async function knocks(lies, each) {
  const connected = toldSoFar(host, "connected").length;
  let [bob, knocked] = [];
  for (const [what, lie, ...expected] of lies) {
    if (bob === undefined || knocked === KNOCKS) {
      await bob?.profile.close();
      liar.lie = (_, frame) => [frame];
      [bob, knocked] = [await visitor(browser, liar.url), 0];
    }
    knocked += 1;
    liar.lie = lie;
    await reach(bob.page);
    await each(bob.page, what, ...expected);
    assert.equal(await bob.page.locator("#answer").getByText("logs/today.log").count(), 0, what);
    assert.deepEqual(bob.profile.complaints, [], what);
  }
  await bob.profile.close();
  assert.equal(toldSoFar(host, "connected").length, connected, "the host saw nobody");
}

/** Says that whoever answers is not believed, by one of these codes. */
const isCaught = async (page, what, ...codes) => {
  await sees(page, "Not proved: whoever answers for");
  const code = await page.locator("#answer code").last().innerText();
  assert.ok(codes.includes(code), `${what}: ${code}`);
  assert.equal(await page.locator("main .verdict.good").count(), 0, what);
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save the evidence" }).click();
  assert.match((await saved).suggestedFilename(), new RegExp(`^lobby-[0-9a-f]{32}-${code}\\.json$`));
};
const isSilent = async (page, what) => void (await sees(page, /No answer|The lobby is not reached/).catch((error) => assert.fail(`${what}: ${error.message}`)));

/** A lie about cards on their way to the page, or from it. */
const about = (where, change) => (to, frame) => (to === where && frame.card !== undefined ? [change(frame)].flat() : [frame]);
const withCard = (frame, bytes) => ({ ...frame, card: bytes });

/** Another payload under the signature of the one before. */
function underOldSignature(frame, change) {
  const { card } = openCard(frame.card);
  const { kid, signature } = opened(frame.card, 3072);
  return withCard(frame, encodeEnvelope(encodeCard({ ...card, ...change(card) }), [{ kid, signature }]));
}

const CHANGES = [
  ["the certificate", () => ({ fingerprint: new Uint8Array(32).fill(7) })],
  ["where it is reached", ({ candidates }) => ({ candidates: candidates.map((one) => ({ ...one, address: "127.0.0.66" })) })],
  ["the ICE password", () => ({ pwd: "a".repeat(24) })],
  ["the largest message", () => ({ messageMax: 1 })],
  ["the time", ({ expiresS }) => ({ expiresS: expiresS + 1n })],
];

test("an answer that was changed, or that somebody else gives, is refused, and evidence is kept", async () => {
  const changed = CHANGES.map(([what, change]) => [what, about("client", (frame) => underOldSignature(frame, change)), "bad_signature"]);
  // Mallory is in the log, and not the host.
  let signing = null;
  const asMallory = (change) => (to, frame) => {
    if (to !== "client" || frame.card === undefined) return [frame];
    if (signing !== null) return [withCard(frame, signing)];
    const { card } = openCard(frame.card);
    signCard({ ...card, from: mallory.sign.key, did: mallory.did, ...change(card) }, origin, mallory.sign).then(({ bytes }) => (signing = bytes));
    return []; // it comes again
  };
  const bare = { ufrag: undefined, pwd: undefined, fingerprint: undefined, candidates: undefined, last: undefined, messageMax: undefined };
  const others = [
    ["another device answers", asMallory(() => ({})), "not_host"],
    ["another device of the host's name", asMallory((card) => ({ did: card.did })), "not_host"],
    ["the host's device, another's key", asMallory((card) => ({ did: card.did, from: card.from })), "bad_signature"],
    ["another device says no", asMallory(() => ({ kind: KIND.deny, ...bare, code: "denied" })), "not_host"],
    ["another device as its own host, long ago", asMallory(({ expiresS }) => ({ expiresS: expiresS - 400n })), "expired"],
  ];
  await knocks([...changed, ...others.map(([what, lie, ...codes]) => [what, (to, frame) => lie(to, frame), ...codes])], async (page, ...rest) => {
    await isCaught(page, ...rest);
    signing = null;
  });
});

test("an answer to somebody else, or to another knock, is none", async () => {
  const kept = [];
  const keeping = about("client", (frame) => (kept.push(frame.card), []));
  const showing = about("client", (frame) => withCard(frame, kept[0]));
  const doubling = about("client", (frame) => (kept.push(frame.card), [frame]));
  // The first visitor's answer, shown to the second.
  liar.lie = (_, frame) => [frame];
  const [one, other] = [await visitor(browser, liar.url), await visitor(browser, liar.url)];
  liar.lie = keeping;
  await reach(one.page);
  await isSilent(one.page, "an answer that is kept back");
  liar.lie = showing;
  await reach(other.page);
  await isCaught(other.page, "to somebody else", "wrong_target");
  // An answer of before, shown again.
  await reach(one.page);
  await isSilent(one.page, "to another knock");
  liar.lie = doubling;
  await reach(one.page);
  await sees(one.page, "both ends are proved");
  assert.deepEqual([one.profile.complaints, other.profile.complaints], [[], []]);
  await Promise.all([one.profile.close(), other.profile.close()]);
});

test("an offer that was changed reaches nobody, and what is forged, lost for good or spoken otherwise ends by name", async () => {
  const offers = CHANGES.slice(0, 3).map(([what, change]) => [what, about("server", (frame) => underOldSignature(frame, change))]);
  const forged = [
    ["an acknowledgement that nobody gave", (to, frame) => (to === "server" && frame.t === "knock" ? [] : [frame])],
    ["a refusal that nobody gave", (to, frame) => (to === "client" && frame.t === "signal" ? [{ t: "err", code: "unavailable", sess: frame.sess }] : [frame])],
    ["text", (to, frame) => (to === "client" && frame.t === "welcome" ? [new Uint8Array([0xff])] : [frame])],
  ];
  await knocks([...offers, ...forged], isSilent);
});

test("a hello for another place is not signed", async () => {
  const hellos = [];
  const lie = (to, frame) => {
    if (to === "server" && frame.t === "hello") hellos.push(frame);
    return [frame.t === "challenge" ? { ...frame, url: "wss://elsewhere.example/v1/lobby" } : frame];
  };
  await knocks([["another URL", lie]], (page) => sees(page, "The lobby is not the one this page came from"));
  assert.equal(hellos.length, 0);
});

test("what is doubled, turned around or lost once connects once", async () => {
  const connected = toldSoFar(host, "connected").length;
  liar.lie = (_, frame) => [frame];
  const bob = await visitor(browser, liar.url);
  const isCards = ({ t }) => ["knock", "signal", "ack"].includes(t);
  const [lost, late] = [new Set(), []];
  const lies = [
    (_, frame) => (isCards(frame) ? [frame, frame, frame] : [frame]),
    (to, frame) => (isCards(frame) && !lost.has(`${to} ${frame.t}`) ? (lost.add(`${to} ${frame.t}`), []) : [frame]),
    (to, frame) => (to === "client" && frame.t === "signal" && late.length === 0 ? (late.push(frame), []) : to === "client" && frame.t === "signal" ? [frame, ...late.splice(0)] : [frame]),
  ];
  for (const lie of lies) {
    liar.lie = lie;
    await reach(bob.page);
    await sees(bob.page, "both ends are proved");
  }
  assert.equal(toldSoFar(host, "connected").length, connected + lies.length);
  assert.deepEqual(bob.profile.complaints, []);
  await bob.profile.close();
});

/** The names of the evidence that a page's browser keeps. */
const keptEvidence = () => new Promise((done, failed) => {
  const opening = indexedDB.open("dgns");
  opening.onerror = () => failed(opening.error);
  opening.onsuccess = () => {
    const keys = opening.result.transaction("kept").objectStore("kept").getAllKeys();
    keys.onsuccess = () => (opening.result.close(), done(keys.result.filter((key) => key.includes("/evidence/")).map((key) => key.split("/").at(-1))));
  };
});

test("two histories are found by the page and by the host, and both keep what convicts the log", async () => {
  // The browser reads one log, the host the other, which has the same key; the lobby between them shows no head to anybody.
  const bob = await visitor(browser, server.url);
  const other = await startServer("", "", 3600, server);
  await Promise.all([server.dgns("carol", "up", "carol-one"), other.dgns("david", "up", "david-two")]);
  const between = await startLiar(other.url, server.url);
  between.lie = (_, frame) => [["hello", "welcome"].includes(frame.t) ? { ...frame, head: undefined } : frame];
  other.through(between.url);
  const apart = other.starts("alice", "--json", "host", "--name", "db.alice", alice.path("."), "--allow", "certified");
  await alice.gone();
  try {
    await told(apart, "online");
    await reach(bob.page);
    await sees(bob.page, "The log was caught lying");
    await sees(bob.page, "signed two histories");
    assert.equal(await bob.page.locator("main .verdict.good").count(), 0);
    assert.equal(await bob.page.locator("#answer").getByText("logs/today.log").count(), 0);
    const code = await bob.page.locator("#answer code").last().innerText();
    const saving = bob.page.waitForEvent("download");
    await bob.page.getByRole("button", { name: "Save the evidence" }).click();
    const saved = await saving;
    assert.match(saved.suggestedFilename(), new RegExp(`-${code}\\.fault$`));
    await assert.rejects(server.dgns("judge", "verify", await saved.path()), ({ code: exit }) => exit === 3, "it convicts the log");
    assert.deepEqual(await bob.page.evaluate(keptEvidence), [saved.suggestedFilename()]);
    assert.equal((await told(apart, "fault")).code, code);
    assert.deepEqual(bob.profile.complaints, []);
  } finally {
    apart.stop();
    await Promise.all([apart.ended(), between.stop(), other.stop(), bob.profile.close()]);
  }
});
