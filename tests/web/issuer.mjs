// An issuer of OpenID Connect of other people's making: npm `oidc-provider` on loopback, with somebody at the keyboard who always says yes.
//
// Run by itself, with the redirect address of its one client as argument, and a port if it is to have that one, it prints `{"issuer": ...}` once it listens. Whoever comes to
// /interaction is the subject of the header `x-subject` with the address of `x-email`, verified unless `x-unverified` is there. `POST /keys` makes a
// new signing key and forgets the old one; `POST /lie?WHAT` makes the next id_token wrong in one way.

import { createServer } from "node:http";
import { createHmac, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { pathToFileURL } from "node:url";

import { Provider } from "oidc-provider";

import { freePort, startServer } from "./server.mjs";

const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const newKey = () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;

/** Returns the id_token of these parts, signed by `key`. */
function signed(head, claims, key) {
  const said = `${text(head)}.${text(claims)}`;
  return `${said}.${sign("sha256", said, key).toString("base64url")}`;
}

/** What can be wrong with a token: each makes one of its parts. */
const LIES = {
  nonce: (head, claims, key) => signed(head, { ...claims, nonce: "AAAA" }, key),
  audience: (head, claims, key) => signed(head, { ...claims, aud: "another" }, key),
  party: (head, claims, key) => signed(head, { ...claims, azp: "another" }, key),
  issuer: (head, claims, key) => signed(head, { ...claims, iss: "https://issuer.example" }, key),
  expired: (head, claims, key) => signed(head, { ...claims, iat: claims.iat - 500, exp: claims.iat - 10 }, key),
  early: (head, claims, key) => signed(head, { ...claims, iat: claims.iat - 700, exp: claims.iat + 3600 }, key),
  none: (head, claims) => `${text({ ...head, alg: "none" })}.${text(claims)}.`,
  hmac: (head, claims, key, client) => {
    const said = `${text({ ...head, alg: "HS256" })}.${text(claims)}`;
    return `${said}.${createHmac("sha256", client).update(said).digest("base64url")}`;
  },
  key: (head, claims) => signed(head, claims, newKey()),
  unknown: (head, claims) => signed({ ...head, kid: "nobody" }, claims, newKey()),
  changed: (head, claims, key) => {
    const [first, , last] = signed(head, claims, key).split(".");
    return `${first}.${text({ ...claims, sub: "somebody-else" })}.${last}`;
  },
};

/** Starts an issuer that knows one public client, `dgns`. `person` = who is at the keyboard, `{subject, email, verified}`; it may be set anew. */
export async function startIssuer(redirect, port = 0) {
  const server = createServer();
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}`;
  const issuer = { url, host: new URL(url).host, person: { subject: "ada", email: "ada@people.example", verified: true }, lie: undefined };
  const people = new Map();
  let [provider, answer, key] = [];

  issuer.newKeys = () => {
    key = newKey();
    provider = new Provider(url, {
      clients: [{ client_id: "dgns", token_endpoint_auth_method: "none", redirect_uris: [redirect], response_types: ["code"], grant_types: ["authorization_code"] }],
      clientAuthMethods: ["none", "client_secret_basic"],
      pkce: { required: () => true },
      jwks: { keys: [{ ...key.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: randomUUID() }] },
      claims: { openid: ["sub"], email: ["email", "email_verified"] },
      conformIdTokenClaims: false,
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      cookies: { keys: ["a key for tests"] },
      ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 600, AccessToken: 600, AuthorizationCode: 60 },
      findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
    });
    answer = provider.callback();
  };
  issuer.newKeys();

  async function interaction(request, response) {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (prompt.name === "login") {
      const { "x-subject": subject = issuer.person.subject, "x-email": email = issuer.person.email } = request.headers;
      people.set(subject, { email, email_verified: issuer.person.verified && !request.headers["x-unverified"] });
      return provider.interactionFinished(request, response, { login: { accountId: subject } });
    }
    const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid email");
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }

  /** Lets the next answer with an id_token carry a wrong one. */
  function lying(response) {
    const end = response.end.bind(response);
    response.end = (body, ...rest) => {
      const said = JSON.parse(body);
      if (said.id_token === undefined) return end(body, ...rest);
      const [head, claims] = said.id_token.split(".").map((part, i) => (i < 2 ? JSON.parse(Buffer.from(part, "base64url")) : part));
      const wrong = JSON.stringify({ ...said, id_token: LIES[issuer.lie](head, claims, key, "dgns") });
      issuer.lie = undefined;
      response.setHeader("content-length", Buffer.byteLength(wrong));
      return end(wrong, ...rest);
    };
  }

  server.on("request", async (request, response) => {
    try {
      const { pathname, search } = new URL(request.url, url);
      if (pathname.startsWith("/interaction/")) return await interaction(request, response);
      if (request.method === "POST" && pathname === "/keys") {
        issuer.newKeys();
        return response.writeHead(204).end();
      }
      if (request.method === "POST" && pathname === "/lie") {
        issuer.lie = search.slice(1);
        return response.writeHead(LIES[issuer.lie] ? 204 : 404).end();
      }
      if (pathname === "/token" && issuer.lie !== undefined) lying(response);
      return answer(request, response);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  issuer.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return issuer;
}

/** Starts an issuer, and a server where people sign in there and which calls it Local; `more`, `claims` and `floorS` as in `startServer`. Returns `[server, issuer]`. */
export const startServerWithIssuer = (more = "", claims = "", floorS = 3600) => startServerWithIssuers(["Local"], more, claims, floorS);

/** As `startServerWithIssuer`, with an issuer of each of these names. Returns `[server, ...issuers]`. */
export async function startServerWithIssuers(names, more = "", claims = "", floorS = 3600) {
  const port = await freePort();
  const issuers = await Promise.all(names.map(() => startIssuer(`http://localhost:${port}/v1/signin/oidc/callback`)));
  const believed = issuers.map(({ url }, i) => `[[signin.issuers]]\nid = "${names[i].toLowerCase()}"\nname = "${names[i]}"\nissuer = "${url}"\nclient_id = "dgns"\n`);
  const signin = `[signin]\npublic_url = "http://localhost:${port}"\n${believed.join("")}`;
  return [await startServer(`[http]\nlisten = "127.0.0.1:${port}"\n${more}${signin}`, claims, floorS), ...issuers];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { url } = await startIssuer(process.argv[2], Number(process.argv[3] ?? 0));
  console.log(JSON.stringify({ issuer: url }));
}
