// Says that something happened while no page is open (PROTOCOL 23.14). A push brings numbers; every word that is shown stands here, so that nobody can make this
// browser show a text of theirs. What it says is a hint: the page that it opens looks the log up, and believes that alone.

import { readPush } from "../push.js";

const LOOK = "Look at your devices: only there it is proved.";
/** What happened to an account, by the name of its event (PROTOCOL 12.11). */
const EVENTS = {
  device_added: "A device was added to your account",
  suspended: "A device of yours was suspended",
  revoked: "A device of yours was removed",
  pending: "Something waits on your account, and can be stopped",
  due: "What waits on your account takes effect soon",
  veto: "Something on your account was stopped",
  frozen: "Your account is frozen",
  recovery_open: "Somebody recovers your account",
  recovery_proved: "Somebody is about to take your account over",
};

addEventListener("push", (event) => event.waitUntil(tell(event.data === null ? new Uint8Array() : new Uint8Array(event.data.arrayBuffer()))));

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(look(event.notification.data));
});

/** Shows a notification; one of the same kind takes the place of the one before. */
function tell(bytes) {
  const said = readPush(bytes);
  if (said?.log !== undefined) return registration.showNotification("A log that you follow has grown", { body: "Connect to read it.", tag: "log", data: "/connect", icon: "/page/icon.svg" });
  const title = EVENTS[said?.event] ?? "Something happened to your account";
  return registration.showNotification(title, { body: LOOK, tag: `event ${EVENTS[said?.event] === undefined ? "" : said.event}`, data: "/devices", icon: "/page/icon.svg", requireInteraction: true });
}

/** Shows a page of ours that is open already, or opens one. */
async function look(path) {
  const open = (await clients.matchAll({ type: "window", includeUncontrolled: true })).find(({ url }) => new URL(url).pathname === path);
  return open === undefined ? clients.openWindow(path) : open.focus();
}
