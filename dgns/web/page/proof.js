// A proof, drawn so that a person understands it: from the name to the signatures, each link with what was checked.
//
// Everything here is made of a result that verify.js returned; without one there is nothing to draw.

import { hex } from "../hash.js";
import { parsePolicy } from "../policy.js";
import { decodeResolution } from "../resolution.js";
import { el, fold, sign, svg, whenText } from "./dom.js";

/** Returns the whole drawing of a verified result. `trust` is what it was checked against. */
export function drawProof(found, trust) {
  const parts = decodeResolution(found.bytes);
  return el("div", {}, drawChain(found), fold("Every check, one by one", drawSteps(found, parts, trust)));
}

// --- the links ---------------------------------------------------------------------------------------------------------

const ICONS = {
  name: ["M6 15a3 3 0 0 1 3-3h16l16 12-16 12H9a3 3 0 0 1-3-3z", "M14 24a2.500 2.500 0 1 0 5 0 2.500 2.500 0 1 0-5 0"],
  map: ["M24 13v3M24 16 14 23M24 16l10 7M14 29l-5 5M14 29l5 5M34 29l-5 5M34 29l5 5", "M21 10a3 3 0 1 0 6 0 3 3 0 1 0-6 0M11 26a3 3 0 1 0 6 0 3 3 0 1 0-6 0M31 26a3 3 0 1 0 6 0 3 3 0 1 0-6 0", "M4.500 37a3 3 0 1 0 6 0 3 3 0 1 0-6 0M17 37a3 3 0 1 0 6 0 3 3 0 1 0-6 0M25.500 37a3 3 0 1 0 6 0 3 3 0 1 0-6 0M37.500 37a3 3 0 1 0 6 0 3 3 0 1 0-6 0"],
  entry: ["M12 7h17l8 8v26H12z", "M29 7v8h8", "M18 21h13M18 27h13M18 33h8"],
  head: ["M8 10h32v8H8zM8 20h32v8H8zM8 30h32v8H8z", "M13 14h.01M13 24h.01M13 34h.01M19 14h14M19 24h14M19 34h14"],
  seal: ["M24 6l4.600 3.400 5.700-.3 1.500 5.500 4.700 3.200-2 5.400 2 5.400-4.700 3.200-1.500 5.500-5.700-.3L24 40.400l-4.600-3.400-5.700.3-1.500-5.500-4.700-3.200 2-5.400-2-5.400 4.700-3.200 1.500-5.500 5.700.3z", "M17 23.500l5 5 9.500-10"],
};

