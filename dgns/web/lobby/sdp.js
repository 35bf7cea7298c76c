// Descriptions: the remote one made from the fields of a card by a template, the local one read for the fields of one's own (PROTOCOL 23.10). Text of
// the other side is never parsed, and none of it passes.

import { CANDIDATES_MAX } from "./card.js";
import { KINDS, isAddress, mayBeTried } from "./candidate.js";

/** The bytes of a message on a channel. */
export const MESSAGE_BYTES_MAX = 16_384;

/** Returns the other end's description: `setup` = `actpass` or `active`, `version` = 1 and one more for each restart. */
export function remoteDescription({ ufrag, pwd, fingerprint, messageMax, candidates }, setup, version, loopback) {
  const shown = Array.from(fingerprint, (byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":");
  const lines = [
    "v=0", `o=- 1 ${version} IN IP4 0.0.0.0`, "s=-", "t=0 0", "a=group:BUNDLE 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0",
    `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, "a=ice-options:trickle", `a=fingerprint:sha-256 ${shown}`, `a=setup:${setup}`, "a=sctp-port:5000",
    `a=max-message-size:${messageMax}`, ...candidates.filter(({ address }) => mayBeTried(address, loopback)).map((one) => `a=${candidateLine(one)}`),
  ];
  return lines.map((line) => `${line}\r\n`).join("");
}

/** Returns a candidate as a line of SDP, without `a=`. */
export function candidateLine({ kind, address, port, priority }) {
  return `candidate:1 1 udp ${priority} ${address} ${port} typ ${KINDS[kind]}${kind === 0 ? "" : " raddr 0.0.0.0 rport 0"}`;
}

/** Returns `{ufrag, pwd, fingerprint, candidates, messageMax}` of one's own description. */
export function ownTransport(sdp) {
  const lines = sdp.split(/\r?\n/);
  const value = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length).trim();
  const fingerprint = Uint8Array.from(value("a=fingerprint:sha-256 ").split(":"), (digits) => parseInt(digits, 16));
  const candidates = lines.map(ownCandidate).filter((one) => one !== null).sort((a, b) => b.priority - a.priority).slice(0, CANDIDATES_MAX);
  return { ufrag: value("a=ice-ufrag:"), pwd: value("a=ice-pwd:"), fingerprint, candidates, messageMax: MESSAGE_BYTES_MAX };
}

/** Returns the candidate of component 1 over UDP that a line of one's own names, or null. */
export function ownCandidate(line) {
  const [, component, protocol, priority, address, port, typ, kind] = line.replace(/^a=/, "").split(" ");
  const isOne = /^(?:a=)?candidate:/.test(line) && component === "1" && protocol.toLowerCase() === "udp" && typ === "typ" && KINDS.includes(kind);
  const through = Number(port);
  if (!isOne || !isAddress(address) || (through < 1024 && through !== 443)) return null;
  return { kind: KINDS.indexOf(kind), address, port: through, priority: Number(priority) };
}
