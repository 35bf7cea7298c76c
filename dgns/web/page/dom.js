// Elements, and what is said to people who listen. Text is set as text alone: nothing that came from elsewhere becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an element: `el("p", { class: "soft" }, "text", child, null)`. A property that begins with `on` is a listener. */
export function el(tag, properties = {}, ...children) {
  return made(document.createElement(tag), properties, children);
}

/** Returns an SVG element. */
export function svg(tag, properties = {}, ...children) {
  return made(document.createElementNS(SVG, tag), properties, children);
}

function made(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Returns the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Puts children in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Shows an element, or hides it. */
export const show = (element, shown = true) => void (element.hidden = !shown);

/** Says in `place` what is wrong with what stands in a field, or with `null` that nothing is. */
export function complainOf(input, place, what) {
  show(place, what !== null);
  place.textContent = what ?? "";
  if (what === null) input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
}

/** Moves the reader, and the keyboard, to what is new. */
export function goTo(element) {
  if (!element.hasAttribute("tabindex")) element.setAttribute("tabindex", "-1");
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

/** Says something to people who listen, without moving them. */
export function say(text) {
  const place = byId("said") ?? document.body.appendChild(el("div", { id: "said", class: "unseen", role: "status" }));
  place.textContent = text;
}

const SIGNS = {
  good: "M5 12.5l4.5 4.5L19 7.5",
  bad: "M7 7l10 10M17 7L7 17",
  wait: "M12 7v5.5l3.5 2",
  know: "M12 11v6M12 7v.5",
};

/** Returns a sign beside words that say the same: `good`, `bad`, `wait`, `know`, `turning`, `open`. */
export function sign(kind) {
  const frame = { viewBox: "0 0 24 24", "aria-hidden": "true", class: kind === "turning" ? "turning" : null };
  const line = { fill: "none", stroke: "currentcolor", "stroke-width": 2.2, "stroke-linecap": "round", "stroke-linejoin": "round" };
  if (kind === "turning") return svg("svg", frame, svg("path", { ...line, d: "M12 3a9 9 0 1 1-9 9" }));
  const circle = svg("circle", { ...line, cx: 12, cy: 12, r: 10.5, "stroke-width": 1.8, "stroke-dasharray": kind === "open" ? "2 4" : null });
  return svg("svg", frame, circle, kind === "open" ? null : svg("path", { ...line, d: SIGNS[kind] }));
}

/** Returns one sentence with its sign, and what follows from it. */
export function verdict(kind, headline, ...more) {
  const signs = { good: "good", bad: "bad", wait: "wait", plain: "know" };
  return el("div", { class: `verdict ${kind}` }, sign(signs[kind]), el("h2", {}, headline), ...more);
}

/** Returns a small mark with a word in it. */
export const tag = (kind, text) => el("span", { class: `tag ${kind}` }, text);

/** Returns a list of facts, `[[name, value], ...]`; what has no value is left out. */
export function facts(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined);
  return el("dl", { class: "facts" }, known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/**
 * Returns a table: `heads` = `[[word, class?], ...]`, `rows` = the cells of each row.
 *
 * On narrow screens each cell stands beside its head, or after the one before where `shape` is "bare".
 */
export function table(heads, rows, shape = "") {
  const head = heads.map(([word, kind]) => el("th", { scope: "col", class: kind }, word));
  const cell = (content, i) => el("td", { class: heads[i][1], "data-head": heads[i][0] }, el("div", {}, content));
  return el("div", { class: "scroll" }, el("table", { class: `stacks ${shape}` },
    el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map(cell))))));
}

/** Returns something to be opened: a line, and what is below it. */
export function fold(line, ...children) {
  return el("details", {}, el("summary", {}, line), ...children);
}

/** Returns something to be opened whose content is fetched when it is: `make()` returns it, a promise. */
export function foldLater(line, make) {
  const place = el("div", {}, el("p", { class: "tell" }, sign("turning"), "One moment \u2026"));
  const whole = fold(line, place);
  whole.addEventListener("toggle", () => make().then((made) => fill(place, made), () => fill(place, el("p", {}, "The server did not answer. Reload the page."))), { once: true });
  return whole;
}

/** Runs a task while its button is out of use; returns what the task does. */
export async function whileBusy(button, task) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await task();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** Returns a span of time in its largest fitting unit. */
export function spanText(ms) {
  const s = Math.round(Math.abs(Number(ms)) / 1000);
  if (s < 90) return plural(s, "second");
  if (s < 5400) return plural(Math.round(s / 60), "minute");
  if (s < 129_600) return plural(Math.round(s / 3600), "hour");
  return plural(Math.round(s / 86_400), "day");
}

/** Returns when something was or will be: by this reader's calendar, and how far from now. */
export function whenText(ms, nowMs = Date.now()) {
  const text = new Date(Number(ms)).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  return Number(ms) > nowMs ? `${text} (in ${spanText(Number(ms) - nowMs)})` : `${text} (${spanText(nowMs - Number(ms))} ago)`;
}

/** Returns hexadecimal digits in groups that an eye can hold. */
export const grouped = (hexadecimal) => hexadecimal.match(/.{1,4}/g).join(" ");