/** Returns one drawing of a link. */
function icon(name) {
  const line = { fill: "none", stroke: "currentcolor", "stroke-width": 2.2, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return svg("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, ICONS[name].map((d) => svg("path", { ...line, d })));
}

/** Returns the five links between what was asked and who vouches for the answer. */
export function drawChain(found) {
  const { status, subject, epochMs, size, epoch, unwitnessed } = found;
  const says = { absent: "holds nothing there", present: "holds exactly this", held: "says: given up", ended: "says: ended" }[status];
  const link = (which, title, text, weak) => el("li", { class: weak ? "weak" : null }, icon(which), el("strong", {}, title), el("span", {}, text));
  return el("ol", { class: "chain", "aria-label": "What leads from the name to the signatures" },
    link("name", found.asked.name === undefined ? "The account" : "The name", subject),
    link("map", "The map of all names", says),
    link("entry", `Epoch ${epoch}`, `fixes that map, ${new Date(Number(epochMs)).toLocaleTimeString("en-GB")}`),
    link("head", "The log's head", `fixes all ${size} entries`),
    link("seal", unwitnessed ? "Signed by the log" : "Signed and witnessed", unwitnessed ? "by nobody else" : "by the log and its witnesses", unwitnessed));
}

// --- the checks --------------------------------------------------------------------------------------------------------

function drawSteps(found, parts, trust) {
  const weak = { witnesses: found.unwitnessed, memory: found.continuity.kind === "first", chain: found.footing === "map" };
  const more = { map: mapMore, epoch: epochMore, signature: signatureMore, question: questionMore, chain: chainMore, witnesses: witnessesMore };
  return el("ol", { class: "proof" }, found.steps.map(({ check, holds, by }) =>
    el("li", { class: weak[check] ? "weak" : null }, sign(weak[check] ? "know" : "good"), el("h3", {}, holds), el("p", {}, `${by[0].toUpperCase()}${by.slice(1)}.`),
      more[check]?.(found, parts, trust) ?? null)));
}

const hash = (bytes) => el("span", { class: "hash" }, hex(bytes));

function questionMore(found, { answers }) {
  const kinds = { 1: "a name", 2: "an account", 4: "the log's configuration" };
  return fold("What came", el("p", {}, `${found.bytes.length} bytes, with ${answers.map(([kind, , state]) => `${kinds[kind]} (${state === null ? "absent or remembered" : `${state.length} bytes`})`).join(" and ")}.`));
}

function signatureMore(found, { head }, trust) {
  return fold("The signed head", el("p", {}, "Origin ", el("code", {}, trust.origin), `, ${found.size} entries, root `, hash(found.root)),
    head && el("p", {}, "Signature ", hash(head.signature)), el("p", {}, "Key believed: ", el("code", {}, trust.logKeys.join(", "))));
}

function witnessesMore(found, { head }, trust) {
  const { witnesses } = parsePolicy(trust.policy ?? "quorum none\n");
  if (head === undefined || witnesses.length === 0) return null;
  const row = ({ key }) => {
    const cosigned = head.cosignatures.find(({ id }) => hex(id) === hex(key.id));
    return el("li", {}, key.name, ": ", cosigned === undefined ? "did not sign this head" : `signed ${whenText(cosigned.timeS * 1000n)}`);
  };
  return fold(`The ${witnesses.length} witnesses of this log`, el("ul", {}, witnesses.map(row)));
}

function epochMore(found, { head }) {
  if (head === undefined) return null;
  const rungs = pathRanges(found.size - 1n, found.size).map(rangeRung);
  return fold(`The path: ${head.path.length} hashes`, ladder({ top: `signed root of ${found.size} entries`, bottom: `Epoch ${found.epoch}, entry ${found.size - 1n}`, rungs }));
}

function mapMore(found, { mapProof, answers }) {
  const drawn = mapProof.paths.map((path, i) => {
    const isName = answers[i][0] === 1;
    const bits = [...Array(path.depth).keys()].map((at) => (path.bitmap[at >> 3] >> (7 - (at & 7))) & 1);
    const rungs = bits.reverse().map((filled) => ({ side: "right", text: filled ? "others" : "nothing", empty: !filled }));
    const bottom = path.kind === 1 ? (isName ? found.asked.name ?? found.subject : "its owner's account") : path.kind === 3 ? "an empty place" : "another name alone";
    return ladder({ top: "root of the map", bottom, rungs });
  });
  return fold(`The path: ${mapProof.siblings.length} hashes`,
    el("p", {}, "Each name has one place in the map, told by the hash of the name. Hashing from there upwards, together with the neighbours that came along, gives the root that the Epoch fixes: ",
      found.status === "absent" ? "that place is empty." : "nothing else can stand in that place."), drawn);
}

function chainMore(found) {
  if (found.chain.length === 0) return null;
  const row = ({ index, epochMs, certificate }) => el("li", {}, `Entry ${index}: `, el("strong", {}, certificate.payload.typeName.replaceAll("_", " ")), `, ${whenText(epochMs)}`);
  return fold(`${found.chain.length} certificates judged here`, el("ol", {}, found.chain.map(row)));
}

// --- paths of hashes ---------------------------------------------------------------------------------------------------

/** Returns the subtrees beside the way from leaf `index` to the root of `size` leaves, from below: `{side, from, to}`, `to` not in it. */
export function pathRanges(index, size) {
  const walk = (from, to) => {
    if (to - from <= 1n) return [];
    let half = 1n;
    while (half * 2n < to - from) half *= 2n;
    const middle = from + half;
    return index < middle ? [...walk(from, middle), { side: "right", from: middle, to }] : [...walk(middle, to), { side: "left", from, to: middle }];
  };
  return walk(0n, BigInt(size));
}

/** Returns a subtree as a rung of the ladder. */
export const rangeRung = ({ side, from, to }) => ({ side, text: to - from === 1n ? `entry ${from}` : `entries ${from} to ${to - 1n}` });

/** Draws the way from one place at the bottom up to a root: at each rung a neighbour's hash comes along. `rungs` from below. */
export function ladder({ top, bottom, rungs }) {
  const [step, reach, beside, letter] = [34, 64, 12, 7.2];
  const longest = (texts) => Math.max(0, ...texts.map((text) => text.length)) * letter;
  const middle = Math.max(reach + beside + longest(rungs.map(({ text }) => text)), longest([top, bottom]) / 2);
  const height = step * rungs.length + 52;
  const at = (level) => height - 26 - step * level;
  const parts = rungs.flatMap(({ side, text, empty }, level) => {
    const x = middle + (side === "left" ? -reach : reach);
    const edges = [
      svg("line", { class: "edge", x1: x, y1: at(level), x2: middle, y2: at(level + 1) }),
      svg("line", { class: "edge mine", x1: middle, y1: at(level), x2: middle, y2: at(level + 1) }),
    ];
    const label = svg("text", { x: x + (side === "left" ? -beside : beside), y: at(level) + 4, "text-anchor": side === "left" ? "end" : "start" }, text);
    return [...edges, svg("circle", { class: empty ? "node empty" : "node", cx: x, cy: at(level), r: 6 }), label];
  });
  const mine = [...Array(rungs.length + 1).keys()].map((level) => svg("circle", { class: "node mine", cx: middle, cy: at(level), r: 7 }));
  const label = (level, text, dy) => svg("text", { class: "mine", x: middle, y: at(level) + dy, "text-anchor": "middle" }, text);
  const told = `From ${bottom} up to ${top}, in ${rungs.length} steps, each with a neighbour's hash.`;
  return svg("svg", { class: "tree", viewBox: `0 0 ${2 * middle} ${height}`, width: 2 * middle, role: "img", "aria-label": told },
    ...parts, ...mine, label(0, bottom, 22), label(rungs.length, top, -14));
}

// --- what it does not prove ----------------------------------------------------------------------------------------------

/** Returns what remains to be trusted, said plainly. */
export function drawLimits(found, trust) {
  const points = [];
  if (found.unwitnessed) {
    points.push(["That everybody is shown the same log.", "No witness signed this state, so the server could show other people another history. Whoever compares notices:",
      fold("Compare with somebody", el("p", {}, `Size ${found.size}, root `, hash(found.root)), el("p", {}, "Or let programs compare: ", el("code", {}, "dgns trust exchange"), "."))]);
  }
  if (found.continuity.kind === "first") points.push(["That this is the right log.", `Its key was believed when this browser first came here. Compare it with what others have: ${trust.logKeys.join(", ")}`]);
  if (found.footing === "map") points.push(["How these keys came to be.", "The log says so, and auditors who read the whole log check it. You can have every certificate of the account judged here instead: \u201cProve from the beginning\u201d."]);
  if (found.status === "present") points.push(["Who the person is.", "What is proved is which keys the name stands for, and since when; not who holds them."]);
  points.push(["That this page is honest.", "It came from the server whose answers it checks. The program dgns checks the same and does not come from there."]);
  return el("ul", { class: "limits" }, points.map(([what, why, more]) => el("li", {}, el("strong", {}, what), " ", why, more ?? null)));
}
