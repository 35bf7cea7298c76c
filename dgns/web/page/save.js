// A lookup as a file that proves itself offline, for programs of others too (PROTOCOL 14.2).

import { verifyProofBundle } from "../bundle.js";
import { Refused } from "../cbor.js";
import { base64, bigEndian, concat } from "../hash.js";
import { cosignatureBytes, checkpointText, parseVerifierKey } from "../note.js";
import { parsePolicy } from "../policy.js";
import { decodeResolution } from "../resolution.js";
import { el } from "./dom.js";

const TRIES = 4;

/** Returns the proof bundle of a lookup that was verified, verified itself as whoever gets the file will. */
export async function proofBundle(client, found) {
  const { head: sent } = decodeResolution(found.bytes);
  let head = sent;
  for (let tries = 0; tries < TRIES; tries++) {
    const path = found.asked.name === undefined ? `/v1/dids/${found.subject}` : `/v1/names/${found.subject}`;
    const answer = await client.net.get(`${path}?with=certs&have=${head.size}`);
    const { head: newer } = decodeResolution(answer);
    if (newer === undefined) {
      const file = bundleText(client.trust, head, answer);
      await verifyProofBundle(client.trust, found.asked, file);
      return file;
    }
    head = newer; // the log went on meanwhile
  }
  throw new Refused("stale_head", "the log goes on faster than this page reads it");
}

function bundleText(trust, { size, root, signature, cosignatures, epochEntry, path }, resolution) {
  const extra = concat(bigEndian(epochEntry.length, 2), epochEntry, resolution);
  const line = ({ name, id }, bytes) => `\u2014 ${name} ${base64(concat(id, bytes))}\n`;
  const witnesses = parsePolicy(trust.policy ?? "quorum none\n").witnesses.map(({ key }) => key);
  const cosigned = cosignatures.map(({ id, timeS, signature: by }) => {
    const key = witnesses.find((witness) => base64(witness.id) === base64(id));
    return key === undefined ? "" : line(key, cosignatureBytes(timeS, by));
  });
  const note = `${checkpointText(trust.origin, size, root)}\n${line(parseVerifierKey(trust.logKeys[0]), signature)}${cosigned.join("")}`;
  const hashes = path.map((hash) => `${base64(hash)}\n`).join("");
  return new TextEncoder().encode(`c2sp.org/tlog-proof@v1\nextra ${base64(extra)}\nindex ${size - 1n}\n${hashes}\n${note}`);
}

/** Gives bytes to the browser as a download. */
export function download(name, bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
