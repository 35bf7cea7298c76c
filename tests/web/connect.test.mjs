// The browser as a client of private servers: real RTCPeerConnection, a real `dgns host`, a real dgnsd between them.

import assert from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { after, afterEach, before, test as run } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { alices, breakPaths, noise, reach, told, toldSoFar, visitor } from "./hosting.mjs";
import { askAndAnswer, twoProfiles } from "./journey.mjs";
import { startLiar } from "./liar.mjs";
import { startServer } from "./server.mjs";

const BYTES = 3_000_001;
const test = (claim, body) => run(claim, { timeout: 600_000 }, body);

let [server, browser, alice, bob] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  alice = await alices(server);
  await alice.write("big.bin", noise(BYTES));
  bob = await visitor(browser, server.url);
});
after(async () => {
  await bob?.profile.close();
  await browser?.stop();
  await server?.stop();
});

afterEach(() => alice.gone());

/** Downloads a file; returns its bytes. */
async function downloads(page, path) {
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: `Download ${path}` }).click();
  return readFile(await (await saved).path());
}

test("a page lists, downloads and follows what a private server serves, and both ends are proved", async () => {
  const host = await alice.host("--allow", bob.name);
  const { page, profile } = bob;
  await reach(page);
  await sees(page, `${alice.name} is reached, and both ends are proved`);
  await sees(page, "directly, machine to machine");
  assert.ok((await downloads(page, "big.bin")).equals(noise(BYTES)));
  await sees(page, "Every chunk checked: 3.0 MB.");
  await page.getByRole("button", { name: "Follow logs/today.log" }).click();
  await sees(page, "two");
  await appendFile(alice.path("logs/today.log"), "three\n");
  await sees(page, "three");
  const knock = await told(host, "knock");
  assert.equal(knock.verdict, "let_in");
  await page.getByRole("button", { name: "Disconnect" }).click();
  await sees(page, "Disconnected");
  assert.equal((await told(host, "ended")).code, "closed");
  assert.deepEqual(profile.complaints, []);
});

test("lines are added where the host lets this device: by its rules, or by a grant that is shown", async () => {
  const { page, profile } = bob;
  const [log, path] = ["logs/added.log", alice.path("logs/added.log")];
  await alice.write(log, "first\n");
  const add = async (line) => {
    await page.getByLabel("Add a line").fill(line);
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.waitForFunction(() => document.querySelector("#add-state")?.textContent.includes("on the server’s disk") && document.querySelector("#add-line").value === "");
  };
  await alice.host("--allow", bob.name);
  await reach(page);
  await page.getByRole("button", { name: `Follow ${log}` }).click();
  await sees(page, "first");
  assert.equal(await page.getByLabel("Add a line").count(), 0, "whoever may only read is not asked to write");
  await alice.gone();

  await alice.host("--write", bob.name);
  await reach(page);
  await page.getByRole("button", { name: `Follow ${log}` }).click();
  await add("by rule");
  await add("by rule");
  await sees(page, "by rule");
  assert.equal(await readFile(path, "utf8"), "first\nby rule\nby rule\n");
  await alice.gone();

  const host = await alice.host("--proof");
  const { did } = JSON.parse(await server.dgns("alice", "--json", "whoami"));
  const granted = async (rights) => JSON.parse(await server.dgns("alice", "--json", "grant", bob.name, `${did}/${log}`, "--rights", rights, "--until", "1d"));
  const show = async (text, at) => {
    await page.getByText("You were given a grant or a token").click();
    await page.getByLabel("The grant or the token").fill(text);
    await page.getByLabel("The log it is for").fill(at);
    await page.getByRole("button", { name: "Open the log" }).click();
  };
  await reach(page);
  await sees(page, "Nothing is served to you, yet.");
  await show("dgg1.%%%", log);
  await sees(page, "This is neither a token");
  const { grant, sid } = await granted("rw");
  await page.getByText("You were given a grant or a token").click();
  await show(grant, "big.bin");
  await sees(page, "The grant is for something else");
  await page.getByText("You were given a grant or a token").click();
  await show(grant, log);
  await add("by grant");
  assert.equal(await readFile(path, "utf8"), "first\nby rule\nby rule\nby grant\n");
  await server.dgns("alice", "token", "revoke", "--grant", sid);
  await sees(page, "The grant was taken back");
  assert.equal(toldSoFar(host, "fault").length, 0);
  assert.deepEqual(profile.complaints, []);
});

test("a download that was stopped goes on where it stood", async () => {
  await alice.host("--allow", bob.name);
  await alice.write("huge.bin", noise(20_000_000));
  const { page } = bob;
  await reach(page);
  await page.getByRole("button", { name: "Download huge.bin" }).click();
  await page.waitForFunction(() => document.querySelector("progress")?.value > 0.1);
  await page.getByRole("button", { name: "Pause" }).click();
  await sees(page, "Paused. What came is kept");
  await page.reload();
  await reach(page);
  await sees(page, "both ends are proved");
  assert.ok((await downloads(page, "huge.bin")).equals(noise(20_000_000)));
  await sees(page, /Every chunk checked: 20 MB, .* of it from before\./);
  assert.deepEqual(bob.profile.complaints, []);
});

