// Everything is lost but a PIN and a sign-in: real recovery servers, a real issuer, real pages.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { keepPicture, sees, startBrowser, startBrowserIn } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { startServerWithIssuer } from "./issuer.mjs";
import { startProxy } from "./proxy.mjs";
import { OTHER, PIN, WORDS, comesInByWords, enrols, hostsOf, lies, opens, seal, somebody, tries } from "./recovery.mjs";
import { startRecoveryServer } from "./server.mjs";

const OPERATORS = ["Anna", "Berta", "Clara", "Dora", "Emma"];
/** A window that is over soon, and one that nobody waits for. */
const [SOON_S, LATE_S] = [8, 1800];

let all = {};
let servers = [];
before(async () => {
  const [[server, issuer], browser] = await Promise.all([startServerWithIssuer("", "", 1), startBrowser()]);
  servers = await Promise.all(OPERATORS.map((operator) => startRecoveryServer(server, issuer, operator)));
  all = { server, issuer, browser };
});
after(async () => {
  await all.browser?.stop();
  await Promise.all(servers.map((server) => server.stop()));
  await all.server?.stop();
  await all.issuer?.stop();
});

const urlsOf = (count) => servers.slice(0, count).map(({ url }) => url);
const blankProfile = (urls, how = {}) => all.browser.profile(all.server.url, { hosts: hostsOf(all.issuer, urls), ...how });

/** Writes new words down, and returns them. */
async function newWords(page) {
  await sees(page, "Write down these twelve words");
  const words = await page.locator(".words li").allTextContents();
  await page.getByRole("button", { name: "I have written them down" }).click();
  return words.join(" ");
}

/** How many shares of backups servers gave out. */
const releasedBy = async (urls) => {
  const counts = await Promise.all(urls.map(async (url) => (await (await fetch(`${url}/r/v1/stats`)).json()).released));
  return counts.reduce((sum, count) => sum + count, 0);
};

for (const [scheme, width, lostWords] of [["light", 1280, false], ["dark", 390, true]]) {
  test(`a blank profile comes back with PIN and sign-in${lostWords ? ", and with new words" : ""}, and reads what was sealed before: ${scheme}, ${width} wide`, async () => {
    const urls = urlsOf(3);
    const how = { scheme, width, height: 844, servers: urls };
    const seen = async (page, name) => {
      assert.deepEqual(await page.evaluate(complaintsOf), [], name);
      await keepPicture(page, `recovery-${name}-${scheme}-${width}`);
    };
    const ada = await somebody(all, SOON_S, how);
    await ada.page.goto("/recovery");
    await sees(ada.page, "Nothing brings this account back yet");
    await seen(ada.page, "none");
    await ada.page.getByLabel("Their addresses, one a line").fill(urls.join("\n"));
    await ada.page.getByRole("button", { name: "Look at these servers" }).click();
    await sees(ada.page, "Berta");
    await seen(ada.page, "servers");
    await enrols(ada, all, urls);
    await sees(ada.page, "0 of 10 spent");
    await seen(ada.page, "set");
    const file = await seal(all.server, ada.name, "the key lies under the third stone");

    const blank = await blankProfile(urls, how);
    const page = await blank.page();
    await page.goto("/recover");
    await sees(page, "Which account?");
    await seen(page, "name");
    await page.getByLabel("Your name").fill(ada.name);
    await page.getByRole("button", { name: "Go on", exact: true }).click();
    await sees(page, "10 of 10 guesses are left");
    await seen(page, "pin");
    await tries(page, ada, all);
    await sees(page, `The PIN is right; ${ada.full} is yours in`);
    await seen(page, "window");
    const reader = await blankProfile([], how);
    const looks = await reader.page();
    await looks.goto(`/lookup?name=${ada.name}`);
    await sees(looks, "Recovery pending");
    await seen(looks, "lookup");
    await sees(page, "Nobody objected");
    await seen(page, "ready");
    await page.getByLabel("What you call this device").fill("the new one");
    if (lostWords) await page.getByLabel("The twelve words are lost too: make new ones").check();
    await page.getByRole("button", { name: "Take my account back" }).click();
    const words = lostWords ? await newWords(page) : ada.words;
    await sees(page, `${ada.full} is yours again, and that is proved`);
    await seen(page, "back");
    await opens(page, file, "the key lies under the third stone");
    await sees(page, "the new one (this browser)");
    await ada.page.goto("/devices");
    await sees(ada.page, "This browser is no device of the account any more");
    await comesInByWords(looks, ada.name, words);
    assert.deepEqual([ada.profile.complaints, blank.complaints, reader.complaints], [[], [], []]);
    const log = [all.server, ...servers].map((one) => one.log()).join("");
    assert.ok(!log.includes("people.example") && !log.includes(PIN), "no address and no PIN in anybody's log");
    await Promise.all([ada.profile.close(), blank.close(), reader.close()]);
  });
}

