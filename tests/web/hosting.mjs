// A private server and its visitors, as the tests of the page that connects need them.

import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { sees } from "./browser.mjs";
import { claimName, newName } from "./journey.mjs";

/**
 * Makes `db.alice` on a server: `{name, host(...allow), write(path, bytes), path(path), gone()}`; `host` serves until it is stopped, and says what
 * `dgns host --json` does; `gone` stops every one that still runs.
 */
export async function alices(server) {
  await server.dgns("alice", "up", "alice");
  await server.dgns("alice", "claim", "db.alice");
  const [folder, hosts] = [server.file("served"), []];
  const write = async (path, bytes) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  };
  await write("logs/today.log", "one\ntwo\n");
  const host = async (...how) => {
    const host = server.starts("alice", "--json", "host", "--name", "db.alice", folder, ...how);
    hosts.push(host);
    await told(host, "online");
    return host;
  };
  const gone = () => Promise.all(hosts.splice(0).map((host) => (host.stop(), host.ended())));
  return { name: `db.alice.${server.zone}`, host, gone, write, path: (path) => join(folder, path) };
}

/** Waits for the next event of a kind that a host tells, behind its first `from` lines. */
export const told = (host, kind, from) => host.says((line) => line.startsWith("{") && JSON.parse(line).event === kind && JSON.parse(line), from);

/** All events of a kind so far. */
export const toldSoFar = (host, kind) => host.lines().filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)).filter(({ event }) => event === kind);

/** Returns somebody with a name of their own and its keys in an empty profile: `{profile, page, name}`. */
export async function visitor(browser, url, how) {
  const profile = await browser.profile(url, how);
  const [page, name] = [await profile.page(), newName()];
  await claimName(page, name);
  await sees(page, "is yours, and that is proved");
  return { profile, page, name };
}

/** Asks for a private server. */
export async function reach(page, name = "db.alice") {
  await page.goto("/connect");
  await page.getByLabel("Its name").fill(name);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
}

/** Bytes without a pattern, the same each time. */
export function noise(length) {
  let state = 88172645463325252n;
  const bytes = new BigUint64Array(Math.ceil(length / 8)).map(() => (state = next(state)));
  return Buffer.from(bytes.buffer).subarray(0, length);
}

function next(state) {
  let x = BigInt.asUintN(64, state ^ (state << 13n));
  x ^= x >> 7n;
  return BigInt.asUintN(64, x ^ (x << 17n));
}

/**
 * Breaks every path to the ports that a program holds now; ports that it opens later are not touched. Returns what mends it. Needs to be root, as on CI; returns null
 * for others.
 */
export function breakPaths(pid) {
  if (process.getuid() !== 0) return null;
  const sockets = execFileSync("ss", ["-Huanp"], { encoding: "utf8" }).split("\n").filter((line) => line.includes(`pid=${pid},`));
  const ports = sockets.map((line) => /:(\d+) /.exec(line)[1]);
  const rules = ports.flatMap((port) => ["--sport", "--dport"].map((end) => ["INPUT", "-p", "udp", end, port, "-j", "DROP"]));
  const all = (how) => rules.forEach((rule) => ["iptables", "ip6tables"].forEach((tables) => execFileSync(tables, [how, ...rule])));
  all("-I");
  return () => all("-D");
}
