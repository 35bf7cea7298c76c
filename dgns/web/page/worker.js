// The work of a claim, beside the page. Takes `{name, did, bits}`, says `{tries}` now and then, and `{nonce}` at last.

import { solve } from "../work.js";

const SAY_EVERY_MS = 100;

addEventListener("message", async ({ data: { name, did, bits } }) => {
  let saidMs = 0;
  const onProgress = (tries) => {
    if (performance.now() - saidMs < SAY_EVERY_MS) return;
    saidMs = performance.now();
    postMessage({ tries });
  };
  postMessage({ nonce: await solve(name, did, bits, { start: crypto.getRandomValues(new BigUint64Array(1))[0], onProgress }) });
});
