// What takes long, beside the page. The work of a claim: takes `{name, did, bits}`, says `{tries}` now and then, and `{nonce}` at last. The hardening
// of a PIN: takes `{pin, scope, hardening}`, says `{input}`. `{code}` is a refusal.

import { hardened } from "../recovery.js";
import { solve } from "../work.js";

const SAY_EVERY_MS = 100;

addEventListener("message", async ({ data }) => {
  try {
    postMessage("pin" in data ? { input: hardened(data.pin, data.scope, data.hardening) } : { nonce: await worked(data) });
  } catch (error) {
    if (error.code === undefined) throw error;
    postMessage({ code: error.code, detail: error.message });
  }
});

function worked({ name, did, bits }) {
  let saidMs = 0;
  const onProgress = (tries) => {
    if (performance.now() - saidMs < SAY_EVERY_MS) return;
    saidMs = performance.now();
    postMessage({ tries });
  };
  return solve(name, did, bits, { start: crypto.getRandomValues(new BigUint64Array(1))[0], onProgress });
}
