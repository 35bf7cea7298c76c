// What a private server serves: a list, downloads that go on where they stood, files followed as they grow.

import { el, fill, goTo, say, show, sign, table, whenText, whileBusy } from "./dom.js";
import { fetchFile } from "./parts.js";
import { peerTrouble } from "./peer_trouble.js";
import { download } from "./save.js";

/** Files shown at once, bytes of a followed file that are shown from before, and lines of it that are kept. */
const [SHOWN_MAX, BEFORE_BYTES, LINES_MAX] = [100, 65_536n, 2000];
const PROGRESS_MS = 200;

/** Shows the files of a connection in `place`, with what can be done with each. */
export async function filesPart(connection, place) {
  const files = await connection.list();
  const [rows, followed] = [el("div", {}), el("div", {})];
  let shown = SHOWN_MAX;
  const find = el("input", { type: "search", id: "find-file", autocomplete: "off", spellcheck: "false", oninput: () => draw() });
  const draw = () => {
    const found = files.filter(({ path }) => path.toLowerCase().includes(find.value.toLowerCase()));
    const more = found.length > shown && el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => ((shown += SHOWN_MAX), draw()) }, `Show more of ${found.length}`));
    fill(rows, found.length === 0 ? el("p", { class: "soft" }, files.length === 0 ? "Nothing is served to you, yet." : "No file is called so.")
      : table([["File"], ["Size", "number"], ["Changed"], ["What you can do"]], found.slice(0, shown).map((file) => rowOf(connection, file, followed))), more);
  };
  draw();
  fill(place, el("section", { class: "card" }, el("h2", {}, files.length === 1 ? "One file" : `${files.length} files`),
    files.length > 10 && el("div", { class: "field" }, el("label", { for: "find-file" }, "Find among them"), find), rows), followed);
  say(`${files.length} files`);
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

/** Shows a file as it grows. */
async function following(connection, { path, size }, place, button) {
  const [text, stop, decoder] = [el("pre", { class: "opened", tabindex: "0", role: "log", "aria-label": path }), new AbortController(), new TextDecoder()];
  const halt = el("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, "Stop");
  const failed = el("div", { hidden: true });
  const part = el("section", { class: "card" }, el("h2", {}, path), el("p", { class: "hint" }, "What is added at the end is shown as it comes."), text, failed, el("div", { class: "actions" }, halt));
  fill(place, part);
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
