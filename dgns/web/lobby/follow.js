// Following the log's word of a DID while a connection to it stands (PROTOCOL 23.11).

import { didText } from "../name.js";
import { ProofFault } from "../client.js";

/** Between two looks at a DID of which the server says nothing; how long the log may give no answer; before what failed is tried again. */
const [LOOK_MS, STALE_MS, AGAIN_MS] = [20_000, 60_000, 2000];
const SUSPENDED = 3;

/**
 * Waits until `stays(devices)` says no to the keys that the log proves of `did`. Returns `not_host`; `feed_stale` after a minute without an answer; or the
 * ProofFault of a log that lies.
 */
export async function untilGone(client, did, stays, signal) {
  let provedMs = Date.now();
  for (;;) {
    const hints = hintsOf(client, did, signal);
    let hint = hints.next();
    for (let goesOn = true; goesOn; ) {
      const { done, silent } = await Promise.race([hint, after(LOOK_MS, { silent: true })]);
      signal.throwIfAborted();
      if (!silent) hint = hints.next();
      goesOn = !done;
      try {
        const { did: state, status } = await client.lookup({ did });
        const counts = status === "present" ? state.devices.filter(({ status: standing }) => standing !== SUSPENDED).map(({ sign }) => sign) : [];
        if (!stays(counts)) return "not_host";
        provedMs = Date.now();
      } catch (error) {
        if (error instanceof ProofFault) return error;
        if (Date.now() - provedMs > STALE_MS) return "feed_stale";
        await after(AGAIN_MS);
      }
    }
    await after(AGAIN_MS / 4);
  }
}

/** Yields whenever the server says that something may have changed. It proves nothing. */
async function* hintsOf(client, did, signal) {
  try {
    const { body } = await fetch(`${client.base}/v1/dids/${didText(did)}/events`, { cache: "no-store", credentials: "omit", signal });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (text + value).split("\n");
      text = lines.pop();
      if (lines.some((line) => line.startsWith("data:"))) yield;
    }
  } catch {
    await after(AGAIN_MS);
  }
}

const after = (ms, value) => new Promise((done) => setTimeout(() => done(value), ms));
