// Databases that a private server hands on, read in a real browser: a real `dgns host --db`, a real dgnsd that keeps them.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, afterEach, before, test as run } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { alices, reach, visitor } from "./hosting.mjs";
import { startLiar } from "./liar.mjs";
import { startServer } from "./server.mjs";
import { decodeRange } from "../../dgns/web/store/answer.js";

const DB = "photos.alice";
/** What the page asks for first. */
const FIRST = "from=0&limit=256";
const test = (claim, body) => run(claim, { timeout: 600_000 }, body);

let [server, browser, alice, bob, full, liar] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  alice = await alices(server);
  full = `${DB}.${server.zone}`;
  await server.dgns("alice", "db", "create", DB, "--no-words");
  await appends("of the beginning\n");
  [bob, liar] = await Promise.all([visitor(browser, server.url), startLiar(server.url)]);
  await server.dgns("alice", "db", "grant", DB, bob.name, "--read");
  await appends("for members\nof now\n");
});
after(async () => {
  await bob?.profile.close();
  await browser?.stop();
  await liar?.stop();
  await server?.stop();
});
afterEach(async () => {
  await alice.gone();
  server.through(server.url);
});

/** Appends records, a line each. */
async function appends(lines) {
  const file = server.file("records");
  await writeFile(file, lines);
  await server.dgns("alice", "db", "append", DB, file);
}

/** Connects, and reads the log of the database. */
async function reads(page) {
  await reach(page);
  await sees(page, "both ends are proved");
  await page.getByRole("button", { name: `Read main of ${full}` }).click();
}

/** Returns a range whose first entry has another body. */
function withAnotherBody(range) {
  const { body } = decodeRange(range).entries[0];
  const bent = Uint8Array.from(range);
  bent[body.byteOffset - range.byteOffset] ^= 1;
  return bent;
}

const entriesOf = (page) => page.locator(".entries li").count();

test("a member reads the entries of a database in order, and sees those that are added", async () => {
  await alice.host("--allow", "certified", "--db", DB);
  const { page, profile } = bob;
  await reads(page);
  await sees(page, `Database ${full}`);
  await sees(page, "entries, proved");
  assert.deepEqual(await page.locator(".entries pre").allInnerTexts(), ["of the beginning", "for members", "of now"]);
  assert.equal(await page.getByText("Sealed.").count(), 0);
  await sees(page, `alice.${server.zone}`);
  await appends("while it is read\n");
  await sees(page, "while it is read");
  await page.getByRole("button", { name: "Stop" }).click();
  await sees(page, "Stopped: what is added from now on is not shown.");
  assert.deepEqual(profile.complaints, []);
});

test("who is no member sees who wrote and when, and is told that the rest is sealed", async () => {
  await alice.host("--allow", "certified", "--db", DB);
  const carol = await visitor(browser, server.url);
  await reads(carol.page);
  await sees(carol.page, "Sealed.");
  await sees(carol.page, "is no member of this database");
  assert.ok((await entriesOf(carol.page)) >= 2);
  assert.equal(await carol.page.locator(".entries pre").count(), 0);
  await keepPicture(carol.page, "databases sealed");
  assert.doesNotMatch(await carol.page.locator("main").innerText(), /of the beginning|for members/);

  await server.dgns("alice", "db", "grant", DB, carol.name, "--read");
  await reads(carol.page);
  await sees(carol.page, "of the beginning");
  assert.equal(await carol.page.getByText("Sealed.").count(), 0);
  await server.dgns("alice", "db", "revoke", DB, carol.name);
  await appends("behind her back\n");
  await reads(carol.page);
  await sees(carol.page, "is no member of this database any more");
  await sees(carol.page, "for members");
  assert.doesNotMatch(await carol.page.locator("main").innerText(), /behind her back/);
  assert.deepEqual(carol.profile.complaints, []);
  await carol.profile.close();
});

test("the page of a name reads a database at its server, to its members alone", async () => {
  const { page, profile } = bob;
  await page.goto(`/lookup?name=${DB}`);
  await page.getByRole("button", { name: "Read its entries" }).click();
  await sees(page, "entries, proved");
  await sees(page, "of the beginning");
  await appends("read at the server\n");
  await sees(page, "read at the server");
  await keepPicture(page, "database at its server");
  assert.deepEqual(profile.complaints, []);
  const dora = await visitor(browser, server.url);
  await dora.page.goto(`/lookup?name=${DB}`);
  await dora.page.getByRole("button", { name: "Read its entries" }).click();
  await sees(dora.page, "This database is not for you");
  assert.equal(await entriesOf(dora.page), 0);
  await dora.profile.close();
  const nobody = await browser.profile(server.url);
  const stranger = await nobody.page();
  await stranger.goto(`/lookup?name=${DB}`);
  await stranger.getByRole("button", { name: "Read its entries" }).click();
  await sees(stranger, "Only members read it");
  await nobody.close();
});

