// The start page: what the server says of itself, and what of it is proved.

import { hex } from "../hash.js";
import { byId, el, facts, fill, grouped, tag, whenText } from "./dom.js";
import { openPage } from "./shell.js";
import { trouble } from "./trouble.js";

const { client, info } = await openPage();
const place = byId("about");

try {
  const said = await info;
  byId("name").placeholder = `alice.${client.zone}`;
  const head = await client.lookup(said.server_did);
  const witnessed = head.unwitnessed ? tag("wait", "no independent witness") : tag("good", "witnessed");
  fill(place, facts([
    ["Names", el("span", {}, "end in ", el("code", {}, `.${client.zone}`))],
    ["Its log", el("span", {}, `${head.size} entries, the newest of ${whenText(head.epochMs)} `)],
    ["Signature", el("span", {}, tag("good", "checked just now"), " ", witnessed)],
    ["Newest root", el("code", {}, grouped(hex(head.root).slice(0, 32)), " …")],
    ["Ways to a name", said.roads.map((road) => ({ open: "a little work of your computer", invite: "an invitation", parent: "a name below one you have", attested: "a sign-in" })[road] ?? road).join(", ")],
    ["Follows", said.follows?.url],
  ]));
} catch (error) {
  fill(place, trouble(error, () => location.reload()));
}
place.removeAttribute("aria-busy");
