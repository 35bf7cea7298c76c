// Recover an account of which every device is lost: asks for its name, or goes on with what was begun in this browser (recover_steps.js).

import { byId, el, fill, whileBusy } from "./dom.js";
import { waysIn } from "./issuers.js";
import { openPage } from "./shell.js";
import { showTrouble } from "./trouble.js";

const { client, info, store } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
const kept = await store.get(`recover/${client.origin}`);
if (kept === undefined) askName(new URLSearchParams(location.search).get("name") ?? "");
else (await steps()).goOn(kept);

/** What comes after the name, when it is needed. */
async function steps() {
  const [{ stepsOf }, said] = await Promise.all([import("./recover_steps.js"), info.catch(() => ({}))]);
  return stepsOf({ client, store, place, askName, at, ways: waysIn(client, said) });
}

/** Marks where the reader is among the steps. */
function at(name) {
  const names = ["name", "pin", "signin", "wait", "back"];
  [...byId("way").children].forEach((item, i) => {
    item.className = i < names.indexOf(name) ? "done" : "";
    if (names[i] === name) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function askName(typed) {
  at("name");
  const input = el("input", { type: "text", id: "name", required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false", placeholder: `alice.${client.zone}`, value: typed });
  const failed = el("div", { hidden: true });
  const button = el("button", {}, "Go on");
  const form = el("form", { class: "card" }, el("h2", {}, "Which account?"), el("p", {}, "You need its PIN, and the sign-in that you enrolled with. If you have a device or the twelve words of the account, ", el("a", { href: "/signin" }, "sign in"), " with those: it is faster."),
    el("div", { class: "field" }, el("label", { for: "name" }, "Your name"), input), failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, () => steps().then(({ askPin }) => askPin(input.value)).catch((error) => showTrouble(failed, error)));
  });
  fill(place, form);
}