test("whoever is not let in sees what they would see if it were off", async () => {
  // Somebody new: a device knocks at one name six times a minute.
  const { page, profile } = await visitor(browser, server.url);
  await reach(page);
  await sees(page, "No answer");
  const off = await page.locator("#answer").innerText();
  const host = await alice.host();
  await reach(page);
  await sees(page, "No answer");
  assert.equal(await page.locator("#answer").innerText(), off);
  assert.equal(toldSoFar(host, "knock").length, 0, "the lobby did not even wake it");
  await reach(page, "db.nobody");
  await sees(page, "Nobody has this name");
  await reach(page, "DB alice");
  await sees(page, "That is no name of this zone");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("a server that says no is heard, and one that changes its mind cuts off", async () => {
  const carol = await visitor(browser, server.url);
  const rules = server.file("rules.toml");
  const deny = (...whom) => writeFile(rules, `refuse = "answer"\nallow = ["certified"]\ndeny = ${JSON.stringify(whom)}\n`);
  await deny(carol.name);
  const host = await alice.host("--rules", rules);
  await reach(carol.page);
  await sees(carol.page, "You are not let in");
  await deny();
  await told(host, "rules");
  await reach(carol.page);
  await sees(carol.page, "both ends are proved");
  await deny(carol.name);
  await sees(carol.page, "You are not let in");
  assert.equal((await told(host, "ended")).code, "denied");
  assert.deepEqual(carol.profile.complaints, []);
  await carol.profile.close();
});

test("a browser whose device is revoked is cut off at once", async () => {
  await alice.host("--allow", "certified");
  const two = await twoProfiles(browser, server);
  const digits = await askAndAnswer(two);
  await two.old.getByLabel("Six digits").fill(digits);
  await two.old.getByRole("button", { name: "Let it in" }).click();
  await sees(two.fresh, "and that is proved");
  await reach(two.fresh);
  await sees(two.fresh, "both ends are proved");
  await two.fresh.getByRole("button", { name: "Follow logs/today.log" }).click();
  await sees(two.fresh, "one");
  await two.old.goto("/devices");
  await sees(two.old, "(this browser)");
  await two.old.locator("tbody tr").filter({ hasNotText: "(this browser)" }).getByRole("button", { name: "Remove" }).click();
  await two.old.getByRole("button", { name: "Remove it" }).click();
  await sees(two.fresh, "You are not let in any more");
  await reach(two.fresh);
  await sees(two.fresh, "does not count any more");
  await two.close();
});

test("a connection does not notice that the lobby is gone, and the lobby is come back to", async () => {
  await alice.host("--allow", "certified");
  const [liar, welcomes] = [await startLiar(server.url), []];
  liar.lie = (_, frame) => (frame.t === "welcome" && welcomes.push(frame.resumed), [frame]);
  const dora = await visitor(browser, liar.url);
  await reach(dora.page);
  await sees(dora.page, "both ends are proved");
  await dora.page.getByRole("button", { name: "Follow logs/today.log" }).click();
  liar.away = true;
  await appendFile(alice.path("logs/today.log"), "without a lobby\n");
  await sees(dora.page, "without a lobby");
  liar.away = false;
  while (welcomes.length < 2) await dora.page.waitForTimeout(100);
  assert.deepEqual(welcomes, [false, true], "the session goes on, by the chain over what was received");
  await dora.page.getByRole("button", { name: "Disconnect" }).click();
  await dora.page.getByRole("button", { name: "Connect", exact: true }).click();
  await sees(dora.page, "both ends are proved");
  await dora.profile.close();
  await liar.stop();
});

test("a path that breaks is renewed through the lobby once that is back, and nothing is lost", async (t) => {
  const host = await alice.host("--allow", "certified");
  const liar = await startLiar(server.url);
  const finn = await visitor(browser, liar.url);
  await reach(finn.page);
  await sees(finn.page, "both ends are proved");
  await finn.page.getByRole("button", { name: "Follow logs/today.log" }).click();
  await sees(finn.page, "one");
  liar.away = true;
  const mend = breakPaths(host.pid);
  if (mend === null) return t.skip("not root: paths cannot be broken here");
  try {
    await appendFile(alice.path("logs/today.log"), "over another path\n");
    await sees(finn.page, "Looking for another one");
    liar.away = false;
    await sees(finn.page, "it stands again");
    await sees(finn.page, "over another path");
  } finally {
    mend();
  }
  assert.ok((await downloads(finn.page, "big.bin")).equals(noise(BYTES)));
  assert.equal(toldSoFar(host, "knock").length, 1, "one connection");
  await finn.profile.close();
  await liar.stop();
});

test("addresses that the browser shows lead there as well as those it hides", async () => {
  const open = await startBrowser(["--disable-features=WebRtcHideLocalIpsWithMdns"]);
  const host = await alice.host("--allow", "certified");
  const eve = await visitor(open, server.url);
  await reach(eve.page);
  await sees(eve.page, "both ends are proved");
  assert.ok((await downloads(eve.page, "big.bin")).equals(noise(BYTES)));
  assert.equal(toldSoFar(host, "fault").length, 0);
  assert.deepEqual(eve.profile.complaints, []);
  await open.stop();
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
  test(`the page can be read, named and reached: ${scheme}, ${width} wide`, async () => {
    await alice.host("--allow", "certified");
    const { page, profile } = await visitor(browser, server.url, { scheme, width, height: 844 });
    const look = async (name) => {
      await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
      assert.deepEqual(await page.evaluate(complaintsOf), [], name);
      await keepPicture(page, `connect ${name} ${scheme} ${width}`);
    };
    await page.goto("/connect");
    await sees(page, "Its name");
    await look("empty");
    await reach(page);
    await sees(page, "both ends are proved");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /both ends are proved/, "the reader is taken there");
    await page.getByRole("button", { name: "Follow logs/today.log" }).click();
    await sees(page, "two");
    await downloads(page, "big.bin");
    await sees(page, "Every chunk checked");
    await look("served");
    await alice.gone();
    await reach(page);
    await sees(page, "No answer");
    await look("nobody");
    assert.deepEqual(profile.complaints, []);
    await profile.close();
  });
}
