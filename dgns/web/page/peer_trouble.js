// What went wrong on the way to a private server, in words that say what it means and what to do.

import { el, verdict } from "./dom.js";
import { trouble } from "./trouble.js";

const OFFLINE = ["No answer", "It is offline, or it is not for you: whoever is not let in sees the same as when nobody is there. Ask its owner."];
const BUSY = ["Too much at once", "Wait a minute, then try again."];
const BROKE = ["The connection broke", "Try again: what came is kept, and a download goes on where it stood."];
const NOT_THIS_DEVICE = ["This browser’s device does not count any more", "The log does not have it as a device that may act. Look at your devices."];

/** Code -> `[headline, what to do]`. */
const MEANING = {
  absent: ["Nobody has this name", "It is proved that it is free. Look at how it is spelled."],
  ended: ["Nobody has this name any more", "It is proved ended."],
  unavailable: OFFLINE,
  expired: OFFLINE,
  denied: ["You are not let in", "The server says so itself. Ask its owner."],
  no_path: ["No way leads from here to there", "Both of you stand behind something that lets nothing through, and no relay helps. Try another network."],
  left: ["Disconnected", "What came is kept. Connect again whenever you like."],
  closed: BROKE,
  done: BROKE,
  no_hello: BROKE,
  no_answer: BROKE,
  network: ["The lobby is not reached", "Check the connection, then try again."],
  revoked: ["You are not let in any more", "The device of this browser was removed from your account, or the owner changed whom the server serves."],
  rights_changed: ["What you may see has changed", "Connect again to see what it is now."],
  needproof: ["The owner wants a grant from you", "Ask for one, and show it here under “You were given a grant or a token”, or take the program: dgns connect --grant."],
  bad_proof: ["What was shown was not taken", "It was not signed by this browser’s device for this moment. Try again."],
  not_granted: ["The grant is for something else", "It is for another log, for somebody else, or does not let you write. Ask its owner for one that does."],
  grant_revoked: ["The grant was taken back", "Ask its owner for another one."],
  grant_expired: ["The grant is over", "Ask its owner for another one."],
  token_revoked: ["The token was taken back", "Get another one."],
  token_expired: ["The token is over", "Get another one."],
  token_device: ["The token is of another device", "It is good where it was made. Show the grant instead."],
  token_scope: ["The token is for something else", "It is for another log, or does not let you write."],
  token_mac: ["The token is not for this server", "Get one for its owner: dgns token exchange --audience."],
  no_audience: ["The server cannot ask what was taken back", "So nothing that is shown counts there for now. Try again later."],
  no_right: ["You may not write there", "Ask its owner."],
  lsn_conflict: ["Another program of this device writes to it as well", "Look at the log: your line may be there."],
  head_mismatch: ["The log has changed meanwhile", "Look at it, then try again."],
  moved: ["The log is elsewhere", "The owner says that it moved. Ask where to, or take the program: dgns connect --tail follows it."],
  feed_stale: ["Nobody can tell who counts", "The log gave no news for a minute, so neither end goes on. Try again later."],
  log_fault: ["The log was caught lying to the other end", "Do not act on what this server says."],
  not_found: ["There is no such file for you", "It was removed, or it is not for you."],
  changed: ["The file has changed meanwhile", "Connect again to see what it is now."],
  out_of_range: ["The file has changed meanwhile", "Connect again to see what it is now."],
  too_large: ["The file is too large", "A file may have 64 GiB."],
  failed: ["The server cannot read the file", "Tell its owner."],
  not_reader: ["This log is not for you", "Ask the owner of the server."],
  not_here: ["It is not served here any more", "Connect again to see what is."],
  unreachable: ["The server does not reach the store of its database", "Try again later."],
  withheld: ["The server does not show it", "It says that the store of its database lacks what was asked for. Nobody but the store can say that: read there, by \u201cdgns db read\u201d."],
  no_database: ["This name leads to no database", "Tell the owner of the server."],
  trimmed: ["These entries are gone", "An owner of the database trimmed them, and that is proved: a snapshot has their records."],
  deleted: ["The database was deleted", "Its owners said so, and that is proved: nobody reads it any more."],
  no_log: ["The database has no such log", "Connect again to see which there are."],
  no_room: ["This browser has no room for it", "Free some space, or take the program: dgns connect --get."],
  bad_frame: ["The other end says what makes no sense here", "It may be newer or older than this page."],
  unknown_type: ["The other end did not understand this page", "It may be older than this page."],
  busy: BUSY,
  rate: BUSY,
  quota: BUSY,
  overflow: BUSY,
  wrong_url: ["The lobby is not the one this page came from", "Somebody may stand between. Open the page at the server’s own address."],
  replaced: ["This browser connected again elsewhere", "Reload this page to go on here."],
  unknown_device: NOT_THIS_DEVICE,
  not_registered: OFFLINE,
};

