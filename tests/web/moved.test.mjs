// A database that moved, read where it was: what it had until then, and where it went, as its owners said and as is checked.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test as run } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { visitor } from "./hosting.mjs";
import { startServer } from "./server.mjs";

const DB = "photos.alice";
const test = (claim, body) => run(claim, { timeout: 600_000 }, body);

let [from, to, browser, bob] = [];
before(async () => {
  [from, browser] = await Promise.all([startServer("[storage]\nanchor_s = 1\n"), startBrowser()]);
  to = await startServer(`[storage]\nanchor_s = 1\nhomes = [${JSON.stringify(from.vkey)}]\n`, "", 3600, undefined, "other.test");
  await from.dgns("alice", "up", "alice");
  await from.dgns("alice", "db", "create", DB, "--no-words");
  bob = await visitor(browser, from.url);
  await from.dgns("alice", "db", "grant", DB, bob.name, "--read");
  await appends("of before\n");
});
after(async () => {
  await bob?.profile.close();
  await browser?.stop();
  await to?.stop();
  await from?.stop();
});

async function appends(lines) {
  const file = from.file("records");
  await writeFile(file, lines);
  await from.dgns("alice", "db", "append", DB, file);
}

async function looks(page) {
  await page.goto(`/lookup?name=${DB}`);
  await page.getByRole("button", { name: "Read its entries" }).click();
}

test("who reads a database while it moves, and who comes later, is told where to, and sees what it had", async () => {
  const { page, profile } = bob;
  await looks(page);
  await sees(page, "of before");
  await sees(page, "What is added is shown as it comes");
  const url = to.url.replace("localhost", "127.0.0.1");
  await from.dgns("alice", "db", "move", DB, "--to", url);
  const isTold = async () => {
    await sees(page, "The database moved.");
    await sees(page, "Nothing is added here any more");
    const link = page.getByRole("link", { name: url });
    assert.deepEqual([await link.getAttribute("href"), await link.getAttribute("rel")], [url, "noopener noreferrer"]);
    await sees(page, "of before");
  };
  await isTold();
  await appends("there\n");
  await looks(page);
  await isTold();
  assert.equal(await page.locator(".entries li").count(), 1, "what was added there is not here");
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  await keepPicture(page, "a database that moved");
  assert.deepEqual(profile.complaints, []);
});
