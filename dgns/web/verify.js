// The verifier of the pages (D15): an implementation of docs/PROTOCOL.md of its own, held to the same vectors as the Rust one.
//
// Plain ES modules without dependencies, for browsers and node 20. "Proved" appears on a page only after `verifyResolution`
// returned.

export { Reader, Refused, encode } from "./cbor.js";
export { domainHash, hex, sha256, unhex } from "./hash.js";
export { isAdmitted, isUsableKey, verifyStrict } from "./ed25519.js";
export { completeName, didText, isReserved, isZone, kidOf, parentName, parseDid, parseName } from "./name.js";
export { checkpointText, formatVerifierKey, openNote, parseCheckpoint, parseNote, parseVerifierKey } from "./note.js";
export { BadPolicy, formatPolicy, parsePolicy, quorumReached, verifiersOf } from "./policy.js";
export { consistencyFault, inclusionFault, leafHash, nodeHash, rootOf, verifyConsistency, verifyInclusion } from "./tree.js";
export { commitmentOf, decodeMapProof, labelOfAlias, labelOfAnchors, labelOfDid, labelOfLogConf, labelOfName, mapRoot, stateHash, valueBytes, verifyMapProof } from "./map.js";
export { decodeCertificate, decodeEnvelope, encodeEnvelope, signedBytes, verifyCertificate } from "./certificate.js";
export { decodeEntry, decodeEpochEntry, decodeLogConf } from "./entry.js";
export { decodeAliasState, decodeDidState, decodeNameState } from "./state.js";
export { decodeHead } from "./head.js";
export { decodeResolution, verifyResolution } from "./resolution.js";
export { parseProofFile, verifyProofBundle } from "./bundle.js";
