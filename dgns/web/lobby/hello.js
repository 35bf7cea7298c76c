// Hellos: to a lobby, where one signature is login, acknowledgement and resume (PROTOCOL 23.2); and inside a channel, where each end signs
// that it made this very connection (PROTOCOL 23.11).

import { Reader, Refused, encode } from "../cbor.js";
import { badField, bytesOf, oneOf, readMap, text, u64 } from "../fields.js";
import { ascii, domainHash, equal } from "../hash.js";
import { isSignedBy, opened, sealed, spelled, standIn } from "./envelope.js";

const ENVELOPE_BYTES_MAX = 1024;
const URL_BYTES_MAX = 255;

/** The hash of a session before its first frame. */
export const HOP_START = new Uint8Array(32);

/** Returns the chain over a session's frames, each as the bytes that were sent: `H(hop; before, message)`. */
export const hop = (before, message) => domainHash("hop", before, message);

const url = (reader) => {
  const read = text(reader);
  return ascii(read).length <= URL_BYTES_MAX ? read : badField("a URL of more than 255 bytes");
};
const HELLO = {
  0: ["challenge", bytesOf(32)], 1: ["url", url], 2: ["device", bytesOf(32)], 3: ["did", bytesOf(20), true], 4: ["instance", bytesOf(8)],
  5: ["sid", bytesOf(16), true], 6: ["n", u64, true], 7: ["hash", bytesOf(32), true], 8: ["unixS", u64],
};

/** Returns the payload of a hello; `sid`, `n` and `hash` name the session to go on with, or are absent. */
export const encodeHello = ({ challenge, url: at, device, did, instance, sid, n, hash, unixS }) =>
  encode(new Map([[0, challenge], [1, at], [2, device], [3, spelled(did, device)], [4, instance], [5, sid], [6, n], [7, hash], [8, unixS]]));

/** Returns the fields of a hello's payload. */
export function decodeHello(payload) {
  const reader = new Reader(payload);
  const hello = guested(readMap(reader, HELLO));
  reader.end();
  const resumes = [hello.sid, hello.n, hello.hash].filter((part) => part !== undefined).length;
  return resumes === 0 || resumes === 3 ? hello : badField("half a session");
}

/** Returns what says a DID, or is a guest's; refuses what stands in for one if it is spelled out. */
function guested({ did, ...said }) {
  if (did !== undefined && spelled(did, said.device) === undefined) badField("a guest has no DID");
  return { ...said, did: did ?? standIn(said.device) };
}

/** Returns a hello, signed for the log of `origin`. */
export const signHello = (hello, origin, signer) => sealed("hello", origin, encodeHello(hello), signer);

/** Returns the fields of a hello's envelope, nothing verified. */
export const openHello = (envelope) => decodeHello(opened(envelope, ENVELOPE_BYTES_MAX).payload);

/** Returns what both ends of a connection sign, of the hashes of their cards' payloads (card.js). */
export const peerChallenge = (offer, answer) => domainHash("peer", offer.hash, answer.hash);

/** The ends of a connection, as their hellos name them. */
export const SIDE = { client: 1, host: 2 };
const PEER_HELLO = { 0: ["challenge", bytesOf(32)], 1: ["side", oneOf(1, 2)], 2: ["device", bytesOf(32)], 3: ["did", bytesOf(20), true] };

/** Returns the payload of a hello inside a channel. */
export const encodePeerHello = ({ challenge, side, device, did }) => encode(new Map([[0, challenge], [1, side], [2, device], [3, spelled(did, device)]]));

/** Returns it signed. */
export const signPeerHello = (hello, origin, signer) => sealed("peer-hello", origin, encodePeerHello(hello), signer);

/** Refuses with `bad_peer_hello` an envelope that is not this very hello, signed by its device. */
export async function verifyPeerHello(waited, envelope, origin) {
  try {
    const signed = opened(envelope, ENVELOPE_BYTES_MAX);
    const reader = new Reader(signed.payload);
    const said = guested(readMap(reader, PEER_HELLO));
    reader.end();
    const isIt = equal(encodePeerHello(said), encodePeerHello(waited));
    if (isIt && (await isSignedBy(signed, "peer-hello", origin, waited.device))) return;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  throw new Refused("bad_peer_hello", "the other end does not prove that it made this connection");
}
