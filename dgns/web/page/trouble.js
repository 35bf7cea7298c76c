// What went wrong, in words that say what it means and what to do. Nothing here ever says "proved".

import { el, goTo, verdict } from "./dom.js";

/** What a refusal means to the person at the page; others show what the server said. */
const MEANING = {
  name_taken: ["This name has just been taken", "Choose another one."],
  reserved_name: ["This name is reserved", "Names that stand for services are given to nobody. Choose another one."],
  bad_name: ["This is not a name of this zone", "Names have 3 to 63 letters a to z, digits and hyphens."],
  bad_did: ["This is not an account's identifier", "Identifiers begin with did:dgns: and have 32 more characters."],
  bad_invite: ["This invitation is not valid", "It is unknown, or somebody used it already. Ask for another one."],
  pow_short: ["The server asks for more work now", "Try again: the page will work a little longer."],
  key_reused: ["These keys were used before", "A key enters one account, once. Begin again: the page makes new ones."],
  stale_prev: ["Something changed meanwhile", "Another device of this account was faster. Look again, then repeat."],
  act_open: ["This device has an act that waits", "A device has one open act at a time: confirm it from another device, or withdraw it."],
  frozen: ["This account is frozen", "Two of its devices quarrel. Until that is decided only the twelve words act at once."],
  suspended: ["This device is suspended", "It can contest that, and do nothing else until it is decided."],
  last_device: ["No device would be left", "This needs the twelve words: nobody should lock an account by mistake."],
  not_allowed: ["This device may not do that", "It has not the power, or its probation is not over."],
  rate: ["That was too much in a short time", "Wait a little, then try again."],
  busy: ["The server is busy", "Nothing was lost. Try again in a moment."],
  log_unavailable: ["The server cannot write at the moment", "Nothing was lost. Try again in a moment."],
  quorum_pending: ["The witnesses have not signed yet", "What was posted is in the log. Look it up in a few seconds."],
  not_the_writer: ["This server only shows the log", "It follows another server, which takes what is written."],
  ended: ["This account has ended", "Nothing can be done with it any more."],
  signin_expired: ["This sign-in is over", "It was finished before, took too long, or began in another browser. Begin again."],
  signin_refused: ["The sign-in was not allowed", "You, or the site you signed in at, said no. Nothing was kept."],
  unknown_issuer: ["This server does not know that site", "Choose another way in."],
  email_unverified: ["Your e-mail address is not verified there", "Verify it at the site you signed in at, then try again."],
  nonce: ["The sign-in was for other keys", "Do not go on: begin again, and if it repeats, do not trust this server."],
  no_aliases: ["Nobody is found by an address here", "This server does not offer it. Ask for the name instead."],
  too_large: ["That is too long", "A letter has at most 3,584 bytes. Seal a longer text, and send it another way."],
  mailbox_full: ["Too much waits for them", "Their device has not looked for a while. Try again later."],
  no_such_device: ["They have just changed their devices", "Look again, then repeat."],
  assertion: ["The passkey's answer does not hold", "Begin again. If it repeats, take another way in, and make a new passkey."],
  unknown_passkey: ["This passkey is not known here", "It was removed, or no name was ever claimed with it. Take another way in, and make a new one."],
  passkey_counter: ["There may be a copy of this passkey", "Its counter went back. Remove it on the page of your devices, and make a new one."],
  passkey_known: ["This device holds a passkey for this account already", "Sign in with it, or make one somewhere else."],
  passkeys_full: ["There are as many passkeys as an account may have", "Remove one first."],
  passkey_refused: ["No passkey was used", "Nobody confirmed, it took too long, or there is none for these pages here. Nothing was sent."],
  passkey_unsupported: ["This device cannot do that", "It has to keep the passkey itself and ask for your finger, face or PIN. Take another device, or another way."],
  other_address: ["That is another address", "Nothing was bound. Sign in with the one you mean."],
  alias_bound: ["This address is bound already", "To you, or to whoever signed in with it before. Whoever has it may give it up first."],
  account_bound: ["That account leads somewhere else", "It leads to another account here already."],
  address_bound: ["An address of it is bound", "Give the address up first; then the sign-in can be taken away."],
  notary_pending: ["This server cannot vouch for that site yet", "Its word for it is not in the log yet. Try again later."],
  push_denied: ["This browser does not let these pages notify you", "Allow notifications for this site in the browser\u2019s settings, then try again."],
  no_push: ["This browser is not reached by any push service", "It has none, or cannot reach it now."],
  not_here: ["This server does not do that", "It only shows a log that another server keeps. Ask at that one."],
  bad_endpoint: ["The server does not take this push service", "It is not one of the public Internet."],
  not_reader: ["This database is not for you", "Only its members read it, and see who writes. Ask its owner."],
  trimmed: ["These entries are gone", "An owner of the database trimmed them, and that is proved: a snapshot has their records."],
  deleted: ["The database was deleted", "Its owners said so, and that is proved: nobody reads it any more."],
  moved: ["The database moved", "Its owners said so, and that is proved: another server keeps it, and this one shows no entry of before. \u201cdgns db read\u201d goes on there; this page does not."],
  no_log: ["The database has no such log", "Its owner may have called it otherwise."],
  no_account: ["There is no such account", ""],
  bad_pin: ["That is no PIN", "Six digits or more, or four words of the list."],
  weak_pin: ["That is what everybody tries first", "No repeats, runs or dates: choose another PIN, or have four words drawn."],
  other_pin: ["That is another PIN", "Type the same one. No guess was spent."],
  no_memory: ["There is too little memory", "Hardening a PIN takes 64 MiB. Close other pages, and try again."],
  too_few_answers: ["Too few servers answered well", "The guess is spent, but costs no second one: the same question is asked again."],
  not_registered: ["Not every server took its share", "Nothing is in the log. Leave those out, or try again."],
  backoff: ["Not yet", "Between two guesses there is a time to wait."],
  other_signin: ["You enrolled with another sign-in", "This one leads to the account, but its recovery servers were never told of it. The guess is spent; begin again with the other."],
  unknown_signin: ["That sign-in does not lead to this account", "Sign in with the account that you enrolled with. No guess was spent."],
  recovery_pending: ["A recovery is pending already", "It has to end first, or be vetoed."],
  guesses_spent: ["Every guess is spent", "Only a device or the twelve words can enrol anew."],
  burnt: ["This recovery was vetoed", "Only a device or the twelve words can enrol anew."],
  open_expired: ["That took too long", "Ten minutes after it began an attempt is over. Begin another."],
  same_operator: ["These servers belong together", "Together they could try every PIN, unseen."],
  bad_threshold: ["These servers do not do", ""],
  not_ready: ["It is not ready yet", "The waiting time has not passed."],
  pair_rejected: ["Turned away", "Your other device said no (pair_rejected)."],
  pair_digits: ["Other digits were typed", "Three times they did not fit, so nobody was let in. Ask anew; if it happens again, somebody is between the two."],
  pair_used: ["This secret was used before", "Make a new one on the other device."],
  pair_full: ["This pairing is full", "Begin another one."],
  bad_secret: ["That is no secret of a pairing", "Type the twelve words as the other device shows them."],
  no_ed25519: ["This browser is too old", "It cannot make the keys that names are bound to. A current Firefox, Chrome, Edge or Safari can."],
  words_count: ["These are not twelve words", "Type all the words, with a space between them."],
  words_unknown: ["One of these words is not on the list", ""],
  words_checksum: ["These words do not belong together", "A word is wrong, or two changed places."],
};

