// What the pages of recovery show alike: servers and who runs them, what a PIN is worth, what waits, time that is left.

import { kidOf } from "../name.js";
import { hex } from "../hash.js";
import { GUESSES_MAX, possible } from "../pin.js";
import { note } from "./account.js";
import { el, fill, table, tag } from "./dom.js";
import { BURNT, OPEN, PROVED, READY, hasExpired } from "./recovery_log.js";

/** Returns the table of servers: `rows` = `[{url, operator, domain?, key?, kind, word, why?}, ...]`. */
export function serverTable(rows) {
  return table([["Server"], ["Run by"], ["Now"]], rows.map(({ url, operator, domain, key, kind, word, why }) => [
    [el("strong", {}, url), key && [el("br"), el("span", { class: "soft small" }, "Key ", hex(kidOf(key)).slice(0, 8))]],
    [operator ?? "not known", domain && el("span", { class: "soft small" }, ` (${domain})`)],
    [tag(kind, word), why && el("span", { class: "soft small" }, ` ${why}`)],
  ]));
}

/** Returns the rows of servers that were met, and of those that were not, in the order of `servers` (`[{url, operator?, key?}, ...]`). */
export function serverRows(servers, { peers, missed }) {
  return servers.map(({ url, operator, key }, i) => {
    const peer = peers.find(({ point }) => point === i + 1);
    if (peer === undefined) {
      const fault = missed.find((one) => one.url === url);
      return { url, operator, key, kind: "bad", word: fault?.lied ? "is another than named" : "does not answer", why: fault?.why };
    }
    const { info } = peer;
    const { operator: by, domain, key: own, witnessed } = info;
    return { url: peer.url, operator: by, domain, key: own, kind: witnessed ? "good" : "wait", word: "answers", why: witnessed ? null : "without witnesses" };
  });
}

/** Returns what is to be said of servers that belong together, and of those that believe the log alone. */
export function doubts(peers, groups) {
  const alone = peers.filter(({ info }) => !info.witnessed);
  return [
    ...groups.map(({ whose, count }) => note("wait", `${count} of these servers are of ${whose}. What is run together falls together.`)),
    alone.length > 0 && note("wait", `${alone.length === 1 ? "One of them believes" : `${alone.length} of them believe`} the log without witnesses: whoever runs the log could fool ${alone.length === 1 ? "it" : "them"}.`),
  ];
}

/** Returns the servers that did not do what they were asked, by name. */
export function faultList(faults) {
  if (faults.length === 0) return null;
  const row = ({ url, code, why, lied }) => el("li", {}, el("strong", {}, url), lied ? " lies, and is skipped" : " is skipped", ` (${code})`, el("span", { class: "soft small" }, ` ${why}`));
  return el("ul", { class: "faults", "aria-label": "Servers that were skipped" }, faults.map(row));
}

/** Says what guessing a PIN would be worth. */
export const oddsText = (pin) => `Whoever also has your sign-in has ${GUESSES_MAX} guesses in ${possible(pin).toLocaleString("en-GB")}, each of them public and told to your devices.`;

/** Says in a word how a recovery stands, `[kind, word]`. */
export function standingOf(recovery, nowMs) {
  const { phase, guesses } = recovery;
  return {
    [OPEN]: hasExpired(recovery, nowMs) ? undefined : ["wait", "somebody tries now"], [PROVED]: ["bad", "recovery pending"], [READY]: ["bad", "a new device may take over"], [BURNT]: ["bad", "vetoed: enrol anew"],
  }[phase] ?? (Number(guesses) >= GUESSES_MAX ? ["bad", "all guesses are spent: enrol anew"] : ["good", "in force"]);
}

/** Returns time that is left, in two units. */
export function leftText(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const [d, h, m] = [Math.floor(s / 86_400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min ${s % 60} s` : `${s} s`;
}

/** Returns a clock that runs down to `dueMs`, and what stops it. */
export function countdown(dueMs, now) {
  const shown = el("output", { class: "digits-shown", role: "timer", "aria-live": "off", "aria-label": "Time left" });
  const tick = () => fill(shown, leftText(dueMs - now()));
  tick();
  const timer = setInterval(tick, 1000);
  return { shown, stop: () => clearInterval(timer) };
}
