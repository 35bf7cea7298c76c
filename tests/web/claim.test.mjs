// A newcomer with nothing but a browser: from an empty profile to a name whose proof was checked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { newName, claimName } from "./journey.mjs";
import { startProxy } from "./proxy.mjs";
import { startServer } from "./server.mjs";

let [server, browser] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

test("an empty profile claims a name and sees it proved; the command line proves the same", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  const name = newName();
  await claimName(page, name);
  await sees(page, `${name}.${server.zone} is yours, and that is proved`);
  await page.getByText("Every check, one by one").click();
  await sees(page, "Every key shown is proved from genesis: none can be false");
  const said = JSON.parse((await server.dgns("reader", "--json", "resolve", name)).trim().split("\n").at(-1));
  assert.match(JSON.stringify(said), new RegExp(`${name}\\.${server.zone}`));
  await page.goto("/devices");
  await sees(page, "(this browser)");
  await sees(page, "live");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("keys are made where no script reads them, and the words are kept nowhere", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  const words = await claimName(page, newName());
  await sees(page, "is yours, and that is proved");
  const kept = await page.evaluate(async () => {
    const asked = indexedDB.open("dgns");
    const database = await new Promise((done) => (asked.onsuccess = () => done(asked.result)));
    const table = database.transaction("kept").objectStore("kept");
    const all = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
    const [keys, values] = [await all(table.getAllKeys()), await all(table.getAll())];
    const record = values[keys.findIndex((key) => key.startsWith("me/"))][0];
    const handles = [record.device.sign.handle, record.device.kex.handle];
    const read = await Promise.all(handles.map((handle) => crypto.subtle.exportKey("pkcs8", handle).then(() => "read", () => "refused")));
    return { read, extractable: handles.map((handle) => handle.extractable), text: JSON.stringify(values, (_, value) => (typeof value === "bigint" ? String(value) : value)) };
  });
  assert.deepEqual([kept.read, kept.extractable], [["refused", "refused"], [false, false]]);
  for (const pair of words.slice(1).map((word, i) => `${words[i]} ${word}`)) assert.ok(!kept.text.includes(pair), "two words in a row are kept");
  await profile.close();
});

test("a wrong word is told, and the claim waits for the right one", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.goto("/claim");
  await page.getByLabel("The name you want").fill(newName());
  await sees(page, "Free, and that is proved");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("button", { name: "I have written them down" }).click();
  const fields = page.locator("main input");
  for (let i = 0; i < (await fields.count()); i++) await fields.nth(i).fill("zzz");
  await page.getByRole("button", { name: "Claim the name" }).click();
  await page.getByRole("alert").filter({ hasText: "is another one" }).waitFor();
  assert.equal(await fields.first().getAttribute("aria-invalid"), "true");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("names that cannot be had are told before anything is made", async () => {
  await server.dgns("taken", "up", "taken");
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.goto("/claim");
  const field = page.getByLabel("The name you want");
  for (const [typed, told] of [["taken", "Taken."], ["admin", "reserved"], ["a", "3 to 63 letters"], ["UPPER_case", "3 to 63 letters"], ["photos.taken", "granted by that one"]]) {
    await field.fill(typed);
    await page.locator("#free").filter({ hasText: told }).waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true", typed);
  }
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("a claim that was cut off is finished by the next visit, with the same bytes", async () => {
  // Goal: keys and certificates are kept before they leave. Method: the post's answer never arrives; the page is loaded anew.
  const proxy = await startProxy(server.url);
  const profile = await browser.profile(proxy.url);
  const page = await profile.page();
  const posts = [];
  page.on("request", (request) => request.method() === "POST" && posts.push(request.postDataBuffer().toString("hex")));
  await page.route("**/v1/certificates*", async (route) => {
    await route.fetch();
    await route.abort();
  });
  const name = newName();
  await claimName(page, name);
  await sees(page, "no answer from the server");
  await page.unroute("**/v1/certificates*");
  await page.reload();
  await sees(page, `You began to claim ${name}.${server.zone}`);
  await page.getByRole("button", { name: "Finish it" }).click();
  await sees(page, `${name}.${server.zone} is yours, and that is proved`);
  assert.equal(posts.length, 2);
  assert.equal(posts[0], posts[1]);
  await profile.close();
  await proxy.stop();
});

test("one account claims a second name without words, and an invitation opens its road", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await claimName(page, newName());
  await sees(page, "is yours, and that is proved");
  const [second, code] = [newName(), await server.invitation()];
  await page.goto("/claim");
  await page.getByLabel("The name you want").fill(second);
  await page.getByText("By invitation").click();
  await page.getByLabel("Invitation", { exact: true }).fill("not a code");
  await page.getByRole("button", { name: "Go on" }).click();
  await sees(page, "This invitation is not valid");
  await page.getByLabel("Invitation", { exact: true }).fill(code);
  await page.getByRole("button", { name: "Go on" }).click();
  await sees(page, `${second}.${server.zone} is yours, and that is proved`);
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});
