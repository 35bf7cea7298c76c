// What is sealed to a person: written on the page of their name, read on the page of their devices (PROTOCOL 21.3).

import { base64, unbase64 } from "../hash.js";
import { note } from "./account.js";
import { el, fill, fold, goTo, whileBusy } from "./dom.js";
import { download } from "./save.js";
import { showTrouble } from "./trouble.js";

/** Returns the form that seals a text to the person of a verified lookup, who has a user key. */
export function sealForm(found) {
  const { did, generation, key } = { did: found.did.did, ...found.did.userKey };
  const text = el("textarea", { id: "to-seal", rows: 3, required: true, "aria-describedby": "to-seal-hint" });
  const place = el("div", { hidden: true });
  const button = el("button", { class: "quiet" }, "Seal it");
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: "to-seal" }, "What only they shall read"), text, el("p", { class: "hint", id: "to-seal-hint" }, "It is sealed in this browser, to the key that was just proved. Nothing is sent.")),
    el("div", { class: "actions" }, button), place);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      try {
        const { sealFile } = await import("../user_key.js");
        const sealed = await sealFile(did, generation, key, new TextEncoder().encode(text.value));
        const out = el("textarea", { id: "sealed", rows: 4, readonly: true }, base64(sealed));
        fill(place, note("good", "Sealed. Send it any way you like: only their devices open it."), el("div", { class: "field" }, el("label", { for: "sealed" }, "The sealed text"), out),
          el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => download(`${found.subject}.sealed`, sealed) }, "Save as a file")));
        place.hidden = false;
        goTo(out);
      } catch (error) {
        showTrouble(place, error);
      }
    });
  });
  return form;
}

/** Returns the form that opens what was sealed to the account of a record; `found` is its verified lookup. */
export function openForm(client, record, found) {
  if (found.did.userKey === undefined) return null;
  const id = `to-open-${record.id}`;
  const text = el("textarea", { id, rows: 3 });
  const file = el("input", { type: "file", id: `${id}-file` });
  const place = el("div", { hidden: true });
  const button = el("button", { class: "quiet" }, "Open it");
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: id }, "The sealed text"), text), el("div", { class: "field" }, el("label", { for: `${id}-file` }, "Or a sealed file"), file), el("div", { class: "actions" }, button), place);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      try {
        const bytes = file.files.length > 0 ? new Uint8Array(await file.files[0].arrayBuffer()) : unbase64(text.value.replaceAll(/\s/g, "")) ?? new Uint8Array(0);
        const { openSealed } = await import("./user_keys.js");
        const content = new TextDecoder().decode(await openSealed(client, record, found, bytes));
        const out = el("p", { class: "opened" }, content);
        fill(place, note("good", "It was sealed to you, and opens with this device."), out);
        place.hidden = false;
        goTo(out);
      } catch (error) {
        showTrouble(place, error);
      }
    });
  });
  return fold("Read what was sealed to you", form);
}
