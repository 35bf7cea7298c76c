// One connection between two ends as a browser makes it: ICE, DTLS, two channels; closed as a whole (PROTOCOL 23.10).

import { Refused } from "../cbor.js";
import { equal, sha256 } from "../hash.js";
import { MESSAGE_BYTES_MAX, candidateLine, ownCandidate, ownTransport, remoteDescription } from "./sdp.js";
import { mayBeTried } from "./candidate.js";

const [CONTROL, BULK] = [0, 2];
/** How long candidates are gathered before a card goes out with those known; the rest follows. */
const [GATHER_MS, GATHER_MAX_MS] = [100, 1500];

/** Returns a DTLS certificate of a connection to come; it takes a while on slow machines. */
export const newCertificate = () => RTCPeerConnection.generateCertificate({ name: "ECDSA", namedCurve: "P-256" });

/** A connection that asks. `broke()` and `wavers(state)` are set by whoever uses it. */
export class Link {
  version = 1;
  waiting = [];
  heard = null;
  broke = () => {};
  wavers = () => {};
  kept = [];
  late = (...more) => void this.kept.push(more);

  /** `ice` = where to gather candidates; `loopback`: addresses of this machine count too; `certificate` = a promise of one. */
  static async offering(ice, { loopback, certificate }) {
    const link = new Link();
    link.loopback = loopback;
    link.pc = new RTCPeerConnection({ iceServers: ice, certificates: [await certificate] });
    link.channels = [CONTROL, BULK].map((id) => {
      const channel = link.pc.createDataChannel(id === CONTROL ? "control" : "bulk", { negotiated: true, id });
      channel.binaryType = "arraybuffer";
      channel.onmessage = ({ data }) => typeof data !== "string" && link.arrived(new Uint8Array(data));
      channel.onclose = () => link.lost();
      return channel;
    });
    link.opened = Promise.all(link.channels.map((channel) => new Promise((done) => (channel.onopen = done))));
    link.pc.onicecandidate = ({ candidate }) => (candidate ? link.gathered.push(candidate) : link.gatheredAll?.());
    link.pc.onconnectionstatechange = () => link.pc.connectionState === "closed" && link.lost();
    link.pc.oniceconnectionstatechange = () => link.wavers(link.pc.iceConnectionState);
    return link;
  }

  arrived(message) {
    if (this.heard === null) this.waiting.push(message);
    else this.heard(message);
  }

  /** Hands messages on to `heard`, also those that wait already; to nobody, so that they wait, if it is null. */
  listen(heard) {
    this.heard = heard;
    if (heard !== null) this.waiting.splice(0).forEach(heard);
  }

  /** Returns how this end is reached, `ownTransport`: for the first time, or anew after `restart`. What is found later goes to `late`. */
  async own({ restart = false } = {}) {
    this.gathered = [];
    // The end of this very gathering: the state may still be that of the one before.
    let last = false;
    const complete = new Promise((done) => (this.gatheredAll = () => ((last = true), done())));
    await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: restart }));
    const some = Promise.race([complete, after(GATHER_MS).then(() => this.firstCandidate())]);
    await Promise.race([some, after(GATHER_MAX_MS)]);
    const own = ownTransport(this.pc.localDescription.sdp);
    if (!last) this.later(own, complete);
    return { ...own, last };
  }

  firstCandidate() {
    return new Promise((done) => (this.gathered.length > 0 ? done() : this.pc.addEventListener("icecandidate", done, { once: true })));
  }

  /** Hands on the candidates that a card did not have. */
  async later({ ufrag, candidates: told }, complete) {
    await Promise.race([complete, after(GATHER_MAX_MS * 2)]);
    const known = told.map(candidateLine);
    const more = this.gathered.map(({ candidate }) => ownCandidate(candidate)).filter((one) => one !== null && !known.includes(candidateLine(one)));
    this.late(ufrag, more.slice(0, 12), true);
  }

  /** Hands on candidates that are found later, and those that were. */
  tellsLate(late) {
    this.late = late;
    for (const more of this.kept.splice(0)) late(...more);
  }

  /** Takes the other end's answer to the offer, or to the restart, made last. */
  async answered(transport) {
    const sdp = remoteDescription(transport, "active", this.version++, this.loopback);
    await this.pc.setRemoteDescription({ type: "answer", sdp });
  }

  /** Takes further candidates of the other end. */
  async more(ufrag, candidates) {
    for (const one of candidates.filter(({ address }) => mayBeTried(address, this.loopback))) {
      await this.pc.addIceCandidate({ candidate: candidateLine(one), sdpMid: "0", sdpMLineIndex: 0, usernameFragment: ufrag });
    }
  }

  /** Waits until both channels stand, then holds the other end's certificate against `fingerprint`. */
  async open(fingerprint, deadlineMs) {
    const failed = new Promise((_, no) => (this.broke = () => no(new Refused("no_path", "no path leads to the other end"))));
    const late = after(deadlineMs).then(() => Promise.reject(new Refused("no_path", "no path led to the other end in time")));
    await Promise.race([this.opened, failed, late]);
    const shown = await this.certificateHash();
    if (shown === null || !equal(shown, fingerprint)) throw new Refused("wrong_certificate", "the other end shows another certificate than its signed card names");
  }

  /** SHA-256 of the certificate that the other end showed; null if this browser does not tell. */
  async certificateHash() {
    const { transport } = this.pc.sctp;
    if (transport.getRemoteCertificates !== undefined) {
      const [first] = transport.getRemoteCertificates();
      return first === undefined ? null : sha256(new Uint8Array(first));
    }
    const stats = [...(await this.pc.getStats()).values()];
    const used = stats.find(({ type }) => type === "transport")?.remoteCertificateId;
    const { fingerprint, fingerprintAlgorithm } = stats.find(({ id }) => id === used) ?? {};
    return fingerprintAlgorithm === "sha-256" ? Uint8Array.from(fingerprint.split(":"), (digits) => parseInt(digits, 16)) : null;
  }

  /** Whether anything can be sent; a channel may close before anybody is told. */
  get isOpen() {
    return this.channels[0].readyState === "open";
  }

  /** Sends a message in the control channel. */
  send(message) {
    if (message.length > MESSAGE_BYTES_MAX || !this.isOpen) throw new Refused("closed", "the connection is closed");
    this.channels[0].send(message);
  }

  /** Returns `relayed`, `direct`, or null if nobody knows. */
  async path() {
    const stats = await this.pc.getStats().catch(() => new Map());
    const used = [...stats.values()].find(({ type, state, nominated }) => type === "candidate-pair" && state === "succeeded" && nominated);
    if (used === undefined) return null;
    const ends = [used.localCandidateId, used.remoteCandidateId].map((id) => stats.get(id)?.candidateType);
    return ends.includes("relay") ? "relayed" : "direct";
  }

  lost() {
    if (this.over) return;
    this.over = true;
    this.broke();
  }

  /** Ends the connection; the other end notices at once. */
  close() {
    this.over = true;
    this.pc.close();
  }
}

const after = (ms) => new Promise((done) => setTimeout(done, ms));
