// An issuer of OpenID Connect for tests: npm `oidc-provider` on loopback. Arguments: the redirect address of its one client.
//
// It prints `{"issuer": ...}` once it listens. Whoever comes to /interaction is signed in as the subject of the header `x-subject`
// with the address of `x-email`, verified unless `x-unverified` is there, and has said yes. POST /keys makes a new signing key and
// forgets the old one.

import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";

import { Provider } from "oidc-provider";

const [redirect] = process.argv.slice(2);
const people = new Map();
let handle;

function jwk() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: randomUUID() };
}

function provider(issuer) {
  return new Provider(issuer, {
    clients: [{
      client_id: "dgns", token_endpoint_auth_method: "none", redirect_uris: [redirect], response_types: ["code"], grant_types: ["authorization_code"],
    }],
    clientAuthMethods: ["none", "client_secret_basic"],
    pkce: { required: () => true },
    jwks: { keys: [jwk()] },
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: ["a key for tests"] },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
  });
}

async function interaction(oidc, request, response) {
  const { prompt, params, session, grantId } = await oidc.interactionDetails(request, response);
  if (prompt.name === "login") {
    const sub = request.headers["x-subject"];
    people.set(sub, { email: request.headers["x-email"], email_verified: !request.headers["x-unverified"] });
    return oidc.interactionFinished(request, response, { login: { accountId: sub } });
  }
  const grant = grantId ? await oidc.Grant.find(grantId) : new oidc.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope("openid email");
  return oidc.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const server = createServer(async (request, response) => {
  try {
    if (request.url.startsWith("/interaction/")) return await interaction(current, request, response);
    if (request.url === "/keys" && request.method === "POST") {
      current = provider(issuer);
      handle = current.callback();
      return response.writeHead(204).end();
    }
    return handle(request, response);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
let current = provider(issuer);
handle = current.callback();
console.log(JSON.stringify({ issuer }));
