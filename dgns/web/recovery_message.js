// What a client and a recovery server say to each other (PROTOCOL 24.5). What a server is asked is sealed to it; what it answers either proves
// itself, or is sealed to the device that asked.

import { Reader, Refused, encode, refusedAs } from "./cbor.js";
import { encodeEnvelope, signedBytes } from "./certificate.js";
import { verifyStrict } from "./ed25519.js";
import { badField, bytesOf, listOf, readMap, text, tuple } from "./fields.js";
import { ascii, bigEndian, concat } from "./hash.js";
import { open, seal } from "./sealed.js";

const [OPERATOR_BYTES_MAX, DOMAIN_BYTES_MAX, ISSUER_BYTES_MAX, ISSUERS_MAX] = [64, 253, 255, 16];
const key32 = bytesOf(32);

/** What is asked of a server, by what it is sealed for. */
export const ASK = { register: 1, evaluate: 2, release: 3 };

const bounded = (most) => (reader) => {
  const read = text(reader);
  const { length } = new TextEncoder().encode(read);
  return length >= 1 && length <= most ? read : badField(`${length} bytes`);
};

/** Returns the bytes that one signer signed for a purpose and the log of `origin`. */
export async function signedBy(purpose, origin, payload, { kid, sign }) {
  return encodeEnvelope(payload, [{ kid, signature: await sign(signedBytes(purpose, origin, payload)) }]);
}

/** Returns `{payload, signature}` of bytes that one key signed; whose it is nobody has said. */
export function decodeSigned(bytes) {
  const reader = new Reader(bytes);
  if (reader.array() !== 3 || reader.uint() !== 1n) badField("envelope");
  const payload = reader.bstr();
  const [[, signature]] = listOf(tuple(bytesOf(8), bytesOf(64)), 1, 1)(reader);
  reader.end();
  return { payload, signature };
}

/** Reads a signed message by a table; `keyIn(fields)` = whose signature it has to carry. Refuses with `bad_field`, `bad_signature`. */
export async function openSigned(purpose, origin, bytes, table, keyIn) {
  const { payload, signature, fields } = refusedAs("bad_field", () => {
    const envelope = decodeSigned(bytes);
    return { ...envelope, fields: read(envelope.payload, table) };
  });
  if (!(await verifyStrict(keyIn(fields), signedBytes(purpose, origin, payload), signature))) throw new Refused("bad_signature", "signed by another key, or for another log");
  return fields;
}

function read(bytes, table) {
  const reader = new Reader(bytes);
  const fields = readMap(reader, table);
  reader.end();
  return fields;
}

const INFO = {
  1: ["key", key32], 2: ["kex", key32], 3: ["operator", bounded(OPERATOR_BYTES_MAX)], 4: ["domain", bounded(DOMAIN_BYTES_MAX)],
  5: ["issuers", listOf(bounded(ISSUER_BYTES_MAX), 0, ISSUERS_MAX)], 6: ["witnessed", (reader) => reader.bool()],
};

/** Returns what a server says of itself, if the key it names signed it for this log. Whose key that is nobody has said. */
export const openInfo = (bytes, origin) => openSigned("recover-info", origin, bytes, INFO, ({ key }) => key);

/** Returns the bytes of proofs of sign-ins, `[{issuer, statement, random, salt}, ...]`, as requests carry them. */
const proofRows = (proofs) => proofs.map(({ issuer, statement, random, salt }) => [issuer, statement, random, salt]);

/** Asks a server to keep a share, signed by a device with a vote, `{sign, kex}`. */
export function registerRequest(origin, { did, epoch, point, keyShare, backupShare, bundle, proofs, needed, blinded }, device) {
  const rows = [[1, did], [2, epoch], [3, point], [4, keyShare], [5, backupShare], [6, bundle], [7, proofRows(proofs)], [8, needed], [9, blinded], [10, device.sign.key], [11, device.kex.key]];
  return signedBy("recover-register", origin, encode(new Map(rows)), device.sign);
}

/** Asks for the evaluation of an attempt's point. */
export const evaluateRequest = ({ did, epoch }, attempt, proofs) => encode(new Map([[1, did], [2, epoch], [3, attempt], [4, proofRows(proofs)]]));

/** Asks `server` for its share of the backup, signed by the device that recovers. */
export const releaseRequest = (origin, { did, epoch }, attempt, server, sign) =>
  signedBy("recover-release", origin, encode(new Map([[1, did], [2, epoch], [3, attempt], [4, server]])), sign);

const EVALUATED = { 1: ["element", key32], 2: ["proof", bytesOf(64)] };

/** Returns `{element, proof}` of an answer; refuses with `bad_field`. */
export const decodeEvaluated = (bytes) => refusedAs("bad_field", () => read(bytes, EVALUATED));

const sealedBytes = ({ enc, ct }) => encode([enc, ct]);

/** Seals a request to a server, `{key, kex}`, for what it asks. */
export async function sealAsk(ask, { key, kex }, request, ephemeral) {
  return sealedBytes(await seal(kex, ascii("dgns/recover-ask/v1\0"), concat(Uint8Array.of(ask), key), request, ephemeral));
}

/** Returns the share of the backup, `{point, value}`, that `server` sealed to the key pair `own`; refuses with `bad_field`, `not_opened`. */
export async function openShare(bytes, { did, epoch }, server, own) {
  const [enc, ct] = refusedAs("bad_field", () => {
    const reader = new Reader(bytes);
    const both = tuple(key32, (r) => r.bstr())(reader);
    reader.end();
    return both;
  });
  const plain = await open(own, concat(ascii("dgns/recover-share/v1\0"), did, bigEndian(epoch, 4)), server, { enc, ct });
  if (plain.length !== 33 || plain[0] === 0) badField("no share");
  return { point: plain[0], value: plain.subarray(1) };
}
