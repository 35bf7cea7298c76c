// Letters: a form that seals one to each device of a person, and what came for the device of an account (PROTOCOL 22).

import { encode } from "../cbor.js";
import { hex, sha256 } from "../hash.js";
import { didText } from "../name.js";
import { note } from "./account.js";
import { el, fill, goTo, whenText, whileBusy } from "./dom.js";
import { accounts, deviceOf } from "./me.js";
import { download } from "./save.js";
import { signedBytesOf } from "./signed.js";
import { showTrouble } from "./trouble.js";

/** Returns the form that writes to the person of a verified lookup. */
export function letterForm(client, store, found) {
  const text = el("textarea", { id: "letter", rows: 4, required: true, "aria-describedby": "letter-hint" });
  const hint = el("p", { class: "hint", id: "letter-hint" }, "Sealed in this browser to each of their keys, and kept by the server until they have it: 30 days at most. It cannot read it.");
  const from = el("div", {});
  const place = el("div", { hidden: true });
  const button = el("button", {}, "Send it");
  accounts(store, client.origin).then((all) => fill(from, signerChoice(all.filter(({ did }) => did !== undefined))));
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: "letter" }, "Your letter"), text, hint), from, el("div", { class: "actions" }, button), place);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      try {
        const signer = form.querySelector("input[name=signer]:checked")?.value ?? "";
        const record = (await accounts(store, client.origin)).find(({ id }) => id === signer);
        const { sent, all } = await send(client, found, text.value, record);
        const whole = sent === all ? `It waits for ${all === 1 ? "their one key" : `all ${all} of their keys`}.` : `It waits for ${sent} of their ${all} keys; the others take no more at the moment.`;
        fill(place, note(sent > 0 ? "good" : "bad", sent > 0 ? `Sent. ${whole}` : "None of their keys takes letters at the moment."));
        if (sent > 0) text.value = "";
        place.hidden = false;
        goTo(place);
      } catch (error) {
        showTrouble(place, error);
      }
    });
  });
  return form;
}

/** Lets the writer choose whether to sign, and as whom; null where there is nobody to sign as. */
function signerChoice(records) {
  if (records.length === 0) return el("p", { class: "hint" }, "Nobody has keys in this browser: your letter will not be signed, and they are not told who wrote.");
  const choice = (value, words, checked) => el("label", { class: "choice" }, el("input", { type: "radio", name: "signer", value, checked }), el("span", {}, words));
  return el("fieldset", {}, el("legend", {}, "Who wrote it"), records.map(({ id, name }, i) => choice(id, `${name}, signed by this browser`, i === 0)), choice("", "Nobody: do not sign it", false));
}

/** Seals a letter to each key and puts it before each; returns how many took it. */
async function send(client, found, text, record) {
  const [{ sealLetter, writeLetter, LETTER_BYTES_MAX }, { receiversOf }, { Refused }] = await Promise.all([import("../mail.js"), import("../finding.js"), import("../cbor.js")]);
  const content = new TextEncoder().encode(text);
  if (content.length > LETTER_BYTES_MAX) throw new Refused("too_large", `a letter has at most ${LETTER_BYTES_MAX} bytes; this has ${content.length}`);
  const { did } = found.did;
  const from = record === undefined ? null : { did: record.did, sign: deviceOf(record).sign };
  const letter = await writeLetter(client.origin, did, { sentS: BigInt(Math.floor(client.now() / 1000)), content }, from);
  const receivers = receiversOf(found);
  let [sent, failure] = [0, null];
  for (const receiver of receivers) {
    const { enc, ct } = await sealLetter(did, receiver, letter);
    const rows = [[1, did], [2, receiver.sign], [3, enc], [4, ct], ...(receiver.alias === undefined ? [] : [[5, receiver.alias]])];
    await client.net.post("/v1/envelopes", encode(new Map(rows))).then(() => sent++, (error) => (failure = error));
  }
  if (sent === 0 && failure !== null) throw failure;
  return { sent, all: receivers.length };
}

const keyOf = (record) => `letters/${record.id}`;

