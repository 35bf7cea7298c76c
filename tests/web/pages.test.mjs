// What every page owes to those who use it: few bytes, no foreign word, a keyboard's way, colours that can be read.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf, tabOrder } from "./eyes.mjs";
import { claimName, newName } from "./journey.mjs";
import { startServer } from "./server.mjs";

/** What a first visit to a page may transfer in all, with nothing cached. */
const BYTES_MAX = 150_000;
/** The pages, with a text that stands there once all is done. */
const PAGES = [
  ["/", "checked just now"], ["/lookup?name=alice", "is proved present"], ["/lookup?name=nobody", "is proved absent"], ["/find", "Their e-mail address"], ["/claim", "The name you want"],
  ["/signin", "With the words on your paper"], ["/approve", "No account has keys"], ["/devices", "No account has keys"], ["/recover", "Which account?"], ["/recovery", "No account has keys"], ["/connect", "No account has keys"], ["/explore", "lead to the signed root"], ["/explore?index=4", "hashes lead from it"], ["/explore?index=99999", "The log has no entry"],
];

let [server, browser] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  await server.dgns("alice", "up", "alice");
  await server.dgns("alice", "records", "set", "alice", "A", "192.0.2.1");
  await server.dgns("alice", "records", "set", "alice", "AAAA", "2001:db8::1:0:0:5");
  await server.dgns("alice", "records", "set", "alice", "TXT", "hello");
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

test("a first visit to any page transfers at most 150 kB", async (t) => {
  for (const [path, text] of PAGES) {
    const profile = await browser.profile(server.url);
    const page = await profile.page();
    const network = await profile.context.newCDPSession(page);
    let [bytes, requests] = [0, 0];
    network.on("Network.loadingFinished", ({ encodedDataLength }) => ([bytes, requests] = [bytes + encodedDataLength, requests + 1]));
    await network.send("Network.enable");
    await page.goto(path);
    await sees(page, text);
    await page.waitForLoadState("networkidle");
    t.diagnostic(`${path}: ${bytes} bytes in ${requests} requests`);
    assert.ok(bytes > 10_000 && bytes <= BYTES_MAX, `${path}: ${bytes} bytes`);
    assert.deepEqual(profile.complaints, [], path);
    await profile.close();
  }
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
  test(`every page can be read, named and reached: ${scheme}, ${width} wide`, async () => {
    const profile = await browser.profile(server.url, { scheme, width, height: 844 });
    const page = await profile.page();
    for (const [path, text] of PAGES) {
      await page.goto(path);
      await sees(page, text);
      await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
      assert.deepEqual(await page.evaluate(complaintsOf), [], path);
      await keepPicture(page, `${path}-${scheme}-${width}`);
    }
    await claimName(page, newName());
    await sees(page, "is yours, and that is proved");
    await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    await keepPicture(page, `claimed-${scheme}-${width}`);
    await page.goto("/devices");
    await sees(page, "(this browser)");
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    await keepPicture(page, `devices-own-${scheme}-${width}`);
    assert.deepEqual(profile.complaints, []);
    await profile.close();
  });
}

test("the checker sees what it should", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.goto("/claim");
  await sees(page, "The name you want");
  await page.evaluate(() => {
    const main = document.querySelector("main");
    for (const [tag, text, color] of [["p", "faint", "rgb(200, 200, 200)"], ["h4", "deep", ""], ["button", "", ""], ["input", "", ""]]) {
      const element = document.createElement(tag);
      element.textContent = text;
      element.style.color = color;
      main.append(element);
    }
  });
  const found = (await page.evaluate(complaintsOf)).map((complaint) => complaint.split(":")[0]);
  for (const what of [/^contrast/, /^h4 behind/, /^no name/, /^no label/]) assert.ok(found.some((one) => what.test(one)), `${what} in ${found}`);
  await profile.close();
});

test("a keyboard alone looks a name up and reads what was found first", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.goto("/");
  await sees(page, "checked just now");
  const order = await tabOrder(page, 8);
  assert.deepEqual(order.map(({ what }) => what), ["Skip to the content", "dgns", ...(await page.locator("nav a").allTextContents()), "name", "Look up"].slice(0, 8));
  assert.ok(order.every(({ shown }) => shown), `focus is shown: ${JSON.stringify(order)}`);
  await page.locator("#name").focus();
  await page.keyboard.type("alice");
  await page.keyboard.press("Enter");
  await sees(page, "is proved present");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /alice\..* is proved present/);
  assert.match(await page.locator("#said").textContent(), /is proved present/, "said to those who listen");
  await page.goBack();
  assert.equal(new URL(page.url()).pathname, "/");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("a lookup shows records, keys and every check, and its file convinces the command line", async () => {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.goto("/lookup?name=alice");
  for (const text of ["192.0.2.1", "2001:db8::1:0:0:5", '"hello"', "full device", "That everybody is shown the same log."]) await sees(page, text);
  await page.getByText("Every check, one by one").click();
  const steps = await page.locator(".proof h3").allTextContents();
  assert.ok(steps.length >= 8, steps.join("; "));
  await page.getByRole("button", { name: "Prove from the beginning" }).click();
  await page.getByText("Every check, one by one").click();
  await sees(page, "Every key shown is proved from genesis: none can be false");
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save the proof" }).click();
  const file = await (await saved).path();
  await server.dgns("checker", "resolve", "alice"); // pins the log
  assert.match(await server.dgns("checker", "verify", file), /alice/);
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("a follower gives out the pages, and says where names are claimed", async () => {
  const follower = await startServer(`[follow]\nurl = "${server.url.replace("localhost", "127.0.0.1")}"\n`);
  const profile = await browser.profile(follower.url);
  const page = await profile.page();
  await page.goto("/lookup?name=alice");
  await sees(page, "is proved present");
  await page.goto("/claim");
  await sees(page, "This server only shows the log");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
  await follower.stop();
});

test("a server told so has no pages, and its hash of them is the one that the files make", async () => {
  const { web } = await (await fetch(`${server.url}/v1/info`)).json();
  const { execFileSync } = await import("node:child_process");
  const folder = join(import.meta.dirname, "../../dgns/web");
  const made = execFileSync("sh", ["-c", "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"], { cwd: folder, encoding: "utf8" });
  assert.equal(made.split(" ")[0], web);
  const bare = await startServer('[http]\nlisten = "127.0.0.1:0"\npages = false\n');
  const [page, info] = await Promise.all(["/claim", "/v1/info"].map((path) => fetch(`${bare.url}${path}`)));
  assert.equal(page.status, 404);
  assert.equal((await info.json()).web, undefined);
  await bare.stop();
});
