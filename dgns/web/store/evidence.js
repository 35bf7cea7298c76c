// What a server of databases signed and should not have, kept in one file that convicts it (PROTOCOL 25.10).

import { Refused } from "../cbor.js";
import { ProofFault } from "../client.js";
import { ascii, concat, equal, hex } from "../hash.js";
import { encodeFault } from "../fault.js";
import { checkStoreFault } from "./fault.js";
import { STAND, decodeStoreHead } from "./head.js";

/**
 * Returns the fault of whoever shows a log that goes back or aside: the server's, with the evidence kept, if a file convicts it, else that of `source.unproved`.
 * `met` = `{heads: [newest, before?], anchored?: the answer, salt?, path?}`.
 */
export async function faultOf(source, people, log, code, what, met) {
  const { client } = source;
  const files = (await filesOf(client, people, met)).map((parts) => ({ vkeys: client.trust.logKeys, kind: "store", parts: { ...parts, code: ascii(code) } }));
  const kept = (fault, file) => client.convicted(fault, { name: `store-${hex(log).slice(0, 16)}-${code}.fault`, kind: "store", bytes: encodeFault(file) });
  for (const file of files) {
    const isProof = await checkStoreFault(file).then(() => true, refusedIs(false));
    if (isProof) return kept(source.caught(code, what), file);
  }
  const fault = source.unproved(code, what);
  // The server's own answers are kept, though they convict nobody by themselves; what a host makes of them is nothing against it.
  return fault instanceof ProofFault && files.length > 0 ? kept(fault, files[0]) : fault;
}

const refusedIs = (value) => (error) => {
  if (error instanceof Refused) return value;
  throw error;
};

/** Returns the parts of each file that what was met makes, the strongest first. */
async function filesOf(client, people, { heads = [], anchored, salt, path }) {
  const stand = await standOf(client, people);
  const store = [heads[0], anchored?.head, stand].find((head) => head)?.store;
  const server = await proofOf(client, { did: store });
  const files = [];
  const [newest, before] = heads;
  if (before !== undefined) files.push({ server, head: newest.bytes, second: before.bytes, ...pathPart(path) });
  const anchors = await proofOf(client, { anchors: true });
  if (anchored?.anchored) {
    files.push({ server, anchors, head: anchored.head.bytes, salt, anchored: anchored.anchored.bytes, proof: anchored.proof.bytes, ...pathPart(anchored.grown) });
  }
  if (stand !== null) files.push({ server, anchors, head: stand.bytes });
  if (heads.length === 1) files.push({ server, head: newest.bytes });
  return files.filter((parts) => Object.values(parts).every((bytes) => bytes !== null));
}

const pathPart = (path) => (path?.length > 0 ? { path: concat(...path) } : {});

/** Returns how far the server says that its databases are, signed by it, or null. */
async function standOf(client, people) {
  try {
    const stand = decodeStoreHead(await client.net.get("/v1/anchors/stand"));
    await people.checkHead(stand);
    return equal(stand.log, STAND) ? stand : null;
  } catch {
    return null;
  }
}

/** Returns the file that proves a lookup, or null. */
async function proofOf(client, subject) {
  try {
    return await client.proofFile(await client.lookup(subject));
  } catch {
    return null;
  }
}