/** How a lie of whoever stands at the other end is called. */
const LIES = {
  not_host: "Somebody answered who is no device of the owner, as the log has it.",
  bad_signature: "The answer was changed on its way, or somebody else signed it.",
  wrong_target: "The answer was for somebody else.",
  wrong_offer: "The answer was to another question.",
  wrong_sender: "A second device mixed in.",
  expired: "The answer is of another time. If your clock is wrong, set it right first.",
  fp_changed: "The other end came with another certificate than before.",
  too_many_candidates: "The other end names more addresses than anybody has.",
  wrong_certificate: "The other end shows another certificate than its signed answer names.",
  bad_peer_hello: "The other end does not prove that it made this very connection.",
  malformed: "What was sent is no answer to what was asked.",
  bad_host: "What was sent may be what the store of the database said long ago. It is not what it says now.",
  no_trim: "It says that entries were trimmed, and the owners did not say so.",
  no_tombstone: "It says that the database is deleted, and its owners did not say so.",
  anchor_proof: "What was sent is not what the log of names says of the database.",
  store_head: "What was sent is not signed by the server that keeps the database.",
  store_root: "Entries were changed, left out or put elsewhere: they do not make what the store signed.",
  hash_mismatch: "What was sent is not what its own hash names. None of it was kept.",
};

/** How it is called that the log was caught, by heads that two readers hold against each other. */
const FORKS = {
  fork: "The log signed two histories, and showed you and somebody else one each.",
  inconsistent: "The log signed two histories, and showed you and somebody else one each.",
  unproved: "The log signed a head that it does not show any more, and cannot say how what it shows goes on from there.",
};

/** Returns what to show of an error on the way to `name`; `again` repeats, `keep` saves the evidence. */
export function peerTrouble(error, name, again, keep) {
  const actions = [again && el("button", { type: "button", class: "quiet", onclick: again }, "Try again"), keep && el("button", { type: "button", class: "quiet", onclick: keep }, "Save the evidence")];
  const told = (kind, headline, ...lines) => verdict(kind, headline, ...lines.map((line) => el("p", {}, line)), el("p", { class: "soft small" }, "Code: ", el("code", {}, error.code)),
    actions.some(Boolean) && el("div", { class: "actions" }, actions));
  if (error.constructor.name === "PeerFault") return told("bad", `Not proved: whoever answers for ${name} is not believed`, LIES[error.code] ?? error.message, "Nothing was read from there, or shown to it, after this.");
  if (FORKS[error.code] !== undefined) {
    const kept = "The evidence is kept in this browser. Save it, and give it to whomever you trust: “dgns verify FILE” shows anybody that the log’s own key signed it.";
    return told("bad", "The log was caught lying", FORKS[error.code], "Nothing of what it says can be relied on, who stands at the other end included: so nothing was read from there.", kept);
  }
  const [headline, todo] = MEANING[error.code] ?? [];
  if (error.constructor.name === "ProofFault" || headline === undefined) {
    const shown = trouble(error, again);
    if (keep) shown.append(el("div", { class: "actions" }, actions.at(-1)));
    return shown;
  }
  return told("wait", headline, ...[todo, error.detail].filter(Boolean));
}
