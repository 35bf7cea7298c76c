// The accounts whose keys are in this browser. What a record holds: public bytes, handles of keys that no script can read, and what
// this browser alone calls things. The twelve words are never here.
//
//   { id, origin, name, did, device, label, begun?, madeMs }    `begun` = certificates that were signed and not yet proved to be in the log

import { hex } from "../hash.js";
import { keptDevice } from "../keys.js";

const keyOf = (origin) => `me/${origin}`;

/** Returns the records of one log, newest first. */
export async function accounts(store, origin) {
  return (await store.get(keyOf(origin))) ?? [];
}

/** Keeps a record, in the place of an older one of the same id. */
export function keepAccount(store, record) {
  return change(store, record.origin, (records) => [record, ...records.filter(({ id }) => id !== record.id)]);
}

/** Forgets a record and its keys. */
export function forgetAccount(store, { origin, id }) {
  return change(store, origin, (records) => records.filter((record) => record.id !== id));
}

function change(store, origin, edit) {
  return store.alone(keyOf(origin), async () => store.set(keyOf(origin), edit(await accounts(store, origin))));
}

/** Returns the device of a record, ready to sign. */
export const deviceOf = (record) => keptDevice(record.device);

/** Returns what identifies a record: the device's key. */
export const idOf = (device) => hex(device.sign.key).slice(0, 16);

/** Asks the browser not to drop the keys when space is short; returns whether it promised. */
export async function keepForGood() {
  try {
    return (await navigator.storage?.persist?.()) ?? false;
  } catch {
    return false;
  }
}

/** Returns what this browser would be called, such as "Firefox on Linux"; nobody else is told. */
export function ownLabel() {
  const agent = navigator.userAgent;
  const browser = ["Edg", "OPR", "Firefox", "Chrome", "Safari"].find((word) => agent.includes(word)) ?? "Browser";
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux"].find((word) => agent.includes(word)) ?? "this computer";
  return `${{ Edg: "Edge", OPR: "Opera" }[browser] ?? browser} on ${{ "Mac OS": "a Mac", CrOS: "ChromeOS" }[system] ?? system}`;
}
