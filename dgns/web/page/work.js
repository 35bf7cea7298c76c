// What takes long, done by a worker of its own.

import { Refused } from "../cbor.js";
import { workerUrl } from "./workers.js";

/** Solves the work of `name` for `did`; `onProgress(tries)`. Returns the nonce; `signal` ends it. */
export async function workFor(name, did, bits, { onProgress = () => {}, signal } = {}) {
  const { nonce } = await done({ name, did, bits }, ({ tries }) => onProgress(tries), signal);
  return nonce;
}

/** Hardens a PIN in its one form for `scope`; returns what is blinded. */
export async function hardenedBeside(pin, { did, epoch }, hardening) {
  const { input } = await done({ pin, scope: { did, epoch }, hardening });
  return input;
}

/** Returns the last thing that a worker says of a task; `said` hears what it says of its progress. */
function done(task, said = () => {}, signal) {
  const worker = new Worker(workerUrl("work"), { type: "module" });
  const ended = new Promise((done, failed) => {
    worker.onmessage = ({ data }) => ("tries" in data ? said(data) : "code" in data ? failed(new Refused(data.code, data.detail)) : done(data));
    worker.onerror = (event) => failed(new Error(event.message ?? "the work stopped"));
    signal?.addEventListener("abort", () => failed(signal.reason), { once: true });
  });
  worker.postMessage(task);
  return ended.finally(() => worker.terminate());
}
