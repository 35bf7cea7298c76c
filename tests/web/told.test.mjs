// A browser that is told what happens to an account while no page is open: the page's button, the server's real push, the worker's notification. Only the push
// service between them is the test's: a browser that talks to nobody but the pages' server has none.

import assert from "node:assert/strict";
import { createDecipheriv, createECDH, createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test as run } from "node:test";

import { sees, startBrowserIn } from "./browser.mjs";
import { claimName, newName } from "./journey.mjs";
import { startServer } from "./server.mjs";
import { readPush } from "../../dgns/web/push.js";

const test = (claim, body) => run(claim, { timeout: 600_000 }, body);

let [server, service, browser, folder] = [];
before(async () => {
  service = await startService();
  server = await startServer(`[push]\nallow = ["${new URL(service.url).host}"]\nsubject = "mailto:op@dgns.test"\n`);
  folder = await mkdtemp(join(tmpdir(), "dgns-told-"));
  browser = await startBrowserIn(folder, server.url);
  await browser.context.grantPermissions(["notifications"], { origin: server.url });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await service?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** A push service with one subscription: `{url, keys, pushes, arrived(find)}`, opened as a browser does (RFC 8188, 8291). */
async function startService() {
  const [ecdh, auth, pushes, waiting] = [createECDH("prime256v1"), randomBytes(16), [], []];
  ecdh.generateKeys();
  const expand = (salt, secret, info, length) => {
    const key = createHmac("sha256", salt).update(secret).digest();
    return createHmac("sha256", key).update(Buffer.concat([info, Buffer.of(1)])).digest().subarray(0, length);
  };
  const opened = (body) => {
    const [salt, theirs, sealed] = [body.subarray(0, 16), body.subarray(21, 86), body.subarray(86)];
    const input = expand(auth, ecdh.computeSecret(theirs), Buffer.concat([Buffer.from("WebPush: info\0"), ecdh.getPublicKey(), theirs]), 32);
    const [key, nonce] = [["aes128gcm", 16], ["nonce", 12]].map(([name, length]) => expand(salt, input, Buffer.from(`Content-Encoding: ${name}\0`), length));
    const cipher = createDecipheriv("aes-128-gcm", key, nonce).setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]);
    return plain.subarray(0, plain.lastIndexOf(2));
  };
  const listener = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      pushes.push({ urgency: request.headers.urgency, bytes: new Uint8Array(opened(Buffer.concat(parts))) });
      for (const wake of waiting.splice(0)) wake();
      response.writeHead(201).end();
    });
  });
  await new Promise((done) => listener.listen(0, "127.0.0.1", done));
  const arrived = async (find) => {
    for (;;) {
      const found = pushes.find(find);
      if (found !== undefined) return found;
      await new Promise((wake) => waiting.push(wake));
    }
  };
  return { url: `http://127.0.0.1:${listener.address().port}`, keys: { p256dh: [...ecdh.getPublicKey()], auth: [...auth] }, pushes, arrived, stop: () => new Promise((done) => listener.close(done)) };
}

/** Has the browser's push manager subscribe at the test's service. */
function subscribesAt({ url, keys }) {
  PushManager.prototype.subscribe = async (options) => {
    if (!options.userVisibleOnly || options.applicationServerKey.length !== 65) throw new Error("not how a page subscribes");
    return { endpoint: `${url}/send/browser`, getKey: (name) => new Uint8Array(keys[name]).buffer };
  };
}

/** In the worker: takes a push, and returns what is shown then. What a test dispatches nobody waits for: so it is waited for here. */
async function takes(bytes) {
  let shown;
  const event = new PushEvent("push", { data: new Uint8Array(bytes) });
  Object.defineProperty(event, "waitUntil", { value: (task) => (shown = task) });
  dispatchEvent(event);
  await shown;
  return showing();
}

/** In the worker: `told` is over when the next push is. Whoever asks meanwhile what is shown has Chromium forget the notification that is not shown yet. */
function follows() {
  const waits = ExtendableEvent.prototype.waitUntil;
  globalThis.told = new Promise((done) => {
    ExtendableEvent.prototype.waitUntil = function (task) {
      done(task);
      waits.call(this, task);
    };
  });
}

const showing = async () => (await registration.getNotifications()).map(({ title, body, data }) => ({ title, body, data }));

test("a device that is added is told to a browser that wanted it, in words of its own", async () => {
  const { context, complaints } = browser;
  const [page, name] = [await browser.page(), newName()];
  await page.addInitScript(subscribesAt, { url: service.url, keys: service.keys });
  await claimName(page, name);
  await sees(page, "is yours, and that is proved");
  await page.goto("/devices");
  await page.getByRole("button", { name: "Tell this browser", exact: true }).click();
  await sees(page, "This browser is told");
  await page.reload();
  await sees(page, "This browser is told");

  await page.goto("/approve");
  await sees(page, "Nobody asks");
  const asking = server.starts("laptop", "join", name);
  await page.getByRole("button", { name: "It is mine" }).click();
  await page.getByLabel("Six digits").fill(await asking.says((line) => /^\s*([0-9]{3}) ([0-9]{3})\s*$/.exec(line)?.slice(1).join("")));
  await page.getByRole("button", { name: "Let it in" }).click();
  assert.equal(await asking.ended(), 0);
  const push = await service.arrived(({ bytes }) => readPush(bytes)?.event === "device_added");
  assert.equal(push.urgency, "high");
  assert.ok(readPush(push.bytes).index > 0n, "it says where to look");

  const worker = context.serviceWorkers().find((one) => one.url().endsWith("/page/push_worker.js"));
  await worker.evaluate(`globalThis.showing = ${showing}; globalThis.takes = ${takes};`);
  const look = { body: "Look at your devices: only there it is proved.", data: "/devices" };
  assert.deepEqual(await worker.evaluate((bytes) => takes(bytes), [...push.bytes]), [{ title: "A device was added to your account", ...look }]);
  assert.equal((await worker.evaluate((bytes) => takes(bytes), [...push.bytes])).length, 1, "the same again takes its place");

  // Whatever else comes, delivered as the browser itself does: words of this page, and nothing of what came.
  const devtools = await context.newCDPSession(page);
  const registered = new Promise((done) => devtools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    const ours = registrations.find(({ scopeURL, isDeleted }) => scopeURL === `${server.url}/page/` && !isDeleted);
    if (ours !== undefined) done(ours.registrationId);
  }));
  await devtools.send("ServiceWorker.enable");
  await worker.evaluate(follows);
  await devtools.send("ServiceWorker.deliverPushMessage", { origin: server.url, registrationId: await registered, data: "You have won: call 0123" });
  await worker.evaluate(() => told);
  const shown = await worker.evaluate(() => showing());
  assert.deepEqual(shown.map(({ title }) => title).toSorted(), ["A device was added to your account", "Something happened to your account"]);

  await page.goto("/devices");
  await page.getByRole("button", { name: "Do not tell this browser" }).click();
  await sees(page, "This browser can be told");
  assert.deepEqual(complaints, []);
});
