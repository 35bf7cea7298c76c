// `dgns login --passkey-url`: the program asks, the page asks the passkey, and the answer comes to the program alone.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { plugIn } from "./authenticator.mjs";
import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { newName } from "./journey.mjs";
import { freePort, startServer } from "./server.mjs";

let [server, browser] = [];
before(async () => {
  const port = await freePort();
  const more = `[http]\nlisten = "127.0.0.1:${port}"\n`;
  [server, browser] = await Promise.all([startServer(more, 'roads = ["open", "attested"]\n'), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

const complaintsIn = ({ complaints }) => complaints.filter((one) => !one.includes("pubKeyCredParams is missing"));
const urlOf = (line) => line.trim().startsWith("http") && line.trim();
const keyOf = (line) => /for the key ([0-9a-f]{16})/.exec(line)?.[1];
const digitsOf = (line) => /^\s*([0-9]{3}) ([0-9]{3})\s*$/.exec(line)?.slice(1).join("");

/** Opens an empty profile with an authenticator in it; it may be led to any port of this computer. */
async function stranger(options) {
  const profile = await browser.profile(server.url);
  const page = await profile.page();
  await page.context().route(/^http:\/\/127\.0\.0\.1:/, (route) => route.continue());
  return { profile, page, authenticator: await plugIn(page, options) };
}

/** Starts a command that asks for a passkey; opens its page, which shows the key that the program shows. */
async function opens(page, running) {
  const [url, key] = [await running.says(urlOf), await running.says(keyOf)];
  await page.goto("about:blank");
  await page.goto(url);
  await sees(page, "A program on this computer wants to sign in");
  assert.equal(await page.locator("code.key").innerText(), key, "the same key as in the terminal");
  assert.equal(new URL(page.url()).hash, "", "what the program told is not left in the address bar");
  return url;
}

test("from nothing to a name and a second home with a passkey, at the command line", async () => {
  const { profile, page, authenticator } = await stranger();
  const name = newName();
  const up = server.starts("first", "up", name, "--signin", "passkey");
  await opens(page, up);
  await keepPicture(page, "program asks");
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  await page.getByRole("button", { name: "I have none yet" }).click();
  await sees(page, "Make a passkey for the program");
  await page.getByLabel("What the passkey is called").fill(name);
  await keepPicture(page, "program makes");
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await page.getByText("You can close this window").waitFor();
  await up.says((line) => line.includes("is yours."));
  assert.equal(await up.ended(), 0);
  assert.equal((await authenticator.credentials())[0].userName, name);

  // The second home: the passkey finds the account, and the first home lets it in.
  const watch = server.starts("first", "devices", "watch", "--once");
  await watch.says((line) => line.startsWith("watching"));
  const login = server.starts("second", "login", "--passkey-url");
  await opens(page, login);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("You can close this window").waitFor();
  await watch.says((line) => line.includes("a device asks to become yours"));
  watch.types(await login.says(digitsOf));
  assert.equal(await login.ended(), 0);
  assert.equal(await watch.ended(), 0);
  assert.match(await server.dgns("second", "whoami"), new RegExp(name));
  // What is sealed to the person opens on the second home.
  const plain = server.file("secret.txt");
  await writeFile(plain, "for every home of one person");
  await server.dgns("stranger", "seal", name, plain, "--out", `${plain}.sealed`);
  assert.match(await server.dgns("second", "open", `${plain}.sealed`), /for every home of one person/);
  // A device of the account that signs in again is told so.
  const again = server.starts("second", "login", "--passkey-url");
  await opens(page, again);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await again.says((line) => line.includes("a device of the account already"));
  assert.equal(await again.ended(), 0);
  // Any device of the account lists what finds it.
  assert.match(await server.dgns("second", "signins", "list"), /[0-9a-f]{16}  a passkey on one device, since .*; it signs in only/);
  // A home with a name of its own, and a passkey of nobody: the passkey leads there from now on.
  await server.dgns("third", "up", newName());
  const third = server.starts("third", "login", "--passkey-url");
  await opens(page, third);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await third.says((line) => line.includes("account_bound") || line.includes("use another --home"));
  assert.notEqual(await third.ended(), 0);
  // Taken away, it finds nobody, whoever holds it.
  const [id] = /^[0-9a-f]{16}/m.exec(await server.dgns("first", "signins", "list"));
  assert.match(await server.dgns("first", "signins", "remove", id), /leads here no more/);
  assert.match(await server.dgns("first", "signins", "list"), /no sign-ins lead here/);
  const fourth = server.starts("fourth", "login", "--passkey-url");
  await opens(page, fourth);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await fourth.says((line) => line.includes("unknown_passkey"));
  assert.notEqual(await fourth.ended(), 0);
  assert.deepEqual(complaintsIn(profile).filter((one) => !one.includes("127.0.0.1")), []);
  await profile.close();
});

test("who did not start a program says no, and the program ends", async () => {
  const { profile, page } = await stranger();
  await assert.rejects(server.dgns("refused", "login"), /passkeys: dgns login --passkey-url/, "who believes no issuer says what there is");
  const login = server.starts("refused", "login", "--passkey-url");
  await opens(page, login);
  await page.getByRole("button", { name: "I did not start it" }).click();
  await login.says((line) => line.includes("signin_refused"));
  assert.equal(await login.ended(), 4);
  await profile.close();
});

test("an authenticator that has nothing, or does not know its person, sends nothing", async () => {
  const { profile, page, authenticator } = await stranger();
  const login = server.starts("nothing", "login", "--passkey-url");
  const url = await opens(page, login);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await sees(page, "No passkey was used");
  await authenticator.verified(false);
  await page.getByRole("button", { name: "I have none yet" }).click();
  await sees(page, "Make a passkey for the program");
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await sees(page, "No passkey was used");
  // It is the same sign-in: a second wish is none of its starts any more.
  const [port, state] = new URL(url).hash.slice("#program=".length).split(".");
  const answers = async (query) => (await fetch(`http://127.0.0.1:${port}/?${query}`, { redirect: "manual" })).status;
  assert.equal(await answers(`state=${state.replace(/.$/, (c) => (c === "A" ? "E" : "A"))}&code=x`), 404, "another state is nothing to it");
  assert.equal(await answers("code=x"), 404);
  assert.equal(await answers(`state=${state}&code=!`), 200, "the right one ends it");
  assert.equal(await login.ended(), 1, "what is no answer of a passkey");
  await assert.rejects(answers(`state=${state}&code=!`), "nobody listens any more");
  await profile.close();
});

test("a link with keys of its own signs for those keys alone, and a damaged one for none", async () => {
  const { profile, page } = await stranger();
  const login = server.starts("swapped", "login", "--passkey-url");
  const url = await login.says(urlOf);
  // Somebody between the terminal and the page names a key of theirs.
  const [port, state, , kex, random] = new URL(url).hash.slice("#program=".length).split(".");
  const theirs = Buffer.alloc(32, 7).toString("base64url");
  await page.goto(`/signin#program=${[port, state, theirs, kex, random].join(".")}`);
  await sees(page, "A program on this computer wants to sign in");
  assert.notEqual(await page.locator("code.key").innerText(), await login.says(keyOf), "the page shows another key");
  for (const bad of ["", "1", `${port}.${state}`, `0.${state}.${theirs}.${kex}.${random}`, `99999.${state}.${theirs}.${kex}.${random}`, `${port}.${state}.!.${kex}.${random}`]) {
    await page.goto("about:blank");
    await page.goto(`/signin#program=${bad}`);
    await sees(page, "This address is damaged");
  }
  // Options for a challenge over other keys, or for another purpose, are refused before anything is asked.
  const options = Buffer.from(JSON.stringify({ challenge: Buffer.alloc(32, 1).toString("base64url"), rp: { id: "localhost", name: "x" }, user: { id: "AAAA" }, pubKeyCredParams: [] })).toString("base64url");
  await page.goto("about:blank");
  await page.goto(`/signin#program=${[port, state, theirs, kex, random, options].join(".")}`);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await sees(page, "The sign-in was for other keys");
  login.stop();
  await profile.close();
});

test("an answer that a passkey gave for another key is refused by the server, and the program says so", async () => {
  const { profile, page } = await stranger();
  const made = server.starts("owner", "login", "--passkey-url");
  await opens(page, made);
  await page.getByRole("button", { name: "I have none yet" }).click();
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await made.says((line) => line.includes("you are new here"));
  assert.equal(await made.ended(), 0);
  // The page of the victim's answers for a program that is not the one which waits.
  const seen = [];
  const listener = createServer((request, response) => {
    seen.push(new URL(request.url, "http://x").searchParams.get("code"));
    response.end("<title>thief</title>");
  });
  await new Promise((done) => listener.listen(0, "127.0.0.1", done));
  const thief = server.starts("thief", "login", "--passkey-url");
  const url = await thief.says(urlOf);
  const [port, state, , ...rest] = new URL(url).hash.slice("#program=".length).split(".");
  await page.goto("about:blank");
  await page.goto(`/signin#program=${[listener.address().port, state, Buffer.alloc(32, 9).toString("base64url"), ...rest].join(".")}`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.waitForURL(/127\.0\.0\.1/);
  assert.equal((await fetch(`http://127.0.0.1:${port}/?state=${state}&code=${seen[0]}`)).status, 200);
  await thief.says((line) => line.includes("assertion") || line.includes("passkey's answer"));
  assert.notEqual(await thief.ended(), 0);
  listener.closeAllConnections();
  await new Promise((done) => listener.close(done));
  await profile.close();
});
