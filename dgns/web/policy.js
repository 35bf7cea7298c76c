// Trust policies (PROTOCOL 9.6): which witnesses one knows, and how many of them must have seen a head.

import { Refused } from "./cbor.js";
import { equal } from "./hash.js";
import { COSIGNATURE, LOG_SIGNATURE, formatVerifierKey, parseVerifierKey } from "./note.js";

const POLICY_BYTES_MAX = 65536;
const LINES_MAX = 64;
const NONE = "none";
/** The name that is required in addition to the quorum wherever a policy defines it. */
const VERIFIERS = "verifiers";

/** A policy that is none, in this line (from 1; 0 = the file as a whole). */
export class BadPolicy extends Refused {
  constructor(code, line) {
    super(code, `line ${line}`);
    this.line = line;
  }
}

/**
 * Returns `{logs: [{key, url}], witnesses: [{name, key, url}], groups: [{name, threshold, members}], quorum}` of a policy's text;
 * a member is a name, and so is `quorum`, or null for `quorum none`. Refuses with `BadPolicy`.
 */
export function parsePolicy(text) {
  if (new TextEncoder().encode(text).length > POLICY_BYTES_MAX) throw new BadPolicy("policy_size", 0);
  const policy = { logs: [], witnesses: [], groups: [], quorum: undefined };
  text.split("\n").forEach((line, at) => {
    try {
      readLine(policy, line);
    } catch (error) {
      if (error instanceof Refused) throw new BadPolicy(error.code, at + 1);
      throw error;
    }
  });
  if (policy.quorum === undefined) throw new BadPolicy("policy_quorum", 0);
  return policy;
}

function readLine(policy, line) {
  if (/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) throw new Refused("policy_text");
  const [keyword, ...words] = line.split(/[ \t]+/).filter((word) => word !== "");
  if (keyword === undefined || keyword.startsWith("#")) return;
  const read = { log: readLog, witness: readWitness, group: readGroup, quorum: readQuorum };
  if (!Object.hasOwn(read, keyword)) throw new Refused("policy_keyword");
  read[keyword](policy, words);
}

function readLog({ logs }, words) {
  const [vkey, url] = counted(words, 1, 2);
  const key = keyOf(vkey, LOG_SIGNATURE);
  if (logs.some((log) => equal(log.key.key, key.key))) throw new Refused("policy_duplicate");
  push(logs, { key, url });
}

function readWitness(policy, words) {
  const [name, vkey, url] = counted(words, 2, 3);
  mustBeNew(policy, name);
  const key = keyOf(vkey, COSIGNATURE);
  const isKnown = (known) => equal(known.key.key, key.key) || equal(known.key.id, key.id);
  if (policy.witnesses.some(isKnown)) throw new Refused("policy_duplicate");
  push(policy.witnesses, { name, key, url });
}

function readGroup(policy, words) {
  const [name, k, ...members] = counted(words, 3, Infinity);
  mustBeNew(policy, name);
  const taken = new Set(policy.groups.flatMap((group) => group.members));
  for (const member of members) {
    mustBeDefined(policy, member);
    if (taken.has(member)) throw new Refused("policy_member");
    taken.add(member);
  }
  const threshold = k === "any" ? 1 : k === "all" ? members.length : /^[1-9][0-9]{0,3}$/.test(k) ? Number(k) : 0;
  if (threshold < 1 || threshold > members.length) throw new Refused("policy_threshold");
  push(policy.groups, { name, threshold, members });
}

function readQuorum(policy, words) {
  const [name] = counted(words, 1, 1);
  if (policy.quorum !== undefined) throw new Refused("policy_quorum");
  if (name !== NONE) mustBeDefined(policy, name);
  policy.quorum = name === NONE ? null : name;
}

const counted = (words, least, most) => {
  if (words.length < least || words.length > most) throw new Refused("policy_form");
  return words;
};
const defined = ({ witnesses, groups }, name) => [...witnesses, ...groups].find((known) => known.name === name);
const mustBeNew = (policy, name) => {
  if (name === NONE || defined(policy, name)) throw new Refused("policy_name");
};
const mustBeDefined = (policy, name) => {
  if (!defined(policy, name)) throw new Refused("policy_undefined");
};
const push = (list, item) => {
  if (list.length === LINES_MAX) throw new Refused("policy_limit");
  list.push(item);
};

function keyOf(vkey, type) {
  let key;
  try {
    key = parseVerifierKey(vkey);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  if (key?.type !== type) throw new Refused("policy_vkey");
  return key;
}

/** Returns the canonical text of a policy. */
export function formatPolicy({ logs, witnesses, groups, quorum }) {
  const behind = (url) => (url === undefined ? "" : ` ${url}`);
  const word = ({ threshold, members }) => (threshold === 1 ? "any" : threshold === members.length ? "all" : threshold);
  const lines = [
    ...logs.map(({ key, url }) => `log ${formatVerifierKey(key)}${behind(url)}`),
    ...witnesses.map(({ name, key, url }) => `witness ${name} ${formatVerifierKey(key)}${behind(url)}`),
    ...groups.map((group) => `group ${group.name} ${word(group)} ${group.members.join(" ")}`),
    `quorum ${quorum ?? NONE}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** Returns the names that must have witnessed a head: the quorum, and `verifiers` if there is such a name. */
const required = (policy) => [policy.quorum, defined(policy, VERIFIERS)?.name].filter((name) => name !== null && name !== undefined);

/** Returns whether no cosignature is asked for. */
export const asksForNothing = (policy) => required(policy).length === 0;

/** Returns the names of the witnesses that are, or belong to, what the policy calls `verifiers`. */
export function verifiersOf(policy) {
  const within = (name) => defined(policy, name)?.members?.flatMap(within) ?? [name];
  return defined(policy, VERIFIERS) ? within(VERIFIERS) : [];
}

/**
 * Returns the Unix second (BigInt) at which these cosignatures, `[{key, timeS}]`, had reached the quorum, or null if they do not.
 * Under `quorum none` that is 0.
 */
export function quorumReached(policy, cosigned) {
  const byThen = (name) => {
    const { key, members, threshold } = defined(policy, name);
    if (key) return cosigned.find((signed) => formatVerifierKey(signed.key) === formatVerifierKey(key))?.timeS ?? null;
    const times = members.map(byThen).filter((time) => time !== null);
    return times.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))[threshold - 1] ?? null;
  };
  const times = required(policy).map(byThen);
  if (times.includes(null)) return null;
  return times.reduce((latest, time) => (time > latest ? time : latest), 0n);
}