test("whoever reads a database that its owners delete is told so, by whom, and nothing more is shown", async () => {
  const gone = "gone.alice";
  await server.dgns("alice", "db", "create", gone, "--no-words");
  await server.dgns("alice", "db", "grant", gone, bob.name, "--read");
  const { page, profile } = bob;
  const looks = async () => {
    await page.goto(`/lookup?name=${gone}`);
    await page.getByRole("button", { name: "Read its entries" }).click();
  };
  await looks();
  await sees(page, "entries, proved");
  await server.dgns("alice", "db", "delete", gone, "--yes");
  await sees(page, "The database was deleted");
  await sees(page, "1 of its owners being for it, of 1");
  await looks();
  await sees(page, "The database was deleted");
  assert.equal(await entriesOf(page), 0);
  await keepPicture(page, "database deleted");
  assert.deepEqual(profile.complaints, []);
});

test("a host that hands on another entry, or what was true before, shows nothing", async () => {
  server.through(liar.url);
  const host = () => alice.host("--allow", "certified", "--db", DB);
  const { page } = bob;
  let before;
  liar.answer = (target, bytes) => (target.includes(FIRST) && (before = bytes), bytes);
  await host();
  await reads(page);
  await sees(page, "entries, proved");
  await alice.gone();

  liar.answer = (target, bytes) => (target.includes(FIRST) ? withAnotherBody(bytes) : bytes);
  await host();
  await reads(page);
  await sees(page, "is not believed");
  await sees(page, "hash_mismatch");
  assert.equal(await entriesOf(page), 0);
  await alice.gone();

  server.through(server.url);
  await appends("after that\n");
  await alice.host("--allow", "certified", "--db", DB);
  await reads(page);
  await sees(page, "after that");
  await alice.gone();
  server.through(liar.url);
  liar.answer = (target, bytes) => (target.includes(FIRST) ? before : bytes);
  await host();
  await reads(page);
  await sees(page, "is not believed");
  await sees(page, "said long ago");
  await keepPicture(page, "databases of before");
  assert.equal(await entriesOf(page), 0);
  liar.answer = (_, bytes) => bytes;
});

test("a server that shows another entry, or fewer than it did, is called at fault and shows nothing", async () => {
  const { page, profile, name } = await visitor(browser, liar.url);
  await server.dgns("alice", "db", "grant", DB, name, "--read");
  const looks = async () => {
    await page.goto(`/lookup?name=${DB}`);
    await page.getByRole("button", { name: "Read its entries" }).click();
  };
  let before;
  liar.answer = (target, bytes) => (target.includes(FIRST) && (before = bytes), bytes);
  await looks();
  await sees(page, "entries, proved");
  liar.answer = (target, bytes) => (target.includes(FIRST) ? withAnotherBody(bytes) : bytes);
  await looks();
  await sees(page, "the server's answer is false or damaged");
  await sees(page, "hash_mismatch");
  assert.equal(await entriesOf(page), 0);
  liar.answer = (_, bytes) => bytes;
  await appends("what is hidden then\n");
  await looks();
  await sees(page, "what is hidden then");
  liar.answer = (target, bytes) => (target.includes(FIRST) ? before : bytes);
  await looks();
  await sees(page, "Its databases went back");
  assert.equal(await entriesOf(page), 0);
  await page.getByRole("button", { name: "Save the evidence" }).waitFor();
  liar.answer = (_, bytes) => bytes;
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
  test(`the databases can be read, named and reached: ${scheme}, ${width} wide`, async () => {
    await alice.host("--allow", "certified", "--db", DB);
    const { page, profile, name } = await visitor(browser, server.url, { scheme, width, height: 844 });
    await server.dgns("alice", "db", "grant", DB, name, "--read");
    await appends(`for ${scheme} ${width}\n`);
    await reads(page);
    await sees(page, `for ${scheme} ${width}`);
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    await keepPicture(page, `databases ${scheme} ${width}`);
    assert.deepEqual(profile.complaints, []);
    await profile.close();
  });
}
