// The work of a claim, done by a worker of its own.

/** What a browser with trusted types asks for: this one address may become code, nothing else. */
const urls = globalThis.trustedTypes?.createPolicy("dgns-worker", { createScriptURL: () => "/page/worker.js" });

/** Solves the work of `name` for `did`; `onProgress(tries)`. Returns the nonce; `signal` ends it. */
export function workFor(name, did, bits, { onProgress = () => {}, signal } = {}) {
  const worker = new Worker(urls?.createScriptURL("") ?? "/page/worker.js", { type: "module" });
  const solved = new Promise((done, failed) => {
    worker.onmessage = ({ data }) => ("nonce" in data ? done(data.nonce) : onProgress(data.tries));
    worker.onerror = (event) => failed(new Error(event.message ?? "the work stopped"));
    signal?.addEventListener("abort", () => failed(signal.reason), { once: true });
  });
  worker.postMessage({ name, did, bits });
  return solved.finally(() => worker.terminate());
}
