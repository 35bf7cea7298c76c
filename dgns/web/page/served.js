// What a private server serves: databases, a list of files, downloads that go on where they stood, files followed as they grow and added to.

import { NetworkError } from "../client.js";
import { apart, databaseCard } from "./databases.js";
import { complainOf, el, fill, fold, goTo, say, show, sign, table, whenText, whileBusy } from "./dom.js";
import { fetchFile } from "./parts.js";
import { peerTrouble } from "./peer_trouble.js";
import { download } from "./save.js";

/** Files shown at once, bytes of a followed file that are shown from before, lines of it that are kept, and characters of a line that is added. */
const [SHOWN_MAX, BEFORE_BYTES, LINES_MAX, LINE_MAX] = [100, 65_536n, 2000, 4000];
const PROGRESS_MS = 200;

/** Shows the databases and files of a connection in `place`, with what can be done with each; `record` = the account that came. */
export async function filesPart(connection, place, record) {
  const { files, databases } = apart(connection.client, await connection.list());
  const [rows, followed, log] = [el("div", {}), el("div", {}), el("div", {})];
  const told = (error, keep) => peerTrouble(error, connection.name, undefined, keep);
  const read = async (name, label) => {
    try {
      const [{ AtHost }, { showLog }] = await Promise.all([import("../lobby/store.js"), import("./database_log.js")]);
      await showLog(new AtHost(connection), record, name, label, log, told);
    } catch {
      fill(log, told(new NetworkError("the page could not be loaded whole")));
    }
  };
  const cards = [...databases].map(([name, logs]) => databaseCard(name, logs, read));
  const given = fold("You were given a grant or a token", givenForm(connection, followed));
  let shown = SHOWN_MAX;
  const find = el("input", { type: "search", id: "find-file", autocomplete: "off", spellcheck: "false", oninput: () => draw() });
  const draw = () => {
    const found = files.filter(({ path }) => path.toLowerCase().includes(find.value.toLowerCase()));
    const more = found.length > shown && el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => ((shown += SHOWN_MAX), draw()) }, `Show more of ${found.length}`));
    fill(rows, found.length === 0 ? el("p", { class: "soft" }, files.length > 0 ? "No file is called so." : databases.size > 0 ? "Nothing else is served to you." : "Nothing is served to you, yet.")
      : table([["File"], ["Size", "number"], ["Changed"], ["What you can do"]], found.slice(0, shown).map((file) => rowOf(connection, file, followed))), more);
  };
  draw();
  fill(place, cards, log, el("section", { class: "card" }, el("h2", {}, files.length === 1 ? "One file" : `${files.length} files`),
    files.length > 10 && el("div", { class: "field" }, el("label", { for: "find-file" }, "Find among them"), find), rows, given), followed);
  say(databases.size > 0 ? `${databases.size} databases, ${files.length} files` : `${files.length} files`);
}

function rowOf(connection, file, followed) {
  const state = el("div", { role: "status" });
  const get = el("button", { type: "button", class: "small", "aria-label": `Download ${file.path}`, onclick: () => fetching(connection, file, state, get) }, "Download");
  const follow = el("button", { type: "button", class: "small quiet", "aria-label": `Follow ${file.path}`, onclick: () => following(connection, file, followed, follow) }, "Follow");
  return [el("strong", {}, file.path), sizeText(file.size), whenText(file.modifiedS * 1000n), [el("div", { class: "asks" }, get, follow), state]];
}

/** Downloads a file: what is here already is not fetched again, and every chunk is checked before it counts. */
async function fetching(connection, { path }, state, button) {
  const [bar, text, stop] = [el("progress", { max: 1, value: 0, "aria-label": `Download of ${path}` }), el("span", { class: "soft small" }), new AbortController()];
  const halt = el("button", { type: "button", class: "small quiet", onclick: () => stop.abort() }, "Pause");
  fill(state, bar, text, " ", halt);
  let [toldMs, began] = [0, null];
  const progress = (there, size) => {
    const now = performance.now();
    began ??= { there, now };
    if (now - toldMs < PROGRESS_MS && there < size) return;
    toldMs = now;
    bar.value = size === 0 ? 1 : there / size;
    const rate = now - began.now > 500 ? `, ${sizeText(((there - began.there) / (now - began.now)) * 1000)} a second` : "";
    text.textContent = `${sizeText(there)} of ${sizeText(size)}${rate}`;
  };
  await whileBusy(button, async () => {
    try {
      const { blob, kept } = await fetchFile(connection, path, progress, stop.signal);
      const name = path.split("/").at(-1);
      download(name, blob);
      const again = el("button", { type: "button", class: "small quiet", onclick: () => download(name, blob) }, "Save again");
      const before = kept > 0 && kept < blob.size ? `, ${sizeText(kept)} of it from before` : "";
      fill(state, el("p", { class: "tell good" }, sign("good"), el("span", {}, `Every chunk checked: ${sizeText(blob.size)}${before}.`)), again);
    } catch (error) {
      if (stop.signal.aborted) fill(state, el("p", { class: "soft small" }, "Paused. What came is kept: go on by Download."));
      else fill(state, peerTrouble(error, path));
    }
  });
}