/** How a lie of the server is called, by the code of the check that failed. */
const LIES = {
  fork: "It shows a history that contradicts the one this browser saw before.",
  rollback: "It shows an older state than this browser has seen.",
  inconsistent: "It cannot show that nothing was taken back since this browser's last visit.",
  stale_head: "What it shows is too old, so it may hide what happened since. If your clock is wrong, set it right first.",
  time_bound: "The times do not fit together. If your clock is wrong, set it right first.",
  quorum: "The witnesses that must have seen this state did not sign it.",
  log_signature: "It is not signed by the key of this log.",
  map_proof: "The path of hashes does not lead where it must.",
  value: "The state shown is not the one the log fixes.",
  chain: "The account's certificates do not make the state that is shown.",
  written: "What was posted is not proved to be in the log.",
  store_head: "It did not sign what it shows of a database.",
  store_root: "Entries of a database were changed, left out or put elsewhere.",
  anchor_proof: "What it shows of a database is not what its own log says of it.",
  store_rollback: "Its databases went back: it signed more entries before, or says in its own log that there are more.",
  store_fork: "It signed two histories of one database.",
  store_stale: "It shows a database as it was before its newest word of it.",
  no_trim: "It says that entries of a database were trimmed, and no owner said so.",
  no_tombstone: "It says that a database is deleted, and none of its owners said so.",
  not_moved: "It says that a database is at another server, and its owners did not say so.",
  fork_base: "It does not show of a database what its owners say that they took along to another server.",
  anchor_overdue: "It acknowledged entries of a database, and does not say so in its log.",
  unknown_device: "It took an entry by a device that its author never had.",
  not_writer: "It took an entry by somebody who could not write there.",
  lsn_gap: "It shows an entry twice, or leaves one out.",
  epoch_conflict: "It took an entry under a key that was replaced.",
  head_mismatch: "It put an entry where its author did not want it.",
};

/** Returns `{kind, headline, lines, code}` of an error. `kind` is `bad` for a proof that does not hold, else `wait`. */
export function meaningOf(error) {
  const { name, code, detail, message } = error;
  if (error.constructor.name === "ProofFault") {
    const lines = [LIES[code] ?? "What it sent does not pass the checks.", "Do not act on what this server says. Nothing of it is shown here."];
    return { kind: "bad", headline: "Not proved: the server's answer is false or damaged", lines, code: message };
  }
  if (code === "network") {
    return { kind: "wait", headline: "Not proved: no answer from the server", lines: ["Check the connection, then try again. Nothing was lost."], code: message };
  }
  const [headline, todo] = MEANING[code] ?? ["That did not work", detail ?? message];
  const said = MEANING[code] === undefined || detail === undefined ? null : detail;
  return { kind: "wait", headline, lines: [todo, said].filter(Boolean), code: code ?? name };
}

/** Returns what to show of an error; `again` is a button's task, if repeating can help. */
export function trouble(error, again) {
  const { kind, headline, lines, code } = meaningOf(error);
  if (!("code" in error)) console.error(error);
  return verdict(kind, headline, ...lines.map((line) => el("p", {}, line)), el("p", { class: "soft small" }, "Code: ", el("code", {}, code)),
    again && el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: again }, "Try again")));
}

/** Shows an error where the reader is taken. */
export function showTrouble(place, error, again) {
  place.replaceChildren(trouble(error, again));
  place.hidden = false;
  goTo(place);
}