/** Returns the section with the letters to the device of a record; what waits is fetched when it is opened. */
export function inbox(client, store, record) {
  const place = el("div", { "aria-live": "polite" });
  const button = el("button", { type: "button", class: "quiet", onclick: () => whileBusy(button, look) }, "Look for new ones");
  const look = async () => {
    try {
      const unread = await fetchLetters(client, store, record);
      await drawLetters(client, store, record, place, unread);
    } catch (error) {
      showTrouble(place, error, look);
    }
  };
  const section = el("section", { class: "card" }, el("h3", {}, "Letters"), place, el("div", { class: "actions" }, button),
    el("p", { class: "hint" }, "They lie in this browser alone: the server forgets them when this browser has them."));
  look();
  return section;
}

/** Fetches what waits, keeps it, and has the server forget it; returns how many did not open. */
async function fetchLetters(client, store, record) {
  const [{ openLetter }, { Reader, Refused }, { bytesOf, listOf, tuple, u64 }] = await Promise.all([import("../mail.js"), import("../cbor.js"), import("../fields.js")]);
  const waitingOf = listOf(tuple(u64, tuple(bytesOf(32), (reader) => reader.bstr())), 0, 64);
  const device = deviceOf(record);
  let [after, unread] = [0n, 0];
  for (;;) {
    const reader = new Reader(await signedBytesOf(client, record, `/v1/envelopes?after=${after}`));
    const waiting = waitingOf(reader);
    reader.end();
    if (waiting.length === 0) return unread;
    for (const [place, [enc, ct]] of waiting) {
      try {
        const letter = await openLetter(client.origin, record.did, { sign: device.sign.key, kex: device.kex }, { enc, ct });
        await keep(store, record, { id: hex(sha256(enc, ct)).slice(0, 12), place, atMs: client.now(), ...letter, by: await writerOf(client, letter.from) });
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        unread++;
      }
    }
    if (waiting.at(-1)[0] <= after) throw new Refused("bad_field", "the same letters again");
    after = waiting.at(-1)[0];
  }
}

/** Returns who wrote, if the log has the key as a device that may speak: a name, or the identifier; else null. */
async function writerOf(client, from) {
  if (from === null) return null;
  const { did, status } = await client.lookup({ did: from.did });
  const speaks = status === "present" && did.devices.some(({ sign, status: standing }) => hex(sign) === hex(from.key) && standing !== 3);
  return speaks ? did.names[0] ?? didText(from.did) : null;
}

const keep = (store, record, letter) => change(store, record, (all) => [...all.filter(({ id }) => id !== letter.id), letter]);
const change = (store, record, edit) => store.alone(keyOf(record), async () => store.set(keyOf(record), edit((await store.get(keyOf(record))) ?? [])));

async function drawLetters(client, store, record, place, unread) {
  const all = ((await store.get(keyOf(record))) ?? []).sort((a, b) => Number(b.place - a.place));
  const forget = async (letter) => {
    await change(store, record, (kept) => kept.filter(({ id }) => id !== letter.id));
    await drawLetters(client, store, record, place, 0);
  };
  fill(place, unread > 0 && note("wait", `${unread} did not open with this browser's key, and are gone.`), all.length === 0 && el("p", { class: "soft" }, "No letters."),
    el("ul", { class: "plain" }, all.map((letter) => el("li", { class: "card" }, ...drawn(letter, forget)))));
}

/** A letter: who wrote, when, what. Its text is text and nothing else. */
function drawn(letter, forget) {
  const { by, from, name, content, atMs, id } = letter;
  const who = by !== null ? note("good", "From ", el("strong", {}, by), ", and that is proved") : from !== null ? note("bad", "Signed by a key that the log has as nobody's: do not believe who it says") : note("know", "Nobody signed it");
  const body = name === null ? el("p", { class: "opened" }, new TextDecoder().decode(content))
    : el("p", {}, `A file, ${content.length} bytes: `, el("button", { type: "button", class: "quiet small", onclick: () => download(name, content) }, `Save ${name}`));
  const remove = el("button", { type: "button", class: "danger small", "aria-describedby": `letter-${id}`, onclick: () => forget(letter) }, "Delete");
  return [who, el("p", { class: "soft small", id: `letter-${id}` }, `Came ${whenText(atMs)}`), body, el("div", { class: "actions" }, remove)];
}