test("one server is dead and one lies: both are named and skipped", async () => {
  const liar = await startProxy(servers[1].url);
  const urls = [servers[0].url, liar.url, servers[2].url, servers[3].url, servers[4].url];
  const ada = await somebody(all, 1, { servers: urls });
  await enrols(ada, all, urls);
  lies(liar);
  await servers[4].kill();
  const blank = await blankProfile(urls);
  const page = await blank.page();
  await tries(page, ada, all);
  await sees(page, "Nobody objected");
  await page.getByRole("button", { name: "Take my account back" }).click();
  await sees(page, `${ada.full} is yours again, and that is proved`);
  const skipped = await page.locator(".faults").innerText();
  assert.match(skipped, new RegExp(`${liar.url} lies, and is skipped`));
  assert.match(skipped, new RegExp(`${servers[4].url} is skipped`));
  assert.deepEqual([ada.profile.complaints, blank.complaints], [[], []]);
  await Promise.all([ada.profile.close(), blank.close(), liar.stop()]);
});

test("an attempt that an old device vetoes is dead, and everybody says so", async (t) => {
  const urls = urlsOf(3);
  for (const by of ["command line", "page"]) {
    await t.test(`by the ${by}`, async () => {
      const ada = await somebody(all, LATE_S, { servers: urls });
      await enrols(ada, all, urls);
      const released = await releasedBy(urls);
      await ada.page.goto("/devices");
      await sees(ada.page, "(this browser)");
      const thief = await blankProfile(urls);
      const page = await thief.page();
      await tries(page, ada, all);
      await sees(page, `The PIN is right; ${ada.full} is yours in`);
      // The page of devices says it by itself, as it stands open.
      await sees(ada.page, `Somebody is recovering ${ada.full}`);
      await sees(ada.page, `signed in at ${all.issuer.url}`);
      assert.deepEqual(await ada.page.evaluate(complaintsOf), []);
      await keepPicture(ada.page, `recovering-${by}`);
      if (by === "page") {
        await ada.page.goto("/approve");
        await ada.page.getByRole("button", { name: "It is not me: stop it" }).click();
        await sees(ada.page, "Stopped, and that is proved");
      } else {
        await all.server.dgns(ada.name, "veto");
      }
      await page.reload();
      await sees(page, "This recovery was vetoed");
      // Nor does another one begin.
      await page.goto("/recover");
      await page.getByLabel("Your name").fill(ada.name);
      await page.getByRole("button", { name: "Go on", exact: true }).click();
      await sees(page, "This recovery was vetoed");
      await ada.page.goto("/recovery");
      await sees(ada.page, "vetoed: enrol anew");
      await page.goto(`/lookup?name=${ada.name}`);
      await sees(page, "A recovery was vetoed");
      assert.equal(await releasedBy(urls), released, "no share left a server");
      assert.deepEqual([ada.profile.complaints, thief.complaints], [[], []]);
      await Promise.all([ada.profile.close(), thief.close()]);
    });
  }
});

