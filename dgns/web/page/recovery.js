// Recovery of the accounts whose keys are in this browser; what it takes comes when there is one.

import { byId, el, fill, verdict } from "./dom.js";
import { waysIn } from "./issuers.js";
import { accounts } from "./me.js";
import { openPage } from "./shell.js";

const { client, info, store } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
const mine = (await accounts(store, client.origin)).filter(({ did }) => did !== undefined);
if (mine.length === 0) {
  fill(place, verdict("plain", "No account has keys in this browser", el("p", {}, "Every device lost? ", el("a", { href: "/recover" }, "Recover your account"), ". Else ", el("a", { href: "/signin" }, "sign in"), " or ", el("a", { href: "/claim" }, "claim a name"), ".")));
} else {
  const [{ showOwn }, said] = await Promise.all([import("./recovery_own.js"), info.catch(() => ({}))]);
  await showOwn({ client, store, ways: waysIn(client, said) }, place, mine);
}
