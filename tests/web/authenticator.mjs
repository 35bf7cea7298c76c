// A virtual authenticator of the browser itself, plugged into one page.

/** What it has and does unless told otherwise: it keeps passkeys, knows its person, has a PRF, and confirms by itself. */
const OPTIONS = {
  protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, hasPrf: true,
  automaticPresenceSimulation: true,
};

/** Plugs an authenticator into a page: `{credentials(), add(credential), remove(credential), bogus(on), verified(on), unplug()}`. */
export async function plugIn(page, options = {}) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", { options: { ...OPTIONS, ...options } });
  const tell = (method, more = {}) => session.send(`WebAuthn.${method}`, { authenticatorId, ...more });
  return {
    credentials: async () => (await tell("getCredentials")).credentials,
    add: (credential) => tell("addCredential", { credential }),
    remove: ({ credentialId }) => tell("removeCredential", { credentialId }),
    /** From now on its signatures do not hold. */
    bogus: (on) => tell("setResponseOverrideBits", { isBogusSignature: on }),
    /** From now on it does not know its person. */
    verified: (on) => tell("setUserVerified", { isUserVerified: on }),
    unplug: () => session.detach(),
  };
}