test("a device that approves ends the wait at once; four words do as a PIN does", async () => {
  const urls = urlsOf(3);
  const ada = await somebody(all, LATE_S, { servers: urls });
  await enrols(ada, all, urls, { pin: WORDS });
  const blank = await blankProfile(urls);
  const page = await blank.page();
  await tries(page, ada, all, { pin: WORDS.toUpperCase() });
  await sees(page, `The PIN is right; ${ada.full} is yours in`);
  await ada.page.goto("/devices");
  await ada.page.getByRole("button", { name: "It is me: let it in now" }).click();
  await sees(ada.page, "Approved, and that is proved");
  await page.reload();
  await sees(page, "Nobody objected");
  assert.deepEqual([ada.profile.complaints, blank.complaints], [[], []]);
  await Promise.all([ada.profile.close(), blank.close()]);
});

test("a wrong PIN spends a guess in public, and the next has to wait; a stranger's sign-in spends none", async () => {
  const urls = urlsOf(3);
  const ada = await somebody(all, LATE_S, { servers: urls });
  await enrols(ada, all, urls);
  const blank = await blankProfile(urls);
  const page = await blank.page();
  const mallory = { ...ada, person: { subject: `mallory-${ada.name}`, email: `mallory-${ada.name}@people.example`, verified: true } };
  await tries(page, mallory, all);
  await sees(page, "That sign-in does not lead to this account");
  await blank.context.clearCookies();
  await tries(page, ada, all, { pin: OTHER });
  await sees(page, "The PIN is wrong");
  await sees(page, "9 guesses are left");
  await keepPicture(page, "recovery-wrong");
  await page.getByRole("button", { name: "Try again" }).click();
  await sees(page, "9 of 10 guesses are left");
  await page.getByLabel("Your PIN").fill(PIN);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await sees(page, "The next may begin in");
  const resolved = JSON.parse((await all.server.dgns("reader", "--json", "resolve", ada.name)).trim().split("\n").at(-1));
  assert.equal(resolved.recovery.guesses, 1);
  assert.deepEqual([ada.profile.complaints, blank.complaints], [[], []]);
  await Promise.all([ada.profile.close(), blank.close()]);
});

test("a browser that is closed at each step goes on where it was", async () => {
  const urls = urlsOf(3);
  const ada = await somebody(all, SOON_S, { servers: urls });
  await enrols(ada, all, urls);
  const folder = await mkdtemp(join(tmpdir(), "dgns-profile-"));
  const complaints = [];
  const visit = async (steps) => {
    const profile = await startBrowserIn(folder, all.server.url, { hosts: hostsOf(all.issuer, urls) });
    await steps(await profile.page(), profile);
    complaints.push(...profile.complaints);
    await profile.close();
  };
  // Gone while the issuer asks: nothing is spent, and the sign-in is asked for again.
  await visit(async (page, { context }) => {
    await context.route(`${all.issuer.url}/**`, (route) => route.abort());
    const asked = page.waitForRequest((request) => request.url().startsWith(all.issuer.url));
    await tries(page, ada, all);
    await asked;
  });
  // Gone as soon as the sign-in is done, and the servers do not answer: the guess is in the log, and is not lost.
  await visit(async (page, { context }) => {
    await context.route("**/r/v1/evaluate", (route) => route.abort());
    await page.goto("/recover");
    await page.getByRole("button", { name: "Go on with Local" }).click();
    await sees(page, "Type the PIN again");
    await page.getByLabel("Your PIN").fill(PIN);
    await page.getByRole("button", { name: "Go on", exact: true }).click();
    await sees(page, "Too few servers answered well");
  });
  // Another PIN is none of this attempt's; the right one goes on with it, and spends nothing.
  await visit(async (page) => {
    await page.goto("/recover");
    await sees(page, "Type the PIN again");
    await page.getByLabel("Your PIN").fill(OTHER);
    await page.getByRole("button", { name: "Go on", exact: true }).click();
    await sees(page, "That is another PIN");
    await page.getByLabel("Your PIN").fill(PIN);
    await page.getByRole("button", { name: "Go on", exact: true }).click();
    await sees(page, `The PIN is right; ${ada.full} is yours in`);
  });
  // Gone while the window runs, and again after the shares came.
  await visit(async (page, { context }) => {
    await context.route("**/v1/certificates**", (route) => route.abort());
    await page.goto("/recover");
    await sees(page, "Nobody objected");
    await page.getByRole("button", { name: "Take my account back" }).click();
    await sees(page, "no answer from the server");
  });
  await visit(async (page) => {
    await page.goto("/recover");
    await page.getByRole("button", { name: "Take my account back" }).click();
    await sees(page, `${ada.full} is yours again, and that is proved`);
  });
  const resolved = JSON.parse((await all.server.dgns("reader", "--json", "resolve", ada.name)).trim().split("\n").at(-1));
  assert.equal(resolved.did?.devices?.length ?? resolved.devices?.length, 1, JSON.stringify(resolved).slice(0, 400));
  assert.deepEqual(complaints, []);
  await ada.profile.close();
  await rm(folder, { recursive: true, force: true });
});

