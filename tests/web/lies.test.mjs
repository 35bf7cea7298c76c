// A server whose answers are changed on the way: no page may say of anything that it is proved.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { claimName, newName } from "./journey.mjs";
import { startProxy } from "./proxy.mjs";
import { startServer } from "./server.mjs";

let [server, browser, proxy] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  await server.dgns("alice", "up", "alice");
  await server.dgns("alice", "records", "set", "alice", "A", "192.0.2.1");
  proxy = await startProxy(server.url);
});
after(async () => {
  await browser?.stop();
  await proxy?.stop();
  await server?.stop();
});

/** Returns a change that flips one bit at a part of each answer on these paths. */
const flipAt = (part, paths) => (path, bytes) => {
  if (!paths.test(path)) return bytes;
  const changed = Buffer.from(bytes);
  changed[Math.min(bytes.length - 1, Math.floor(part * bytes.length))] ^= 1;
  return changed;
};

/** No sign of success stands in the page's main part; "proved" only after "not". */
async function claimsNothing(page) {
  const text = await page.locator("main").innerText();
  const bare = text.replaceAll(/Not proved|prove from|Proofs make|you can prove|is proved|provable|does not prove|Proof$/gim, (found) => (/^is proved$/i.test(found) ? found : ""));
  assert.doesNotMatch(bare, /is proved|proved:|checked just now|All .* entries around/i, text);
  assert.equal(await page.locator("main .verdict.good, main .tell.good, main .proof, main .chain").count(), 0, text);
}

const PARTS = [0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.999];

test("a lookup with one flipped bit anywhere is not proved", async () => {
  const profile = await browser.profile(proxy.url);
  for (const part of PARTS) {
    proxy.change = flipAt(part, /^\/v1\/(names|dids)\//);
    const page = await profile.page();
    await page.goto("/lookup?name=alice");
    await sees(page, "Not proved");
    await claimsNothing(page);
    await page.close();
  }
  proxy.change = (_, bytes) => bytes;
  const page = await profile.page();
  await page.goto("/lookup?name=alice");
  await sees(page, `alice.${server.zone} is proved present`);
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("every page of a server that lies says that nothing is proved", async () => {
  const honest = await browser.profile(proxy.url);
  const account = await honest.page();
  proxy.change = (_, bytes) => bytes;
  await claimName(account, newName());
  await sees(account, "is yours, and that is proved");
  for (const [path, paths] of [["/", /dids/], ["/lookup?name=nobody", /names/], ["/explore", /dids/], ["/explore", /tile/], ["/explore", /proof/], ["/explore?index=5", /tile/], ["/devices", /dids/]]) {
    proxy.change = flipAt(0.5, paths);
    await account.goto(path);
    await sees(account, "Not proved");
    await claimsNothing(account);
  }
  proxy.change = flipAt(0.5, /names/);
  await account.goto("/claim");
  await account.getByLabel("The name you want").fill(newName());
  await account.locator("#free").filter({ hasText: "Not proved" }).waitFor();
  await claimsNothing(account);
  assert.deepEqual(honest.complaints, []);
  await honest.close();
});

test("a claim whose answer is changed is not proved, and is when the page comes back to an honest server", async () => {
  const profile = await browser.profile(proxy.url);
  const page = await profile.page();
  const name = newName();
  proxy.change = flipAt(0.6, /certificates/);
  await claimName(page, name);
  await sees(page, "Not proved");
  await claimsNothing(page);
  proxy.change = (_, bytes) => bytes;
  await page.reload();
  await page.getByRole("button", { name: "Finish it" }).click();
  await sees(page, `${name}.${server.zone} is yours, and that is proved`);
  await profile.close();
});

test("an answer about another name, an older one, and none at all are not proved", async () => {
  const profile = await browser.profile(proxy.url);
  const page = await profile.page();
  const kept = new Map();
  proxy.change = (path, bytes) => (kept.set(path, bytes), bytes);
  await page.goto("/lookup?name=nobody");
  await sees(page, "is proved absent");
  proxy.change = (path, bytes) => (path.startsWith("/v1/names/alice") ? kept.get(`/v1/names/nobody.${server.zone}`) : bytes);
  await page.goto("/lookup?name=alice");
  await sees(page, "Not proved");
  // The log goes on, this browser sees it, and then the server shows yesterday.
  proxy.change = (_, bytes) => bytes;
  await server.dgns("late", "up", "nobody");
  await page.goto("/lookup?name=nobody");
  await sees(page, "is proved present");
  proxy.change = (path, bytes) => kept.get(path) ?? bytes;
  await page.goto("/lookup?name=nobody");
  await sees(page, "Not proved");
  await claimsNothing(page);
  await proxy.stop();
  await page.goto("about:blank");
  await profile.close();
  proxy = await startProxy(server.url);
});
