// How long a recovery takes in Chromium from the finished sign-in to the proof of the PIN in the log: all of three servers alive, one dead, one that
// takes connections and says nothing, one that answers wrongly. `node tests/web/recovery_bench.mjs [ROUNDS]`; DGNS_BINARIES names the folder of the programs, for a release build.

import { loadavg } from "node:os";

import { sees, startBrowser } from "./browser.mjs";
import { startServerWithIssuer } from "./issuer.mjs";
import { startProxy } from "./proxy.mjs";
import { enrols, hostsOf, lies, somebody, tries } from "./recovery.mjs";
import { startRecoveryServer } from "./server.mjs";

const BAR_MS = 5_000;
const rounds = Number(process.argv[2] ?? 5);
const [server, issuer] = await startServerWithIssuer("", "", 1);
const browser = await startBrowser();
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)];
const shown = (all) => `${all.map((ms) => (ms / 1000).toFixed(2)).join(" ")} s, median ${(median(all) / 1000).toFixed(2)} s`;
let slowest = 0;
for (const [state, signal] of [["three servers", null], ["one of three dead", "SIGKILL"], ["one of three silent", "SIGSTOP"], ["one of three lying", "lie"]]) {
  const servers = await Promise.all(["Anna", "Berta", "Clara"].map((operator) => startRecoveryServer(server, issuer, operator)));
  const liar = await startProxy(servers[1].url);
  const urls = [servers[0].url, liar.url, servers[2].url];
  const people = [];
  for (let i = 0; i < rounds; i++) {
    people.push(await somebody({ server, issuer, browser }, 1800, { servers: urls }));
    await enrols(people[i], { issuer }, urls);
  }
  if (signal === "lie") lies(liar);
  else if (signal !== null) servers[1].signal(signal);
  const [proofs, hardenings] = [[], []];
  for (const person of people) {
    const blank = await browser.profile(server.url, { hosts: hostsOf(issuer, urls) });
    const page = await blank.page();
    let [typed, back, certificates] = [0, 0, 0];
    const proved = new Promise((done) => page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (pathname === "/v1/signin/oidc/start") hardenings.push(performance.now() - typed);
      if (pathname === "/v1/signin/oidc/callback") back = performance.now();
      // The first of the two is recover_open.
      if (pathname === "/v1/certificates" && response.request().method() === "POST" && ++certificates === 2) done(performance.now() - back);
    }));
    await page.exposeFunction("wasTyped", () => void (typed = performance.now()));
    await page.addInitScript(() => addEventListener("submit", () => wasTyped(), true));
    await tries(page, person, { issuer });
    proofs.push(await proved);
    await sees(page, "The PIN is right");
    await Promise.all([blank.close(), person.profile.close()]);
  }
  slowest = Math.max(slowest, median(proofs));
  console.log(`${state}: sign-in done to recover_prove ${shown(proofs)}; before it, PIN typed to the issuer's page (Argon2id of 64 MiB, 3 passes) ${shown(hardenings)}`);
  if (signal === "SIGSTOP") servers[1].signal("SIGCONT");
  await Promise.all([liar.stop(), ...servers.map((one) => one.stop())]);
}
console.log(`load average ${loadavg()[0].toFixed(1)}; bar ${BAR_MS / 1000} s: ${slowest <= BAR_MS ? "held" : "MISSED"}`);
await browser.stop();
await Promise.all([server.stop(), issuer.stop()]);
process.exitCode = slowest <= BAR_MS ? 0 : 1;
