// Whether this browser is told when something happens to an account while no page is open: by Web Push, if the person wants it (PROTOCOL 23.14).

import { Refused } from "../cbor.js";
import { Lobby } from "../lobby/attach.js";
import { el, say, tag, whileBusy } from "./dom.js";
import { deviceOf } from "./me.js";
import { showTrouble } from "./trouble.js";
import { workerUrl } from "./workers.js";

const keyOf = ({ id }) => `told/${id}`;

/** Returns the card that says so and changes it; null where the browser has no Web Push. */
export async function toldPart(client, store, record) {
  if (!("serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis)) return null;
  const part = el("div", { class: "card" });
  draw(client, store, record, part, (await store.get(keyOf(record))) === true && Notification.permission === "granted");
  return part;
}

function draw(client, store, record, part, isTold) {
  const failed = el("div", { hidden: true });
  const change = (task, to) => async () => {
    try {
      await task(client, record);
      await store.set(keyOf(record), to);
      draw(client, store, record, part, to);
      say(to ? "This browser is told" : "This browser is not told any more");
    } catch (error) {
      showTrouble(failed, error);
    }
  };
  const [words, task] = isTold ? ["Do not tell this browser", change(leave, false)] : ["Tell this browser", change(join, true)];
  const button = el("button", { type: "button", class: "quiet", onclick: () => whileBusy(button, task) }, words);
  part.replaceChildren(el("h3", {}, "When something happens"),
    el("p", {}, isTold ? [tag("good", "on"), " This browser is told"] : "This browser can be told", " when a device is added or removed, when something waits that you can stop, or when somebody recovers this account, also while these pages are closed."),
    el("p", { class: "soft small" }, "Your browser\u2019s maker delivers it, and sees that something comes, not what: it is encrypted, and holds no names."),
    failed, el("div", { class: "actions" }, button));
}

/** Asks the person, has the browser subscribe, and tells the server where it is reached. */
async function join(client, record) {
  if ((await Notification.requestPermission()) !== "granted") throw new Refused("push_denied", "this browser may not notify");
  await atLobby(client, record, async (lobby) => {
    const [, , key] = await lobby.ask({ t: "joined" });
    if (key.length === 0) throw new Refused("not_here", "this server pushes to nobody");
    const registration = await navigator.serviceWorker.register(workerUrl("push"), { type: "module" });
    const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }).catch((error) => {
      throw new Refused("no_push", error.message);
    });
    const [p256dh, auth] = ["p256dh", "auth"].map((name) => new Uint8Array(subscription.getKey(name)));
    await lobby.ask({ t: "push", endpoint: subscription.endpoint, p256dh, auth });
  });
}

/** Has the server forget where this device is reached. Other accounts of this browser may still be told: the browser's own subscription stays. */
const leave = (client, record) => atLobby(client, record, (lobby) => lobby.ask({ t: "push" }));

async function atLobby(client, record, task) {
  const lobby = new Lobby(client, { did: record.did, sign: deviceOf(record).sign });
  try {
    return await task(lobby);
  } finally {
    lobby.close();
  }
}