/** Where a grant or a token is shown, for a log that the rules of the host alone do not open. */
function givenForm(connection, followed) {
  const [text, path] = [el("textarea", { id: "given", rows: 3, autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "given-error" }),
    el("input", { type: "text", id: "given-log", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, placeholder: "logs/today.log" })];
  const [wrong, button, state] = [el("p", { class: "error", id: "given-error", role: "alert", hidden: true }), el("button", {}, "Open the log"), el("div", { role: "status" })];
  const open = async () => {
    complainOf(text, wrong, null);
    try {
      connection.shows(text.value);
    } catch {
      complainOf(text, wrong, "This is neither a token (dgt1. and so on) nor what “dgns grant” prints (dgg1. and so on).");
      return text.focus();
    }
    await whileBusy(button, async () => {
      try {
        const { size } = await connection.lease(path.value.trim());
        fill(state);
        following(connection, { path: path.value.trim(), size }, followed, button);
      } catch (error) {
        fill(state, peerTrouble(error, path.value.trim()));
      }
    });
  };
  return el("form", { class: "field", novalidate: true, onsubmit: (event) => (event.preventDefault(), open()) },
    el("p", { class: "hint" }, "It is shown to this server alone, signed for this very moment, and kept nowhere."),
    el("label", { for: "given" }, "The grant or the token"), text, wrong, el("label", { for: "given-log" }, "The log it is for"), path, el("div", { class: "actions" }, button), state);
}

/** Where lines are added to a log, if the host lets this device. */
function addingForm(connection, path) {
  const line = el("input", { type: "text", id: "add-line", autocomplete: "off", maxlength: LINE_MAX, "aria-describedby": "add-state" });
  const [button, state] = [el("button", { class: "small" }, "Add"), el("div", { id: "add-state", role: "status" })];
  const add = () => whileBusy(button, async () => {
    try {
      const { size } = await connection.append(path, line.value);
      line.value = "";
      fill(state, el("p", { class: "tell good" }, sign("good"), el("span", {}, `It is on the server’s disk: the log has ${sizeText(size)}.`)));
    } catch (error) {
      fill(state, peerTrouble(error, path));
    }
    line.focus();
  });
  return el("form", { class: "field", onsubmit: (event) => (event.preventDefault(), add()) }, el("label", { for: "add-line" }, "Add a line"), el("div", { class: "asks" }, line, button), state);
}

/** Shows a file as it grows. */
async function following(connection, { path, size }, place, button) {
  const [text, stop, decoder] = [el("pre", { class: "opened", tabindex: "0", role: "log", "aria-label": path }), new AbortController(), new TextDecoder()];
  const halt = el("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Stop");
  const [failed, adding] = [el("div", { hidden: true }), el("div", {})];
  const part = el("section", { class: "card" }, el("h2", {}, path), el("p", { class: "hint" }, "What is added at the end is shown as it comes."), text, adding, failed, el("div", { class: "actions" }, halt));
  fill(place, part);
  // Whoever may only read is not asked to write.
  connection.mayWrite(path).then((may) => may && fill(adding, addingForm(connection, path)));
  goTo(part.querySelector("h2"));
  let lines = "";
  const take = (bytes) => {
    const isAtEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
    lines = (lines + decoder.decode(bytes, { stream: true })).split("\n").slice(-LINES_MAX).join("\n");
    text.textContent = lines;
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  };
  await whileBusy(button, async () => {
    try {
      await connection.tail(path, size > BEFORE_BYTES ? size - BEFORE_BYTES : 0n, take, stop.signal);
    } catch (error) {
      show(failed);
      fill(failed, peerTrouble(error, path));
    }
  });
  show(halt, false);
}

/** Returns bytes in their largest fitting unit. */
function sizeText(bytes) {
  const number = Number(bytes);
  const units = ["bytes", "kB", "MB", "GB"];
  const power = number < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(number) / 3));
  return power === 0 ? `${Math.round(number)} byte${Math.round(number) === 1 ? "" : "s"}` : `${(number / 1000 ** power).toFixed(number / 1000 ** power < 10 ? 1 : 0)} ${units[power]}`;
}