test("servers of one operator are warned about, and taken only by somebody who says so; recovery is given up", async () => {
  const more = await Promise.all([0, 1].map(() => startRecoveryServer(all.server, all.issuer, "Anna")));
  const urls = [servers[0].url, ...more.map(({ url }) => url)];
  const ada = await somebody(all, LATE_S, { servers: urls });
  const { page } = ada;
  all.issuer.person = ada.person;
  await page.goto("/recovery");
  await page.getByLabel("Their addresses, one a line").fill(`${urls.join("\n")}#${"00".repeat(32)}`);
  await page.getByRole("button", { name: "Look at these servers" }).click();
  await sees(page, "is another than named");
  await page.getByLabel("Their addresses, one a line").fill(urls.join("\n"));
  await page.getByRole("button", { name: "Look at these servers" }).click();
  await sees(page, "3 of these servers are of the operator Anna");
  await page.getByRole("button", { name: "Go on with Local" }).click();
  await sees(page, "These servers belong together");
  await page.getByLabel("I take them although they belong together").check();
  await keepPicture(page, "recovery-same-operator");
  await page.getByRole("button", { name: "Go on with Local" }).click();
  await sees(page, "Choose a PIN");
  await page.getByLabel("A PIN", { exact: true }).fill("123456");
  await sees(page, "what everybody tries first");
  await page.getByLabel("A PIN", { exact: true }).fill(PIN);
  await sees(page, "10 guesses in 1,000,000");
  await page.getByRole("button", { name: "Draw four words instead" }).click();
  await sees(page, "10 guesses in 17,592,186,044,416");
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  await keepPicture(page, "recovery-words");
  await page.getByText("I have the twelve words at hand").click();
  await page.getByLabel("Your twelve words").fill(ada.words);
  // All of them take their share, or nothing is in the log.
  await ada.profile.context.route(`${urls[2]}/**`, (route) => route.abort());
  await page.getByRole("button", { name: "Set up recovery" }).click();
  await sees(page, "Not every server took its share");
  await sees(page, `${urls[2]} is skipped`);
  await ada.profile.context.unroute(`${urls[2]}/**`);
  await page.getByRole("button", { name: "Set up recovery" }).click();
  await sees(page, "Recovery is set up, and that is proved");
  await sees(page, "1st of this account");
  await sees(page, "3 of these servers are of the operator Anna");
  await page.getByText("Give recovery up").first().click();
  await page.getByLabel("Your twelve words, if it shall hold at once").fill(ada.words);
  await page.getByRole("button", { name: "Give recovery up" }).click();
  await sees(page, "Recovery is given up, and that is proved");
  await sees(page, "Nothing brings this account back yet");
  assert.deepEqual(ada.profile.complaints, []);
  await Promise.all([ada.profile.close(), ...more.map((server) => server.stop())]);
});
