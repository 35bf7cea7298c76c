// Passkeys on the pages: the card with their button, the list of an account's, and what one opens before any device has let the browser in.

import { Refused } from "../cbor.js";
import { equal, hex, sha256, unbase64 } from "../hash.js";
import { decodeBoxes, decodeFile, openBoxes, openFile, openPrevious } from "../user_key.js";
import { note } from "./account.js";
import { el, fill, fold, goTo, say, table, tag, whenText, whileBusy } from "./dom.js";
import { deviceOf } from "./me.js";
import { makePasskey, noteRecipient, passkeysOf, removePasskey } from "./passkey.js";
import { showTrouble } from "./trouble.js";
import { extrasWith, withUserKey } from "./user_keys.js";

/** Lets a passkey of an account open its user key, and tells the server by which recipient; returns the account. */
export async function letOpen(client, record, found, { id, recipient }) {
  const extras = extrasWith(found.did.userKey?.extras ?? [], recipient);
  if (extras === null) throw new Refused("too_many", "four passkeys open what is sealed to this account already; this one signs in all the same");
  const after = await withUserKey(client, record, found, extras);
  await noteRecipient(client, record, id, recipient);
  return after;
}

/** Returns the passkeys of an account, with what its full device can do about them. `redraw()` shows the account anew. */
export async function passkeysPart(client, record, found, own, redraw) {
  const rows = await passkeysOf(client, record);
  const full = own.level === 2 && own.status === 1 && !found.frozen;
  const opens = ({ recipient }) => recipient !== null && (found.did.userKey?.extras ?? []).some(({ kex }) => equal(kex, recipient));
  const failed = el("div", { hidden: true });
  const told = (task) => task().then(redraw, (error) => showTrouble(failed, error));
  const what = (row) => [tag("", row.backedUp ? "on several devices" : "on one device"), " ", opens(row) ? tag("good", "opens sealed letters") : tag("", "signs in only")];
  const remove = (row, i) => el("button", { type: "button", class: "danger small", "aria-label": `Remove passkey ${i + 1}`, onclick: () => ask(row, i) }, "Remove");
  const called = (row, i) => [el("strong", {}, `Passkey ${i + 1}`), el("br"), el("span", { class: "soft small" }, `Made ${new Date(row.madeMs).toLocaleDateString("en-GB", { dateStyle: "medium" })}`)];
  const list = table([["Passkey"], ["What it does"], ["Used last"], ...(full ? [["What you can do"]] : [])],
    rows.map((row, i) => [called(row, i), what(row), whenText(row.usedMs), ...(full ? [remove(row, i)] : [])]));

  const add = async () => {
    const { passkey } = await makePasskey(client, record.name, record, deviceOf(record));
    say("The passkey is made");
    if (passkey.recipient !== undefined) await letOpen(client, record, await client.lookup({ did: record.did }), passkey);
  };
  const takeAway = async (row) => {
    await removePasskey(client, record, row);
    const shown = await client.lookup({ did: record.did });
    const extras = shown.did.userKey?.extras ?? [];
    if (row.recipient !== null) await withUserKey(client, record, shown, extras.filter(({ kex }) => !equal(kex, row.recipient)));
  };
  const ask = (row, i) => {
    const form = el("form", { method: "dialog" }, el("h2", { id: "remove-passkey" }, `Remove passkey ${i + 1}?`),
      el("p", {}, "It signs in here no more", opens(row) ? ", and opens nothing that is sealed to you from now on." : ".", " Your devices and your words stay as they are."),
      el("div", { class: "actions" }, el("button", { class: "danger", value: "yes" }, "Remove it"), el("button", { class: "quiet", value: "no" }, "Leave it")));
    const dialog = el("dialog", { "aria-labelledby": "remove-passkey" }, form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "yes") told(() => takeAway(row));
    });
    dialog.showModal();
  };
  const make = full && el("button", { type: "button", class: "quiet", onclick: () => whileBusy(make, () => told(add)) }, "Add a passkey");
  return el("div", { class: "card" }, el("h3", {}, "Passkeys"),
    el("p", { class: "soft" }, "A passkey finds this account on any browser, by your finger, face or PIN. A device of yours still lets the browser in. Some passkeys also open what is sealed to you."),
    failed, rows.length > 0 ? list : el("p", {}, "There is none yet."), make && el("div", { class: "actions" }, make));
}

/** Returns the form that opens what was sealed to an account, by the passkey that just signed in; null if it opens nothing. */
export function openerForm(found, boxes, opener) {
  const { did, userKey } = found.did;
  if (boxes === undefined || opener === undefined || userKey === undefined || !equal(sha256(boxes), userKey.boxes)) return null;
  const text = el("textarea", { id: "by-passkey", rows: 3, required: true });
  const place = el("div", { hidden: true });
  const button = el("button", { class: "quiet" }, "Open it");
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: "by-passkey" }, "The sealed text"), text), el("div", { class: "actions" }, button), place);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      try {
        const file = decodeFile(unbase64(text.value.replaceAll(/\s/g, "")) ?? new Uint8Array(0));
        if (!equal(file.did, did)) throw new Refused("not_opened", "it is sealed to somebody else");
        const seed = await openBoxes(decodeBoxes(boxes), did, userKey.generation, userKey.key, opener);
        const older = file.generation === userKey.generation - 1n;
        if (file.generation !== userKey.generation && !older) throw new Refused("not_opened", "it is of an older key; a device of yours opens it");
        const content = await openFile(file, older ? await openPrevious(decodeBoxes(boxes), did, userKey.generation, seed) : seed);
        const out = el("p", { class: "opened" }, new TextDecoder().decode(content));
        fill(place, note("good", "It was sealed to you, and opens with your passkey."), out);
        place.hidden = false;
        goTo(out);
      } catch (error) {
        showTrouble(place, error);
      }
    });
  });
  return fold("Read what was sealed to you now, by your passkey", form);
}
