// The databases among what a private server serves, and which of their logs there are to be read.

import { el, table, whenText, whileBusy } from "./dom.js";

/**
 * Takes what is served apart: `{files, databases}`, `databases` = name -> `[{label, size, modifiedS}]`. A database lies at `db/<name>/logs/<label>`, its control log at
 * `db/<name>/control`.
 */
export function apart(client, served) {
  const [files, databases] = [[], new Map()];
  for (const file of served) {
    const [, name, label] = /^db\/([^/]+)\/(?:control|logs\/([^/]+))$/.exec(file.path) ?? [];
    if (name === undefined || !isName(client, name)) files.push(file);
    else databases.set(name, [...(databases.get(name) ?? []), ...(label === undefined ? [] : [{ ...file, label }])]);
  }
  return { files, databases };
}

function isName(client, name) {
  try {
    return client.subject(name).name === name;
  } catch {
    return false;
  }
}

/** Returns the card of a database. `read(name, label)` shows a log, until nobody reads it any more. */
export function databaseCard(name, logs, read) {
  const row = (log) => {
    const button = el("button", { type: "button", class: "small", "aria-label": `Read ${log.label} of ${name}`, onclick: () => whileBusy(button, () => read(name, log.label)) }, "Read");
    return [el("strong", {}, log.label), String(log.size), log.modifiedS > 0n && whenText(log.modifiedS * 1000n), button];
  };
  return el("section", { class: "card" }, el("h2", {}, "Database ", name),
    logs.length === 0 ? el("p", { class: "soft" }, "None of its logs is for you, or it has none yet.") : table([["Log"], ["Entries", "number"], ["Changed"], ["What you can do"]], logs.map(row)));
}
